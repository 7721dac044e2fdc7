"""The orders that people give about keys: what each takes, and what is done. Every one answers with results, application by
application; a failure of one stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from rotator.domain.policy import ApplicationSpec
from rotator.operations.commands import hold as brake
from rotator.operations.commands.compromise import ContainmentTarget, contain_target, resolve_targets
from rotator.operations.commands.contain import CompromiseRequest
from rotator.operations.commands.drill import DrillResult, drill
from rotator.operations.commands.extend import extend
from rotator.operations.commands.revoke import revoke
from rotator.operations.commands.rotate import rotate
from rotator.operations.operation import Maybe, Name, Names, OperationContext, OperationRequest, Reason, each, reconcile_now
from rotator.operations.queries.key_lookup import application_of, is_access_key
from rotator.operations.refusal import OperationError
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import select_applications
from rotator.util.concurrency import run_concurrently


class RotateRequest(OperationRequest):
    """Applications whose keys are to be replaced now."""

    applications: Annotated[Names, Field(min_length=1)]
    compromised: Annotated[bool, Field(description="Mark the keys first; they die at once, without grace. Needs a reason.")] = (
        False
    )
    revoke_first: Annotated[bool, Field(description="With compromised: delete before there is a replacement.")] = False
    through_hold: Annotated[bool, Field(description="With compromised: no operator's hold spares these keys.")] = False
    confirm: Annotated[Maybe, Field(description="With compromised: strangers' keys that are to die, by their full names.")]
    reason: Reason = ""


def handle_rotate(call: OperationContext, wish: RotateRequest) -> tuple[OperationResult, ...]:
    """Replace keys; in an emergency, see them dead."""
    if wish.compromised:
        return _contain(call, wish)
    if wish.revoke_first or wish.through_hold or wish.confirm:
        raise OperationError("usage", "revoke_first, through_hold and confirm are for what is compromised")
    if keys := [name for name in wish.applications if is_access_key(name)]:
        raise OperationError("usage", f"{keys[0]} is an access key: name its application, or say that it is compromised")

    def work(policy: ApplicationSpec) -> OperationResult:
        return rotate(policy, *call.hand(policy), wish.reason or "requested")

    return each(call, select_applications(call.household, wish.applications), work)


def _contain(call: OperationContext, wish: RotateRequest) -> tuple[OperationResult, ...]:
    if not wish.reason.strip():
        raise OperationError("usage", "say why the keys are compromised: the reason goes into the ledger and the incident report")
    order = CompromiseRequest(wish.reason.strip(), call.by, wish.revoke_first, wish.through_hold)
    found = resolve_targets(call.household, wish.applications, frozenset(wish.confirm), call.now())

    def work(job: ContainmentTarget) -> tuple[OperationResult, ...]:
        return contain_target(job, *call.hand(job.policy), order) if job.policy else job.refused

    try:
        results = run_concurrently(work, found)
    finally:
        reconcile_now(call, [job.policy for job in found if job.policy])
    told: list[OperationResult] = []
    for job, result in zip(found, results, strict=True):
        name = job.policy.application if job.policy else ""
        told += [failed(name, result)] if isinstance(result, Exception) else result
    return tuple(told)


class HoldRequest(OperationRequest):
    """Applications that are to be left alone; all of the configuration when none is named and ``everything`` is true."""

    applications: Maybe
    everything: bool = False
    reason: Annotated[Reason, Field(min_length=1)]


def handle_hold(call: OperationContext, wish: HoldRequest) -> tuple[OperationResult, ...]:
    """Leave applications alone."""
    return each(
        call, _named(call, wish), lambda policy: brake.hold(policy, *call.hand(policy), wish.reason.strip() or "held", call.by)
    )


class ResumeRequest(OperationRequest):
    """Applications that are to go on; all of the configuration when none is named and ``everything`` is true."""

    applications: Maybe
    everything: bool = False


def handle_resume(call: OperationContext, wish: ResumeRequest) -> tuple[OperationResult, ...]:
    """Let held applications go on."""
    return each(call, _named(call, wish), lambda policy: brake.resume(policy, *call.hand(policy), call.by))


def _named(call: OperationContext, wish: HoldRequest | ResumeRequest) -> list[ApplicationSpec]:
    if bool(wish.applications) == wish.everything:
        raise OperationError("usage", "name the applications, or say that all are meant, not both")
    return select_applications(call.household, wish.applications)


class ExtendRequest(OperationRequest):
    """Applications whose keys in grace are to live on."""

    applications: Annotated[Names, Field(min_length=1)]
    seconds: Annotated[int, Field(ge=1, le=366 * 86400, description="How much longer.")]


def handle_extend(call: OperationContext, wish: ExtendRequest) -> tuple[OperationResult, ...]:
    """Let keys in grace live on."""
    longer = timedelta(seconds=wish.seconds)
    policies = select_applications(call.household, wish.applications)
    return each(call, policies, lambda policy: extend(policy, *call.hand(policy), longer, call.by))


class RevokeRequest(OperationRequest):
    """Keys that are to die before their time, or that are a stranger's; each has to be confirmed by its full name."""

    access_keys: Annotated[Names, Field(min_length=1)]
    confirm: Maybe
    reason: Reason = ""
    through_hold: bool = False


def handle_revoke(call: OperationContext, wish: RevokeRequest) -> tuple[OperationResult, ...]:
    """See single keys dead."""

    def work(access_key: str) -> OperationResult:
        policy, _ = application_of(call.household, access_key)
        confirmed = access_key if access_key in wish.confirm else ""
        reason = wish.reason.strip() or "revoked by hand"
        try:
            return revoke(
                policy,
                *call.hand(policy),
                access_key,
                by=call.by,
                reason=reason,
                confirmed=confirmed,
                through_hold=wish.through_hold,
            )
        finally:
            reconcile_now(call, [policy])

    names = list(dict.fromkeys(wish.access_keys))
    found = [_tried(work, name) for name in names]  # one after the other: several may be of one application
    return tuple(failed(name, one) if isinstance(one, Exception) else one for name, one in zip(names, found, strict=True))


def _tried(work: Callable[[str], OperationResult], name: str) -> OperationResult | Exception:
    (found,) = run_concurrently(work, [name])
    return found


class DrillRequest(OperationRequest):
    """One application whose key is replaced as in an emergency, for practice."""

    application: Name


def handle_drill(call: OperationContext, wish: DrillRequest) -> DrillResult:
    """Practise the emergency, and time every step of it."""
    (policy,) = select_applications(call.household, [wish.application])
    try:
        return drill(policy, *call.hand(policy), call.by)
    finally:
        reconcile_now(call, [policy])
