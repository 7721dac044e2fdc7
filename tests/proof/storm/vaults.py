"""A Vault of three nodes that is maltreated: frozen, killed, cut off, deposed; and always put together again.

Nothing is ever destroyed: a node that was killed comes back with its files.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from rotator.errors import Unavailable
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from tests.proof.storm.network import Gate, Network, holds_port


@dataclass
class Vaults:
    """The nodes of one cluster, and what is wrong with each."""

    network: Network
    nodes: list[OpenBao] = field(default_factory=list)
    ailing: set[str] = field(default_factory=set)
    """The names of the nodes with which something is wrong."""
    _gates: dict[str, Gate] = field(default_factory=dict)
    _cut_off: set[str] = field(default_factory=set)

    def between(self, node: OpenBao) -> None:
        """Put a gate before a node of a cluster that is about to start."""
        self.nodes.append(node)
        gate = self.network.gate(node.cluster_address, lambda port: self._forbidden(node, port))
        self._gates[node.name] = gate
        node.cluster_address = gate.address

    def well(self) -> list[OpenBao]:
        """The nodes with which nothing is wrong."""
        return [node for node in self.nodes if node.name not in self.ailing]

    def reachable(self) -> list[OpenBao]:
        """The nodes that can be asked with some hope of an answer: those that are well, if they are the majority."""
        return well if len(well := self.well()) > len(self.nodes) / 2 else []

    def be_patient(self, seconds: float) -> None:
        """How long the storm's own calls to a node may take."""
        for node in self.nodes:
            node.timeout = seconds

    def leader(self) -> OpenBao | None:
        """The active node, if one can be found by asking each of them once."""
        for node in self.nodes:
            with contextlib.suppress(Unavailable):
                if node.runs() and node.is_active():
                    return node
        return None

    def freeze(self, node: OpenBao) -> None:
        """Stop a node in mid-air."""
        self.ailing.add(node.name)
        node.pause()

    def kill(self, node: OpenBao) -> None:
        """End a node as a power failure would."""
        self.ailing.add(node.name)
        node.kill()

    def seal(self, node: OpenBao) -> None:
        """Seal a node."""
        self.ailing.add(node.name)
        with contextlib.suppress(Unavailable):
            node.call("PUT", "sys/seal", token=node.root_token)

    def cut_off(self, node: OpenBao) -> None:
        """Cut a node off from the others; clients still reach it, and it does not know yet that it is alone."""
        self.ailing.add(node.name)
        self._cut_off.add(node.name)
        self._review()

    def depose(self, node: OpenBao) -> None:
        """Have the active node step down."""
        with contextlib.suppress(Unavailable):
            node.call("PUT", "sys/step-down", token=node.root_token)

    def mend(self, node: OpenBao) -> None:
        """Put right whatever is wrong with a node; it takes part again when this returns, or soon after."""
        node.resume()
        self._cut_off.discard(node.name)
        self._review()
        if not node.runs():
            node.start()
        wait_until(lambda: self._is_unsealed(node), f"{node.name} is unsealed")
        self.ailing.discard(node.name)

    def _is_unsealed(self, node: OpenBao) -> bool:
        if node.health().get("sealed", True):
            node.offer_unseal_key()
        return not node.health().get("sealed", True)

    def _review(self) -> None:
        for gate in self._gates.values():
            gate.review()

    def _forbidden(self, node: OpenBao, port: int) -> bool:
        """Whether who comes from this port may not reach the node: one of the two is cut off."""
        if not self._cut_off:
            return False
        others = [other for other in self.nodes if other is not node and {other.name, node.name} & self._cut_off]
        return any(holds_port(other.pid, port) for other in others)
