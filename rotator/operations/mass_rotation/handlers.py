"""Operations on whole accounts: coverage, waivers, and mass rotations."""

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

Account = Annotated[str, Field(max_length=200, description="The account; optional if there is only one.")]


def of(call: OperationContext, accounts: Sequence[str] = ()) -> list[AccountScope]:
    """The named accounts; all configured ones if none is named."""
    return account_scopes(call.runtime, accounts, call.context, call.sink)


def only(call: OperationContext, named: str) -> AccountScope:
    """The named account, or the only one."""
    known = sorted(call.runtime.accounts)
    if not named and len(known) != 1:
        raise OperationError("usage", f"there are several accounts: select one with --account ({', '.join(known)})")
    (scope,) = of(call, [named or known[0]])
    return scope


def _sleep(call: OperationContext) -> Sleep:
    return lambda until: call.sleep(call.runtime.clock, until)


# --- coverage -------------------------------------------------------------------------------------


class CoverageRequest(Asked):
    """An account, and a time; no valid key may be older."""

    account: Account = ""
    created_before: Moment


def handle_coverage(call: OperationContext, request: CoverageRequest) -> CoverageReport:
    """Lists every older valid key of the account."""
    return take_snapshot(only(call, request.account)).coverage(request.created_before)


class WaiveRequest(Asked):
    """An old key that may stay, and why; with ``withdraw``, no longer."""

    access_key: Name
    account: Account = ""
    reason: Reason = ""
    until: Annotated[Perhaps, Field(description="When the waiver ends; never if left out.")] = None
    withdraw: bool = False


def handle_waive(call: OperationContext, request: WaiveRequest) -> WaiveResult:
    """Exempts a key from coverage, or ends the exemption."""
    reason, now = request.reason.strip(), call.now()
    refuse_malformed_keys([request.access_key])
    if not is_access_key(request.access_key):
        raise OperationError("usage", "that is no access key: one is SCW and 17 capital letters and digits")
    if request.withdraw and (reason or request.until):
        raise OperationError("usage", "withdrawing a waiver takes neither a reason nor a time")
    if not request.withdraw and not reason:
        raise OperationError("usage", "a waiver needs a reason")
    if request.until and request.until <= now:
        raise OperationError("usage", "the time until which the key may stay has passed: give a future time")
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
    """The selected applications: these names (all if empty), of these accounts, that match one of
    these patterns; of them, those with a key from before ``created_before`` (default: now)."""

    applications: Maybe
    accounts: Maybe
    globs: Annotated[Maybe, Field(description="Patterns such as shop-*; a name matches one of them.")]
    created_before: Perhaps = None
    selector: Annotated[
        str,
        Field(
            max_length=100,
            description="That time as written, such as 36h; the same text resumes the same mass rotation.",
        ),
    ] = ""
    compromised: bool = False
    reason: Reason = ""


class MassRotationCommand(PreviewRequest):
    """The same selection, to be rotated now."""

    wait: Annotated[bool, Field(description="If the quota has no room for all at once, wait until graces end.")] = False

    @property
    def same(self) -> str:
        """Equal for requests that would do the same work."""
        selector = _selection(self).selector(created_before=_time_selector(self), compromised=self.compromised)
        return f"{selector} --reason {self.reason}" if self.compromised else selector


def handle_preview(call: OperationContext, request: PreviewRequest) -> tuple[Preview, ...]:
    """Previews the mass rotation; changes nothing."""
    wanted = _request(call, request)
    return tuple(build_preview(scope, wanted) for scope in _meant(call, wanted.selection))


def handle_mass_rotation(call: OperationContext, request: MassRotationCommand) -> MassRotationReport:
    """Rotates the selection, all accounts in parallel, each until its coverage report. An
    unavailable account stops no other."""
    if request.compromised and not request.reason.strip():
        raise OperationError("usage", "a compromise needs a reason, which goes into the ledger and the incident report")
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

    # Every account records the mass rotation before any of them starts: a report that lacks one
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


def _time_selector(request: PreviewRequest) -> str:
    """The time that identifies the mass rotation: as written, else as a timestamp."""
    return request.selector or (format_timestamp(request.created_before) if request.created_before else "")


def _request(call: OperationContext, request: PreviewRequest) -> MassRotationRequest:
    now = call.now()
    created_before = request.created_before or now
    created_before -= timedelta(microseconds=created_before.microsecond)  # the printed time is the exact time
    if created_before > now:
        raise OperationError("usage", "--created-before is in the future: keys created now would be replaced again")
    reason = request.reason.strip() or ("suspected compromise" if request.compromised else "mass rotation")
    fixed = request.created_before is not None and not _is_duration(request.selector)
    return MassRotationRequest(
        _selection(request), _time_selector(request), created_before, request.compromised, reason, call.by, now, fixed
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
        raise OperationError("usage", "no configured application matches: see rotator status")
    return found
