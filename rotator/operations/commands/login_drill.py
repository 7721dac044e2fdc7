"""Replaces the secret id of the login at Vault as if it had leaked, as an exercise, and times each
step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rotator.errors import RotatorError
from rotator.operations.commands.drill import DrillStep, StepTimer
from rotator.operations.result import OperationResult, failed

LOGIN_STEPS: Mapping[str, str] = {
    "generated": "the file holds a new secret id",
    "registered": "Vault knows it",
    "verified": "it has logged in",
    "in_use": "every later login of this machine uses it",
    "destroyed": "a former secret id is destroyed",
}
"""The steps of a rotation of the secret id, with their descriptions."""


class RotatesLogin(Protocol):
    """What replaces the secret id: ``rotator.vault.secret_id_rotation.SecretIdRotation``."""

    def rotate(self, *, compromised: bool, spare_configured: bool, on_step: Callable[[str], None]) -> int:
        """Replaces it now; how many former ones were destroyed. Raises ``RotatorError``."""


@dataclass(frozen=True)
class LoginDrillResult:
    """The result of a drill of the login. ``seconds``: from the request to the end. ``failure``:
    what ended it early, None if nothing did."""

    steps: tuple[DrillStep, ...]
    seconds: float
    destroyed: int = 0
    failure: OperationResult | None = None

    @property
    def rotated(self) -> bool:
        """Whether a new secret id is in use."""
        return any(step.what == LOGIN_STEPS["in_use"] for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "reason": "drill",
            "rotated": self.rotated,
            "destroyed": self.destroyed,
            "steps": [{"seconds": round(step.at, 3), "what": step.what} for step in self.steps],
            "seconds": round(self.seconds, 3),
            "error": self.failure.as_json()["error"] if self.failure else None,
        }


def drill_login(rotation: RotatesLogin, now: Callable[[], datetime]) -> LoginDrillResult:
    """Makes a new secret id, logs in with it, and destroys the former ones of this machine at once.

    The configured secret id is spared: other machines may log in with it.
    """
    timer = StepTimer(now, LOGIN_STEPS)
    failure = None
    try:
        rotation.rotate(compromised=True, spare_configured=True, on_step=lambda step: timer.saw(step, {}))
    except RotatorError as error:
        failure = failed("login", error)
    destroyed = sum(step.what == LOGIN_STEPS["destroyed"] for step in timer.steps)
    return LoginDrillResult(tuple(timer.steps), timer.seconds(), destroyed, failure)
