"""The answer of ``rotator doctor``: one line for each check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One line: what was examined, the outcome, what was seen, and what to do."""

    name: str
    outcome: Outcome
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Every line, and when they were found."""

    at: datetime
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """1 when a line failed, 5 when one is a warning, 0 otherwise."""
        outcomes = {check.outcome for check in self.checks}
        return 1 if "failed" in outcomes else 5 if "warning" in outcomes else 0
