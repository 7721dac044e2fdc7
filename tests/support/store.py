"""The simulated Vault as people's questions need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rotator.domain.presence import StoredPresence
from rotator.errors import Conflict
from tests.support.simulated import Sim, SimVault, sealed


@dataclass
class SimStore(SimVault):
    """The simulated Vault with a question that only people ask."""

    kept: int = 10

    def document_limits(self, path: str) -> int:
        return self.kept


@dataclass
class SimPresences:
    """The presences of daemons in the simulated Vault, at ``presence:PLACE``."""

    sim: Sim

    def read_presences(self) -> Sequence[StoredPresence]:
        def execute() -> Sequence[StoredPresence]:
            self._require_open()
            found = [
                (int(where.removeprefix("presence:")), versions)
                for where, versions in self.sim.kv.items()
                if where.startswith("presence:")
            ]
            return [
                StoredPresence(place, len(versions), versions[-1].created, versions[-1].data)
                for place, versions in sorted(found, key=lambda one: one[0])
            ]

        return self.sim.effect("read_presences", execute)

    def write_presence(self, place: int, content: Mapping[str, Any], *, cas: int) -> None:
        def execute() -> None:
            self._require_open()
            where = f"presence:{place}"
            if len(self.sim.kv.get(where, [])) != cas:
                raise Conflict("another process was faster", service="vault", kind="conflict")
            self.sim.append(where, dict(content))

        self.sim.effect("write_presence", execute)

    def _require_open(self) -> None:
        if self.sim.sealed:
            raise sealed()
