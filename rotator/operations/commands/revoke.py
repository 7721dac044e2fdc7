"""Revokes one key at an operator's request: a key in grace, or an unmanaged one; never the key that
consumers read."""

from __future__ import annotations

from rotator.decision.transitions.grace import end_grace
from rotator.domain.keys import Key, management_key_message
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Refused, RotatorError, ServiceError
from rotator.operations.commands.contain import CompromiseRequest, contain, revocation_evidence
from rotator.operations.commands.convergence import Deadline, blocking_reason, wait_for_next_pass
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.ledgers import read_whole_ledger
from rotator.operations.outage_limit import context_with_retried_reads
from rotator.operations.result import OperationResult, failed, short_of
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import LocalState, ReconcileContext
from rotator.reconciler.runner import drive, reconcile

UNMANAGED_ONLY = "revoked as an unmanaged key"


def revoke(
    spec: ApplicationSpec,
    context: ReconcileContext,
    sleep: Sleep,
    access_key: str,
    *,
    by: str,
    reason: str = "revoked by hand",
    confirmed: str = "",
    override_hold: bool = False,
) -> OperationResult:
    """Revokes a key of the application's bearer and verifies it: a key in grace before its
    deadline, or an unmanaged key.

    Requires that ``confirmed`` is the full name of the key. Refuses the key that consumers read.
    """
    name = spec.application
    try:
        retrying = context_with_retried_reads(spec, context, sleep)
        ledger = read_whole_ledger(spec, retrying)
        document = retrying.vault.read_document(*spec.location)
        if access_key == document.published or (ledger and ledger.current and ledger.current.access_key == access_key):
            raise Refused(
                f"{access_key} is what the consumers of {name} read: replace it with: rotator rotate {name}"
                f" (if it leaked: rotator rotate {name} --compromised --reason TEXT)"
            )
        known = ledger is not None and access_key in ledger.names()
        key = _known_key(context, access_key) if known else retrying.provider.get_key(access_key)
        if key is not None and key.manages_account:
            raise Refused(management_key_message(access_key, spec.account))
        if not known:
            require_unmanaged(spec, retrying, access_key, key)
        if confirmed != access_key and not (ledger and ledger.is_revoking(access_key)):
            return unconfirmed(access_key, name, unmanaged=not known)
        marked = known and ledger is not None and access_key in ledger.compromised_keys()
        if known and not (marked and override_hold):  # the override goes into the mark
            _end_grace(spec, context, sleep, access_key, reason, by)
            return _wait_until_revoked(spec, context, sleep, access_key)
    except RotatorError as error:
        return failed(name, error)
    return contain(
        spec, context, sleep, CompromiseRequest(reason, by, override_hold=override_hold), keys=frozenset({access_key})
    )


def _known_key(context: ReconcileContext, access_key: str) -> Key | None:
    """A key that the ledger names, from the provider; None without an answer, since the ledger
    suffices to end a grace."""
    try:
        return context.provider.get_key(access_key)
    except ServiceError:
        return None


def require_unmanaged(spec: ApplicationSpec, context: ReconcileContext, access_key: str, key: Key | None) -> None:
    """Raises ``Refused`` with the reason unless the key is an unmanaged one of the application's
    bearer."""
    name = spec.application
    if key is None:
        raise Refused(f"there is no key {access_key}: it is revoked already, or of another organisation")
    if key.bearer != spec.bearer:
        raise Refused(f"{access_key} belongs to another bearer than {name}: it is not touched")
    if not key.revocable:
        raise Refused(f"{access_key} is managed or not deletable at the provider: have it removed there")
    marker = parse_marker(key.description)
    if marker is not None and marker.installation == context.vault.installation():
        raise Refused(
            f"{access_key} was created by rotator and is not in the ledger of {name} yet: the next pass classifies it"
            f" (if it leaked: rotator rotate {access_key} --compromised --reason TEXT)"
        )


def unconfirmed(access_key: str, name: str, *, unmanaged: bool) -> OperationResult:
    """The refusal of a key whose full name was not repeated."""
    what = (
        f"{access_key} is an unmanaged key, which {name} neither made nor published, and its owner may need it"
        if unmanaged
        else f"{access_key} of {name} is in grace, and consumers that still use it will be refused"
    )
    message = f"{what}: nothing was done; to revoke it anyway, repeat its full name: --confirm {access_key}"
    return OperationResult(name, "refused", 4, message, "unconfirmed", access_key=access_key)


def _end_grace(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, access_key: str, reason: str, by: str
) -> None:
    def change(ledger: Ledger) -> Ledger:
        if not any(entry.access_key == access_key for entry in ledger.retiring):
            return ledger  # scheduled for revocation or compromised already: only the verification is missing
        return end_grace(ledger, access_key, reason, by, context.clocks())

    _, written = update_ledger(spec, context, sleep, change)
    if written:
        context.sink.emit(
            "grace.ended",
            application=spec.application,
            account=spec.account,
            access_key=access_key,
            reason=reason,
            by=by,
        )


def _wait_until_revoked(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, access_key: str
) -> OperationResult:
    local_state, deadline, failures = LocalState(), Deadline(spec, context), 0
    while True:
        outcome = drive(reconcile(spec, context, local_state), sleep)
        ledger = outcome.ledger
        if outcome.error is None and ledger is not None and access_key not in ledger.names():
            verification = revocation_evidence(ledger, access_key)
            return OperationResult(
                spec.application,
                "revoked",
                0,
                f"revoked: {access_key} is revoked ({verification})",
                revoked={access_key: verification},
            )
        if ledger is not None and ledger.current is not None and ledger.current.access_key == access_key:
            message = (
                f"{access_key} was published again meanwhile, so it is what consumers of {spec.application} read: it "
                "stays valid"
            )
            return short_of(spec.application, 4, message, "published_again")
        obstacle = blocking_reason(spec, outcome, failures, context.clock.now())
        failures = ledger.failures if ledger else failures
        if obstacle and obstacle.exit_code == 4:
            return obstacle
        if over := deadline.over(obstacle, ledger):
            return over
        wait_for_next_pass(context, sleep, outcome)
