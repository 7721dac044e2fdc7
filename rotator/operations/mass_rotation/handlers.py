"""Questions and orders about whole accounts: the coverage proof and its waivers, and the rotation
of many applications."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from rotator.domain.access_key import is_access_key
from rotator.domain.account import MassRotation, Waiver
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.account_update import update_account, with_waiver, without_waiver
from rotator.operations.coverage import CoverageReport
from rotator.operations.mass_rotation.account_snapshot import AccountScope, account_scopes, take_snapshot
from rotator.operations.mass_rotation.coordinator import (
    MassRotationRequest,
    MassRotationResult,
    begin_mass_rotation,
    run_mass_rotation,
)
from rotator.operations.mass_rotation.preview import Preview, build_preview
from rotator.operations.mass_rotation.results import MassRotationReport, WaiveResult
from rotator.operations.mass_rotation.selection import Selection
from rotator.operations.operation import Maybe, Moment, Name, OperationContext, Perhaps, Reason, reconcile_now
from rotator.operations.operation import OperationRequest as Asked
from rotator.operations.queries.key_lookup import refuse_malformed_keys
from rotator.operations.refusal import OperationError
from rotator.operations.result import failed
from rotator.operations.runtime import Sleep
from rotator.util.concurrency import run_concurrently
from rotator.util.durations import parse_duration
from rotator.util.formatting import format_timestamp

Account = Annotated[str, Field(max_length=200, description="The account; the only one when it is left out.")]


def of(call: OperationContext, accounts: Sequence[str] = ()) -> list[AccountScope]:
    """The accounts that were named; all of the configuration when none was."""
    return account_scopes(call.runtime, accounts, call.context, call.sink)


def only(call: OperationContext, named: str) -> AccountScope:
    """The account that was named, or the only one that there is."""
    known = sorted(call.runtime.accounts)
    if not named and len(known) != 1:
        raise OperationError("usage", f"there are several accounts: say which with --account ({', '.join(known)})")
    (scope,) = of(call, [named or known[0]])
    return scope


def _sleep(call: OperationContext) -> Sleep:
    return lambda until: call.sleep(call.runtime.clock, until)


# --- coverage -------------------------------------------------------------------------------------


class CoverageRequest(Asked):
    """An account, and the time before which no live key of it is to be from."""

    account: Account = ""
    created_before: Moment


def handle_coverage(call: OperationContext, request: CoverageRequest) -> CoverageReport:
    """Name every live key of the account that is older."""
    return take_snapshot(only(call, request.account)).coverage(request.created_before)


class WaiveRequest(Asked):
    """A key that may stay in spite of its age, and why; with ``withdraw``, no longer."""

    access_key: Name
    account: Account = ""
    reason: Reason = ""
    until: Annotated[Perhaps, Field(description="When the word counts no longer; never when it is left out.")] = None
    withdraw: bool = False


def handle_waive(call: OperationContext, request: WaiveRequest) -> WaiveResult:
    """Let a key stay, or no longer."""
    reason, now = request.reason.strip(), call.now()
    refuse_malformed_keys([request.access_key])
    if not is_access_key(request.access_key):
        raise OperationError("usage", "that is no access key: one is SCW and 17 capital letters and digits")
    if request.withdraw and (reason or request.until):
        raise OperationError("usage", "who withdraws a word gives neither a reason nor a time")
    if not request.withdraw and not reason:
        raise OperationError("usage", "say why the key may stay")
    if request.until and request.until <= now:
        raise OperationError("usage", "the time until which the key may stay has passed: tell one to come")
    scope = only(call, request.account)
    if request.withdraw:
        wanted = without_waiver(request.access_key)
    else:
        if scope.provider.get_key(request.access_key) is None:
            raise Refused(f"account {scope.account} has no key {request.access_key}: a revoked key needs no waiver")
        wanted = with_waiver(Waiver(request.access_key, reason, call.by, now, request.until))
    document = update_account(scope.vault, scope.account, wanted, clock=scope.clock, sleep=_sleep(call))
    return WaiveResult(document.account, document.waivers)


# --- many applications ----------------------------------------------------------------------------


class PreviewRequest(Asked):
    """The applications that are meant: these names (all when empty), of these accounts, that fit
    one of these patterns; of them, those with a key from before ``created_before``, which is now
    when it is left out."""

    applications: Maybe
    accounts: Maybe
    globs: Annotated[Maybe, Field(description="Patterns such as shop-*, of which a name has to fit one.")]
    created_before: Perhaps = None
    selector: Annotated[
        str,
        Field(
            max_length=100,
            description="That time as it was written, such as 36h; the same text continues the same mass rotation.",
        ),
    ] = ""
    compromised: bool = False
    reason: Reason = ""


class MassRotationCommand(PreviewRequest):
    """The same, to be rotated now."""

    wait: Annotated[
        bool, Field(description="Where there is no room for all at once, wait until graces end and go on.")
    ] = False

    @property
    def same(self) -> str:
        """What another order has in common that would do the same work."""
        said = _selection(self).selector(created_before=_said(self), compromised=self.compromised)
        return f"{said} --reason {self.reason}" if self.compromised else said


def handle_preview(call: OperationContext, request: PreviewRequest) -> tuple[Preview, ...]:
    """Say what would be done; change nothing."""
    wanted = _request(call, request)
    return tuple(build_preview(scope, wanted) for scope in _meant(call, wanted.selection))


def handle_mass_rotation(call: OperationContext, request: MassRotationCommand) -> MassRotationReport:
    """Rotate what was asked for, all accounts beside each other, each to its coverage proof: one
    that is away stops no other."""
    if request.compromised and not request.reason.strip():
        raise OperationError(
            "usage", "say why the keys are compromised: the reason goes into the ledger and the incident report"
        )
    wanted = _request(call, request)
    known = call.runtime.specs
    found, token, sleep = _meant(call, wanted.selection), call.runtime.clock.token(), _sleep(call)

    def go_on() -> None:
        if call.daemon_handle is not None and call.daemon_handle.stopping.is_set():
            raise OperationError(
                "stopping", "the daemon is stopping and starts no more rotations; repeat the command to continue", 3
            )

    def one(scope: AccountScope) -> MassRotationResult:
        order = orders[scope.account]
        return run_mass_rotation(
            scope, wanted.selection, order, sleep, go_on=go_on, again=order.id != token, wait=request.wait
        )

    # Before anything happens in one account, every other one knows of it: a report that lacks one
    # must not look complete.
    begun = run_concurrently(lambda scope: begin_mass_rotation(scope, wanted, sleep, token), found, at_once=len(found))
    orders: dict[str, MassRotation] = {}
    for scope, order in zip(found, begun, strict=True):
        if isinstance(order, Exception):
            raise order
        orders[scope.account] = order
    results = run_concurrently(one, found, at_once=len(found))
    done = [result for result in results if isinstance(result, MassRotationResult)]
    reconcile_now(
        call,
        [call.runtime.spec(one.application) for result in done for one in result.broken if one.application in known],
    )
    errors = [
        (scope.account, error) for scope, error in zip(found, results, strict=True) if isinstance(error, Exception)
    ]
    for _, error in errors:
        if not done or not isinstance(error, RotatorError):
            raise error
    return MassRotationReport(tuple(done), tuple(failed(f"account {name}", error) for name, error in errors))


def _selection(request: PreviewRequest) -> Selection:
    return Selection(tuple(request.applications), tuple(request.accounts), tuple(request.globs))


def _said(request: PreviewRequest) -> str:
    """The time that identifies the mass rotation: as it was written, else as a timestamp."""
    return request.selector or (format_timestamp(request.created_before) if request.created_before else "")


def _request(call: OperationContext, request: PreviewRequest) -> MassRotationRequest:
    now = call.now()
    created_before = request.created_before or now
    created_before -= timedelta(microseconds=created_before.microsecond)  # what is printed is what is meant
    if created_before > now:
        raise OperationError(
            "usage", "--created-before is a time to come: the keys that are made now would be replaced again"
        )
    reason = request.reason.strip() or ("suspected compromise" if request.compromised else "mass rotation")
    fixed = request.created_before is not None and not _is_duration(request.selector)
    return MassRotationRequest(
        _selection(request), _said(request), created_before, request.compromised, reason, call.by, now, fixed
    )


def _is_duration(selector: str) -> bool:
    with suppress(ValueError):
        return bool(selector) and parse_duration(selector, minimum=timedelta(0)) is not None
    return False


def _meant(call: OperationContext, selection: Selection) -> list[AccountScope]:
    refuse_malformed_keys(selection.names, call.runtime.specs)
    for name in selection.names:
        call.runtime.spec(name)
    found = [
        scope for scope in of(call, selection.accounts) if any(selection.chooses(spec) for spec in scope.specs.values())
    ]
    if not found:
        raise OperationError("usage", "no application of the configuration is what was asked for: see rotator status")
    return found
