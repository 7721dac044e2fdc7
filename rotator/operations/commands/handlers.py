"""The commands about keys: their requests and handlers. Each returns one result for each
application; a failure of one stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from rotator.domain.access_key import is_access_key
from rotator.domain.spec import ApplicationSpec
from rotator.operations.commands import hold as hold_command
from rotator.operations.commands.compromise import ContainmentTarget, contain_target, resolve_targets
from rotator.operations.commands.contain import CompromiseRequest
from rotator.operations.commands.drill import DrillResult, drill
from rotator.operations.commands.extend import extend
from rotator.operations.commands.revoke import revoke
from rotator.operations.commands.rotate import rotate
from rotator.operations.operation import (
    Maybe,
    Name,
    Names,
    OperationContext,
    OperationRequest,
    Perhaps,
    Reason,
    each,
    reconcile_now,
)
from rotator.operations.queries.key_lookup import application_of, refuse_malformed_keys
from rotator.operations.refusal import OperationError
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import select_applications
from rotator.util.concurrency import run_concurrently


class RotateRequest(OperationRequest):
    """Applications whose keys are to be replaced now."""

    applications: Annotated[Names, Field(min_length=1)]
    compromised: Annotated[
        bool, Field(description="Mark the keys first; they are revoked at once, without grace. Needs a reason.")
    ] = False
    revoke_first: Annotated[bool, Field(description="With compromised: delete before a replacement exists.")] = False
    override_hold: Annotated[
        bool, Field(description="With compromised: revoke these keys even if they are on hold.")
    ] = False
    confirm: Annotated[Maybe, Field(description="With compromised: unmanaged keys to revoke, by their full names.")]
    reason: Reason = ""


def handle_rotate(call: OperationContext, request: RotateRequest) -> tuple[OperationResult, ...]:
    """Replaces keys; in an emergency, also verifies that the old ones are revoked."""
    refuse_malformed_keys(request.applications, call.runtime.specs)
    if request.compromised:
        return _contain(call, request)
    if request.revoke_first or request.override_hold or request.confirm:
        raise OperationError("usage", "revoke_first, override_hold and confirm are for what is compromised")
    if keys := [name for name in request.applications if is_access_key(name)]:
        raise OperationError("usage", f"{keys[0]} is an access key: name its application, or mark it as compromised")

    def work(spec: ApplicationSpec) -> OperationResult:
        return rotate(spec, *call.execution(spec), request.reason.strip() or "requested", call.by)

    return each(call, select_applications(call.runtime, request.applications), work)


def _contain(call: OperationContext, request: RotateRequest) -> tuple[OperationResult, ...]:
    if not request.reason.strip():
        raise OperationError("usage", "a compromise needs a reason, which goes into the ledger and the incident report")
    compromise = CompromiseRequest(request.reason.strip(), call.by, request.revoke_first, request.override_hold)
    found = resolve_targets(call.runtime, request.applications, frozenset(request.confirm), call.now())

    def work(target: ContainmentTarget) -> tuple[OperationResult, ...]:
        return contain_target(target, *call.execution(target.spec), compromise) if target.spec else target.refused

    try:
        results = run_concurrently(work, found, lane=lambda target: target.spec.account if target.spec else "")
    finally:
        reconcile_now(call, [target.spec for target in found if target.spec])
    flat: list[OperationResult] = []
    for target, result in zip(found, results, strict=True):
        name = target.spec.application if target.spec else ""
        flat += [failed(name, result)] if isinstance(result, Exception) else result
    return tuple(flat)


class HoldRequest(OperationRequest):
    """Applications to hold: the named ones, or with ``everything`` all configured ones."""

    applications: Maybe
    everything: bool = False
    reason: Annotated[Reason, Field(min_length=1)]
    until: Annotated[Perhaps, Field(description="When the hold ends; only on resume if left out.")] = None


def handle_hold(call: OperationContext, request: HoldRequest) -> tuple[OperationResult, ...]:
    """Pauses rotation and revocation for applications."""
    if request.until and request.until <= call.now():
        raise OperationError("usage", "the time until which the applications are held has passed: give a future time")
    reason = request.reason.strip() or "held"
    return each(
        call,
        _named(call, request),
        lambda spec: hold_command.hold(spec, *call.execution(spec), reason, call.by, request.until),
    )


class ResumeRequest(OperationRequest):
    """Applications to resume: the named ones, or with ``everything`` all configured ones."""

    applications: Maybe
    everything: bool = False


def handle_resume(call: OperationContext, request: ResumeRequest) -> tuple[OperationResult, ...]:
    """Resumes applications that are on hold."""
    return each(call, _named(call, request), lambda spec: hold_command.resume(spec, *call.execution(spec), call.by))


def _named(call: OperationContext, request: HoldRequest | ResumeRequest) -> list[ApplicationSpec]:
    if bool(request.applications) == request.everything:
        raise OperationError("usage", "name the applications or select all of them, not both")
    return select_applications(call.runtime, request.applications)


class ExtendRequest(OperationRequest):
    """Applications whose keys in grace stay valid longer."""

    applications: Annotated[Names, Field(min_length=1)]
    seconds: Annotated[int, Field(ge=1, le=366 * 86400, description="How much longer.")]


def handle_extend(call: OperationContext, request: ExtendRequest) -> tuple[OperationResult, ...]:
    """Extends the grace period of old keys."""
    longer = timedelta(seconds=request.seconds)
    specs = select_applications(call.runtime, request.applications)
    return each(call, specs, lambda spec: extend(spec, *call.execution(spec), longer, call.by))


class RevokeRequest(OperationRequest):
    """Keys in grace to revoke early, or unmanaged keys. Each is confirmed by its full name."""

    access_keys: Annotated[Names, Field(min_length=1)]
    confirm: Maybe
    reason: Reason = ""
    override_hold: bool = False


def handle_revoke(call: OperationContext, request: RevokeRequest) -> tuple[OperationResult, ...]:
    """Revokes single keys and verifies it."""
    refuse_malformed_keys(request.access_keys)

    def work(access_key: str) -> OperationResult:
        spec, _ = application_of(call.runtime, access_key)
        confirmed = access_key if access_key in request.confirm else ""
        reason = request.reason.strip() or "revoked by hand"
        try:
            return revoke(
                spec,
                *call.execution(spec),
                access_key,
                by=call.by,
                reason=reason,
                confirmed=confirmed,
                override_hold=request.override_hold,
            )
        finally:
            reconcile_now(call, [spec])

    names = list(dict.fromkeys(request.access_keys))
    found = [_tried(work, name) for name in names]  # one after the other: several may belong to one application
    return tuple(
        failed(name, one) if isinstance(one, Exception) else one for name, one in zip(names, found, strict=True)
    )


def _tried(work: Callable[[str], OperationResult], name: str) -> OperationResult | Exception:
    (found,) = run_concurrently(work, [name])
    return found


class DrillRequest(OperationRequest):
    """An application whose key is replaced as in an emergency, as an exercise."""

    application: Name


def handle_drill(call: OperationContext, request: DrillRequest) -> DrillResult:
    """Runs an emergency as an exercise and times each step."""
    (spec,) = select_applications(call.runtime, [request.application])
    try:
        return drill(spec, *call.execution(spec), call.by)
    finally:
        reconcile_now(call, [spec])
