"""The simulated Vault as people's questions need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.simulated import SimVault


@dataclass
class SimVersion:
    version: int
    created_time: datetime
    deleted: bool


@dataclass
class SimStore(SimVault):
    """The simulated Vault with the two questions that only people ask."""

    kept: int = 10

    def list_versions(self, path: str) -> Sequence[SimVersion]:
        versions = self.sim.kv.get("doc:" + path, [])
        return [SimVersion(number, version.created, version.deleted) for number, version in enumerate(versions, 1)]

    def document_limits(self, path: str) -> int:
        return self.kept
