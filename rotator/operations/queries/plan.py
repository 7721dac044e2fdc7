"""Predicts what a pass would do: observes and decides, without acting.

``decide`` is pure, so a plan can follow its steps as long as they need no answer from outside. A
ledger that would be written counts as written. The plan ends at the first step that changes
something at the provider or in the document.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from rotator.decision.decide import decide
from rotator.decision.observation import Observation, Preconditions
from rotator.decision.steps import (
    CreateKey,
    DeleteKey,
    Event,
    FenceDocument,
    SupersedeLedger,
    VerifyKey,
    VerifyRevocation,
    Wait,
    WriteLedger,
)
from rotator.domain.ports import Clock, NullEventSink
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import NextAction
from rotator.errors import Refused, ServiceError
from rotator.operations.failures import FailureReport, explain
from rotator.operations.runtime import Runtime, Store, select_applications
from rotator.reconciler.context import LocalState, ReconcileContext
from rotator.reconciler.runner import observe
from rotator.util.concurrency import run_concurrently
from rotator.util.formatting import format_span, format_time, pluralize

T = TypeVar("T")

Sleep = Callable[[Clock, datetime], None]
"""Sleeps until that clock shows that time."""

FEWEST_VERSIONS = 3
"""A document that keeps fewer loses old secrets before they are needed to verify a revocation."""

NO_INSTALLATION = "0" * 16
"""Stands for the id of an installation that has none yet."""

MAX_DECISIONS = 20
"""Maximum of decisions that a plan follows; usually there are less than five."""


@dataclass(frozen=True)
class Plan:
    """The next action for one application: ``rotate``, ``revoke``, ``adopt``, ``follow``,
    ``fence``, ``verification``, ``observe``, ``in_flight``, ``takeover`` or ``blocked``; when, why,
    the steps that lead to it, and warnings."""

    action: str
    at: datetime
    now: datetime
    reason: str
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanResult:
    """The plan of one application, or why there is none."""

    name: str
    plan: Plan | None = None
    failure: FailureReport | None = None


class ReadOnlyStore:
    """A Vault for reading only: reads are passed on, and writes raise ``Refused``."""

    def __init__(self, vault: Store) -> None:
        self.read_ledger = vault.read_ledger
        self.list_ledgers = vault.list_ledgers
        self.read_account = vault.read_account
        self.read_document = vault.read_document
        self.read_version = vault.read_version
        self.list_versions = vault.list_versions
        self.missing_capabilities = vault.missing_capabilities
        self.require_kv2 = vault.require_kv2
        self.clock_offset = vault.clock_offset
        self._installation = vault.installation

    def installation(self) -> str:
        """The installation's id. Without any ledger, a placeholder: reading it would create it."""
        return self._installation() if self.list_ledgers() else NO_INSTALLATION

    def _refused(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused("a plan writes nothing")

    write_ledger = write_account = write_document = destroy_versions = annotate = _refused


def plan_applications(
    runtime: Runtime, names: Sequence[str], context: Callable[[ApplicationSpec], ReconcileContext], sleep: Sleep
) -> tuple[PlanResult, ...]:
    """Plans the next action of each of these applications, or of all."""
    specs = select_applications(runtime, names)

    def look(spec: ApplicationSpec) -> Plan:
        acting = context(spec)
        return plan_application(spec, acting, runtime.vault, lambda until: sleep(acting.clock, until))

    return tuple(
        PlanResult(spec.application, plan=found)
        if isinstance(found, Plan)
        else PlanResult(spec.application, failure=explain(found))
        for spec, found in zip(specs, run_concurrently(look, specs, lane=lambda spec: spec.account), strict=True)
    )


def plan_application(
    spec: ApplicationSpec, context: ReconcileContext, vault: Store, sleep: Callable[[datetime], None]
) -> Plan:
    """Plans the next action of the application. Raises what ``observe`` raises."""
    local_state = LocalState()
    observing = replace(context, vault=ReadOnlyStore(vault), sink=NullEventSink())
    observation = _finish(observe(spec, observing, local_state), sleep)
    if observation.preconditions is None:
        lacking = tuple(vault.missing_capabilities(spec.path))
        observation = replace(observation, preconditions=Preconditions(lacking, context.provider.headroom()))
    return replace(_follow(spec, observation), warnings=tuple(_warnings(spec, observation, local_state, vault)))


def _finish(observing: Generator[datetime, None, T], sleep: Callable[[datetime], None]) -> T:
    while True:
        try:
            sleep(next(observing))
        except StopIteration as end:
            result: T = end.value
            return result


# --- following the decisions ----------------------------------------------------------------------


def _follow(spec: ApplicationSpec, observation: Observation) -> Plan:
    now = observation.clocks.ours
    steps: list[str] = []
    actions: list[str] = []
    for _ in range(MAX_DECISIONS):
        step = decide(spec, observation)
        if isinstance(step, Wait):
            return _waiting(observation, step, steps, actions)
        if isinstance(step, SupersedeLedger):
            observation = _superseded(observation, step)
            continue
        if not isinstance(step, WriteLedger):
            action, sentence = _act(step)
            return Plan(actions[0] if actions else action, now, now, _why(steps, sentence), (*steps, sentence)[1:])
        for event in step.events:
            if described := _describe(event):
                actions.append(described[0])
                steps.append(described[1])
        if any(event.name == "rotation.claimed" for event in step.events):
            break
        observation = replace(observation, ledger=step.ledger)
    return Plan(
        actions[0] if actions else "observe", now, now, steps[0] if steps else "the ledger is written", tuple(steps[1:])
    )


def _superseded(observation: Observation, step: SupersedeLedger) -> Observation:
    name = step.ledger.application
    related = (
        replace(one, ledger=step.ledger) if one.ledger.application == name else one for one in observation.related
    )
    return replace(observation, related=tuple(related))


def _why(steps: Sequence[str], sentence: str) -> str:
    return steps[0] if steps else sentence


def _waiting(observation: Observation, step: Wait, steps: list[str], actions: list[str]) -> Plan:
    now = observation.clocks.ours
    if step.problem and step.reason == step.problem.reason:
        return Plan("blocked", step.until, now, step.message, ())
    if actions:
        return Plan(actions[0], now, now, steps[0], tuple(steps[1:]))
    following = step.next or NextAction(step.until, "observe", step.message)
    return Plan(following.action, following.at, now, following.reason)


def _describe(event: Event) -> tuple[str, str] | None:
    """The action and the sentence for an event; None if the event says nothing about what comes
    next."""
    f = event.fields
    match event.name:
        case "rotation.claimed":
            return (
                "rotate",
                f"create a key, verify it, publish it in place of version {f['base']}, because: {f['reason']}",
            )
        case "rotation.taken_over":
            return "rotate", f"take over rotation {f['rotation_id']}, which was not finished"
        case "rotation.committed":
            return "follow", f"take {f['access_key']}, which is published in version {f['version']}, as the current key"
        case "rotation.abandoned":
            return "follow", f"abandon rotation {f['rotation_id']}: {f['message']}"
        case "application.adopted":
            return "adopt", f"take over {f['access_key']}, which consumers already use, as it is"
        case "application.renamed":
            return "follow", f"take over the ledger of {f['previous_name']}, the name that it had before"
        case "document.changed_externally":
            return "follow", f"take {f['access_key']}, which another writer published, as the current key"
        case "document.rewritten":
            return "follow", f"note that version {f['version']} holds the same key {f['access_key']}"
        case "key.grace_started":
            return "follow", f"give {f['access_key']} its grace until {_time(f['revoke_after'])} ({f['reason']})"
        case "key.revocation_scheduled":
            return "revoke", f"revoke {f['access_key']} and verify its revocation ({f['reason']})"
        case "key.republished":
            return "rotate", f"replace {f['access_key']}, which was scheduled for revocation and is published again"
        case _:
            return None


def _time(value: object) -> str:
    return format_time(value) if isinstance(value, datetime) else str(value)


def _act(step: object) -> tuple[str, str]:
    match step:
        case DeleteKey():
            return "revoke", f"delete {step.access_key} at the provider and verify its revocation ({step.reason})"
        case VerifyRevocation():
            return "verification", f"verify the revocation of {step.access_key}"
        case FenceDocument():
            return (
                "fence",
                (
                    "rewrite the unchanged document, so that possibly orphaned keys are certainly orphaned and can be "
                    "revoked"
                ),
            )
        case CreateKey() | VerifyKey():
            return "rotate", "create a key"
        case _:
            return "observe", "observe again"


# --- what will go wrong ---------------------------------------------------------------------------


def _warnings(spec: ApplicationSpec, observation: Observation, local_state: LocalState, vault: Store) -> list[str]:
    found = _unmanaged(sorted(local_state.unmanaged_keys))
    preconditions = observation.preconditions
    for right in vault.missing_rights(spec.application, spec.path):
        found.append(f"the policy of the login at Vault lacks what it takes to {right.purpose}: add {right.line}")
    if preconditions and preconditions.headroom is not None and preconditions.headroom < 2:
        left = "room for one more key only" if preconditions.headroom else "no room for another key"
        found.append(f"account {spec.account} has {left}: delete keys that are not needed, or have the quota raised")
    if observation.clocks.spread > spec.max_clock_skew:
        found.append(
            f"the clocks of this machine, Vault and the provider differ by {format_span(observation.clocks.spread)}: "
            "revocations wait; correct the clock"
        )
    if observation.document.expires_at is not None:
        found.append(
            f"Vault deletes version {observation.document.version} of {spec.path} at "
            f"{format_time(observation.document.expires_at)}: set delete_version_after of its mount and of its "
            "metadata to 0s"
        )
    return found + _few_versions(spec, vault)


def _unmanaged(access_keys: Sequence[str]) -> list[str]:
    if len(access_keys) < 2:
        return [
            f"{access_key} is unmanaged: rotator neither created nor published it, so it is never touched"
            for access_key in access_keys
        ]
    names = ", ".join(access_keys)
    return [
        (
            f"{len(access_keys)} keys are unmanaged: rotator neither created nor published them, so they are never "
            f"touched: {names}"
        )
    ]


def _few_versions(spec: ApplicationSpec, vault: Store) -> list[str]:
    try:
        kept = vault.document_limits(spec.path)
    except ServiceError as error:
        return [f"the number of versions that the credential document keeps is unknown: {error}"]
    if kept >= FEWEST_VERSIONS:
        return []
    proofs = "revocations are verified by name only; raise its max_versions"
    return [f"{spec.path} keeps only {pluralize(kept, 'version')}: with fewer than {FEWEST_VERSIONS}, {proofs}"]
