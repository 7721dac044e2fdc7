"""The results of operations on whole accounts."""

from __future__ import annotations

from dataclasses import dataclass

from rotator.domain.account import Waiver
from rotator.operations.mass_rotation.coordinator import MassRotationResult
from rotator.operations.result import OperationResult


@dataclass(frozen=True)
class WaiveResult:
    """The current waivers of the account."""

    account: str
    waivers: tuple[Waiver, ...]


@dataclass(frozen=True)
class MassRotationReport:
    """The result of each account; ``failed`` names the accounts that could not be read."""

    accounts: tuple[MassRotationResult, ...]
    failed: tuple[OperationResult, ...] = ()
