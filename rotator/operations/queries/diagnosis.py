"""The result of ``rotator doctor``: one line for each check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One line: the check, its outcome, what was seen, and what to do."""

    name: str
    outcome: Outcome
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and when they ran."""

    at: datetime
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """1 if a check failed, 5 if one has a warning, else 0."""
        outcomes = {check.outcome for check in self.checks}
        return 1 if "failed" in outcomes else 5 if "warning" in outcomes else 0
