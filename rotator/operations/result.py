"""The result of an operation on one application, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rotator.operations.failures import explain
from rotator.util.formatting import format_timestamp


@dataclass(frozen=True)
class OperationResult:
    """The result for one application. ``outcome`` is ``rotated``, ``overtaken`` (another process
    did it), ``contained``, ``revoked``, ``held``, ``resumed``, ``extended``, ``refused``,
    ``failed`` or ``unreachable``."""

    application: str
    outcome: str
    exit_code: int
    message: str
    reason: str = ""
    access_key: str = ""
    version: int = 0
    replaced: str = ""
    revoke_after: datetime | None = None
    rotation_id: str = ""
    revoked: Mapping[str, str] = field(default_factory=dict)
    marked_at: datetime | None = None
    contained_at: datetime | None = None
    outage_seconds: float | None = None
    until: Mapping[str, datetime] = field(default_factory=dict)
    held_until: datetime | None = None

    @property
    def seconds_from_mark(self) -> float | None:
        """Seconds between the durable mark and the verified revocation of the marked keys; 0 if the
        clock of another machine dated the mark later."""
        if self.marked_at is None or self.contained_at is None:
            return None
        return max(0.0, (self.contained_at - self.marked_at).total_seconds())

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        answer: dict[str, Any] = {"name": self.application, "outcome": self.outcome, "exit_code": self.exit_code}
        if self.exit_code:
            return {**answer, "error": {"kind": self.reason, "message": self.message, "exit_code": self.exit_code}}
        if self.outcome == "resumed":
            return answer
        if self.outcome == "held":
            return {**answer, "until": format_timestamp(self.held_until) if self.held_until else None}
        if self.outcome == "extended":
            return {**answer, "until": {key: format_timestamp(deadline) for key, deadline in self.until.items()}}
        if self.outcome != "revoked":
            answer |= {"access_key": self.access_key, "version": self.version}
        if self.outcome in {"contained", "revoked"}:
            if self.outage_seconds is not None:
                answer["outage_seconds"] = round(self.outage_seconds, 3)
            answer["revoked"] = [
                {"access_key": key, "verification": verification} for key, verification in self.revoked.items()
            ]
        else:
            answer |= {
                "replaced": self.replaced,
                "revoke_after": format_timestamp(self.revoke_after) if self.revoke_after else None,
                "rotation_id": self.rotation_id,
            }
        if self.marked_at and self.seconds_from_mark is not None:
            answer["marked_at"] = format_timestamp(self.marked_at)
            answer["seconds_from_mark"] = round(self.seconds_from_mark, 3)
        return answer


def short_of(application: str, exit_code: int, message: str, reason: str) -> OperationResult:
    """The result of a failure; the exit code selects ``unreachable``, ``refused`` or ``failed``."""
    outcome = {3: "unreachable", 4: "refused"}.get(exit_code, "failed")
    return OperationResult(application, outcome, exit_code, message, reason)


def failed(application: str, error: Exception, remark: str = "") -> OperationResult:
    """The result of an exception, with a remark."""
    failure = explain(error)
    message = "; ".join([*failure.sentences, *([remark] if remark else [])])
    return short_of(application, failure.exit_code, message, failure.kind)
