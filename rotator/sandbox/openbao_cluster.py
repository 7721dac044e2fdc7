"""A raft cluster of OpenBao servers on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rotator.errors import Unavailable
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until


@contextlib.contextmanager
def cluster(
    size: int = 3, *, authority: Authority | None = None, between: Callable[[OpenBao], None] = lambda _: None
) -> Iterator[list[OpenBao]]:
    """A raft cluster; its first node starts as the active one. ``between`` is called with each node
    before any starts, and may set its ``cluster_address``."""
    nodes = [OpenBao("raft", authority=authority, name=f"node{number}") for number in range(size)]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.close)
            between(node)
        first, *others = nodes
        first.__enter__()
        first.admin("POST", "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": "100ms"})
        for node in others:
            node.start()
            node.join(first)
        voters = f"all {size} nodes are voters"
        wait_until(lambda: _voters(first) == size, voters)
        yield nodes


def _voters(node: OpenBao) -> int:
    servers = node.admin("GET", "sys/storage/raft/configuration").data["config"]["servers"]
    return sum(bool(server["voter"]) for server in servers)


def active(nodes: list[OpenBao]) -> OpenBao:
    """The active node of a cluster, once there is one."""
    found: list[OpenBao] = []

    def look() -> bool:
        found[:] = [node for node in nodes if _is_active(node)]
        return bool(found)

    wait_until(look, "the cluster has an active node")
    return found[0]


def _is_active(node: OpenBao) -> bool:
    try:
        return node.runs() and node.is_active()
    except Unavailable:
        return False
