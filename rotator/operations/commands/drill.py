"""The emergency for practice: a real one on a key that has not leaked, timed step by step, beside
what its calls alone take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from rotator.domain.ports import Clock, Provider, TapSink, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.result import OperationResult
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext

REASON = "drill"
"""The reason of the mark, which shows that nothing leaked."""

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
"""The events that are steps of the emergency, in words."""

BARE = ("create_key", "write_document", "delete_key")
"""The calls without which no key is replaced: create, write and delete."""


@dataclass(frozen=True)
class DrillStep:
    """One step: when it was confirmed, in seconds from the order, and which key it is about."""

    at: float
    what: str
    access_key: str = ""


@dataclass(frozen=True)
class DrillResult:
    """How it went. ``calls``: how long the calls took without which no key is replaced, each
    once."""

    result: OperationResult
    steps: tuple[DrillStep, ...] = ()
    calls: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bare(self) -> float:
        """What create, write and delete take by themselves."""
        return sum(self.calls.values())

    @property
    def multiple(self) -> float | None:
        """The whole as a multiple of that; None when nothing was measured, because another process
        did the work."""
        return self.seconds / self.bare if self.bare > 0 and len(self.calls) == len(BARE) else None

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
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
    """Times the steps that events report, and the calls that go through what it wraps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self.steps: list[DrillStep] = []
        self.calls: dict[str, float] = {}

    def seconds(self, since: datetime | None = None) -> float:
        """How long ago that was; without a time, when the drill began."""
        return (self._clock.now() - (since or self._began)).total_seconds()

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Note a step."""
        if event in STEPS:
            self.steps.append(DrillStep(self.seconds(), STEPS[event], str(fields.get("access_key", ""))))

    def timed(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The same call, whose first success is timed."""

        def run(*arguments: Any, **options: Any) -> Any:
            began = self._clock.now()
            answer = call(*arguments, **options)
            self.calls.setdefault(name, self.seconds(began))
            return answer

        return run


class TimedStep:
    """A provider or a Vault as it is, but for the calls that are timed."""

    def __init__(self, inner: Any, watch: StepTimer) -> None:
        self._inner = inner
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "urgent":
            return lambda: TimedStep(found(), self._watch)
        return self._watch.timed(found, name) if name in BARE else found


def drill(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, by: str) -> DrillResult:
    """Contain the application's keys as if they had leaked, with the watch in hand."""
    watch = StepTimer(context.clock)
    watched = replace(
        context,
        sink=TapSink(context.sink, watch.saw),
        provider=cast("Provider", TimedStep(context.provider, watch)),
        vault=cast("VaultStore", TimedStep(context.vault, watch)),
    )
    result = contain(spec, watched, sleep, CompromiseRequest(REASON, by))
    calls = {name: watch.calls[name] for name in BARE if name in watch.calls}
    return DrillResult(result, tuple(watch.steps), calls, watch.seconds())
