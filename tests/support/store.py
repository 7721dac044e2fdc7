"""The simulated Vault as people's questions need it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.simulated import SimVault


@dataclass
class SimStore(SimVault):
    """The simulated Vault with a question that only people ask."""

    kept: int = 10

    def document_limits(self, path: str) -> int:
        return self.kept
