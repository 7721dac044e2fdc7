"""Runs an emergency as an exercise: a real one on a key that has not leaked. Times each step, and
the calls alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from rotator.domain.ports import Provider, TapSink, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.result import OperationResult
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext

REASON = "drill"
"""The reason of the mark; it shows that nothing leaked."""

STEPS: Mapping[str, str] = {
    "compromise.marked": "the mark is in the ledger: from here on every actor acts on it",
    "rotation.claimed": "a rotation is claimed",
    "rotation.created": "the provider has made the new key",
    "rotation.verified": "the new key works",
    "rotation.published": "consumers can read it",
    "rotation.committed": "the ledger follows",
    "key.deleted": "the old key is deleted",
    "key.revoked": "the old key is verified as revoked",
    "compromise.contained": "contained",
}
"""The events that are steps of an emergency, with their descriptions."""

BARE = ("create_key", "write_document", "delete_key")
"""The calls that every replacement needs: create, write, delete."""


@dataclass(frozen=True)
class DrillStep:
    """A step: seconds from the request to its confirmation, and its key."""

    at: float
    what: str
    access_key: str = ""


@dataclass(frozen=True)
class DrillResult:
    """The result of a drill. ``calls``: seconds that each of the calls in ``BARE`` took, the first
    time."""

    result: OperationResult
    steps: tuple[DrillStep, ...] = ()
    calls: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bare(self) -> float:
        """Seconds of create, write and delete together."""
        return sum(self.calls.values())

    @property
    def multiple(self) -> float | None:
        """The whole duration as a multiple of ``bare``; None if another process made one of the
        calls."""
        return self.seconds / self.bare if self.bare > 0 and len(self.calls) == len(BARE) else None

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "result": self.result.as_json(),
            "steps": [
                {"seconds": round(step.at, 3), "what": step.what, "access_key": step.access_key} for step in self.steps
            ],
            "calls": {name: round(took, 3) for name, took in self.calls.items()},
            "seconds": round(self.seconds, 3),
            "multiple": round(self.multiple, 2) if self.multiple is not None else None,
        }


class StepTimer:
    """Times the steps by their events, and the calls through what it wraps."""

    def __init__(self, now: Callable[[], datetime], steps: Mapping[str, str] = STEPS) -> None:
        self._now = now
        self._descriptions = steps
        self._began = now()
        self.steps: list[DrillStep] = []
        self.calls: dict[str, float] = {}

    def seconds(self, since: datetime | None = None) -> float:
        """Seconds since that time; by default, since the drill began."""
        return (self._now() - (since or self._began)).total_seconds()

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Times a step."""
        if event in self._descriptions:
            self.steps.append(DrillStep(self.seconds(), self._descriptions[event], str(fields.get("access_key", ""))))

    def timed(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The same call, with its first success timed."""

        def run(*arguments: Any, **options: Any) -> Any:
            began = self._now()
            answer = call(*arguments, **options)
            self.calls.setdefault(name, self.seconds(began))
            return answer

        return run


class TimedStep:
    """Wraps a provider or a Vault and times the calls in ``BARE``."""

    def __init__(self, inner: Any, timer: StepTimer) -> None:
        self._inner = inner
        self._timer = timer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "urgent":
            return lambda: TimedStep(found(), self._timer)
        return self._timer.timed(found, name) if name in BARE else found


def drill(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, by: str) -> DrillResult:
    """Contains the application's keys as if they had leaked, and times it."""
    timer = StepTimer(context.clock.now)
    timed = replace(
        context,
        sink=TapSink(context.sink, timer.saw),
        provider=cast("Provider", TimedStep(context.provider, timer)),
        vault=cast("VaultStore", TimedStep(context.vault, timer)),
    )
    result = contain(spec, timed, sleep, CompromiseRequest(REASON, by))
    calls = {name: timer.calls[name] for name in BARE if name in timer.calls}
    return DrillResult(result, tuple(timer.steps), calls, timer.seconds())
