"""One key revoked on a person's word: the end of a grace, or a stranger, never what consumers read."""

from __future__ import annotations

from rotator.decision.observation import Clocks
from rotator.decision.transitions import end_grace
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from rotator.domain.policy import ApplicationSpec
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.contain import CompromiseRequest, contain, revocation_evidence
from rotator.operations.commands.convergence import Deadline, blocking_reason, wait_for_next_pass
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed, short_of
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import LocalState, ReconcileContext
from rotator.reconciler.runner import drive, reconcile

UNMANAGED_ONLY = "revoked as a stranger"


def revoke(
    policy: ApplicationSpec,
    world: ReconcileContext,
    sleep: Sleep,
    access_key: str,
    *,
    by: str,
    reason: str = "revoked by hand",
    confirmed: str = "",
    through_hold: bool = False,
) -> OperationResult:
    """Revoke this key of the application's bearer and see it dead: one in grace before its time, or a stranger.

    Both only when ``confirmed`` is the full name of the key; what consumers read, never.
    """
    name = policy.application
    try:
        ledger, _ = world.vault.read_ledger(name)
        document = world.vault.read_document(policy.path, policy.access_field, policy.secret_field)
        if access_key == document.published or (ledger and ledger.current and ledger.current.access_key == access_key):
            raise Refused(
                f"{access_key} is what the consumers of {name} read: replace it with: rotator rotate {name}"
                f" (if it leaked: rotator rotate {name} --compromised --reason TEXT)"
            )
        known = ledger is not None and access_key in ledger.names()
        if not known:
            require_unmanaged(policy, world, access_key)
        if confirmed != access_key and not (ledger and ledger.is_revoking(access_key)):
            return unconfirmed(access_key, name, stranger=not known)
        if known:
            _end_grace(policy, world, sleep, access_key, reason, by)
            return _see_it_dead(policy, world, sleep, access_key)
    except RotatorError as error:
        return failed(name, error)
    return contain(policy, world, sleep, CompromiseRequest(reason, by, through_hold=through_hold), keys=frozenset({access_key}))


def require_unmanaged(policy: ApplicationSpec, world: ReconcileContext, access_key: str) -> None:
    """Return when the key is one of the application's bearer that we did not make; raise ``Refused`` with the reason when not."""
    name, key = policy.application, world.provider.get_key(access_key)
    if key is None:
        raise Refused(f"there is no key {access_key}: it is dead already, or of another organisation")
    if key.bearer != policy.bearer:
        raise Refused(f"{access_key} belongs to another bearer than {name}: it is not touched")
    if not key.touchable:
        raise Refused(f"{access_key} is managed or not deletable at the provider: have it removed there")
    marker = parse_marker(key.description)
    if marker is not None and marker.installation == world.vault.installation():
        raise Refused(
            f"{access_key} was made by us and is not in the ledger of {name} yet: the next pass judges it"
            f" (if it leaked: rotator rotate {access_key} --compromised --reason TEXT)"
        )


def unconfirmed(access_key: str, name: str, *, stranger: bool) -> OperationResult:
    """Nothing is done to the key until its full name is repeated."""
    what = (
        f"{access_key} is a stranger's key, which {name} neither made nor published, and somebody may need it"
        if stranger
        else f"{access_key} of {name} is in grace, and consumers that have not moved yet will be refused"
    )
    message = f"{what}: nothing was done; if it is to die all the same, repeat its full name: --confirm {access_key}"
    return OperationResult(name, "refused", 4, message, "unconfirmed", access_key=access_key)


def _end_grace(policy: ApplicationSpec, world: ReconcileContext, sleep: Sleep, access_key: str, reason: str, by: str) -> None:
    def change(ledger: Ledger) -> Ledger:
        if not any(entry.access_key == access_key for entry in ledger.retiring):
            return ledger  # condemned or compromised already: it only has to be seen dead
        now = world.clock.now()
        clocks = Clocks(now, now + world.vault.clock_offset(), now + world.provider.clock_offset())
        return end_grace(ledger, access_key, reason, by, clocks)

    _, written = update_ledger(policy, world, sleep, change)
    if written:
        world.journal.emit(
            "grace.ended",
            application=policy.application,
            account=policy.account,
            access_key=access_key,
            reason=reason,
            by=by,
        )


def _see_it_dead(policy: ApplicationSpec, world: ReconcileContext, sleep: Sleep, access_key: str) -> OperationResult:
    memory, patience, failures = LocalState(), Deadline(policy, world), 0
    while True:
        outcome = drive(reconcile(policy, world, memory), sleep)
        ledger = outcome.ledger
        if outcome.error is None and ledger is not None and access_key not in ledger.names():
            proof = revocation_evidence(ledger, access_key)
            return OperationResult(
                policy.application,
                "revoked",
                0,
                f"revoked: {access_key} is dead ({proof})",
                dead={access_key: proof},
            )
        if ledger is not None and ledger.current is not None and ledger.current.access_key == access_key:
            message = (
                f"{access_key} was published again meanwhile, so it is what consumers of {policy.application} read: it lives on"
            )
            return short_of(policy.application, 4, message, "published_again")
        hurdle = blocking_reason(policy, outcome, failures)
        failures = ledger.failures if ledger else failures
        if hurdle and hurdle.exit_code == 4:
            return hurdle
        if over := patience.over(hurdle, ledger):
            return over
        wait_for_next_pass(world, sleep, outcome)
