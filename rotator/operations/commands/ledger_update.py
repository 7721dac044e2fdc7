"""Changes a ledger at an operator's request by check-and-set; repeats the change after a lost
race."""

from __future__ import annotations

from collections.abc import Callable

from rotator.decision.ownership import OwnershipConflict, next_takeover_step, own_ledger, superseded_message
from rotator.decision.steps import SupersedeLedger, WriteLedger
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Refused, ServiceError
from rotator.operations.commands.check_and_set import CheckAndSet
from rotator.operations.commands.convergence import AGAIN
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.reconciler.ledger_directory import read_former_document, read_related


def update_ledger(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, change: Callable[[Ledger], Ledger]
) -> tuple[Ledger, bool]:
    """The ledger after the change, and whether it was written: a change without effect writes
    nothing.

    ``change`` is called with every ledger that is read, and may raise ``Refused``. Raises
    ``Indeterminate`` when it is not known whether the change was written.
    """

    def interrupted(error: ServiceError) -> None:
        context.sink.emit(
            "pass.interrupted",
            application=spec.application,
            account=spec.account,
            kind=error.kind,
            message=str(error),
        )

    return CheckAndSet(
        f"the ledger of {spec.application}",
        read=lambda: _ledger(spec, context),
        write=lambda ledger, version: context.vault.write_ledger(ledger, cas=version),
        clock=context.clock,
        sleep=sleep,
        limit=spec.publish_timeout,
        retry_delay=AGAIN[0] / 10,
        failed=interrupted,
    ).update(change)


def _ledger(spec: ApplicationSpec, context: ReconcileContext) -> tuple[Ledger, int]:
    """The current ledger and its version; a new one if Vault has none. Merges the ledgers of
    earlier names first, so that a change covers all keys of the application."""
    while True:
        found, version = context.vault.read_ledger(spec.application)
        ledger = own_ledger(spec, found)
        if spec.owner or (ledger is not None and ledger.successor):
            raise Refused(superseded_message(spec.application, ledger or new_ledger(spec), spec.owner))
        step = _takeover(spec, context, ledger)
        if step is None:
            break
        if isinstance(step, SupersedeLedger):
            context.vault.write_ledger(step.ledger, cas=step.version)
            continue
        if ledger is None:
            _require_installation(spec, context)
        context.vault.write_ledger(step.ledger, cas=version)
        for event in step.events:
            context.sink.emit(event.name, application=spec.application, account=spec.account, **event.fields)
    if ledger is None:
        _require_installation(spec, context)
        ledger = new_ledger(spec)
    return ledger, version


def _require_installation(spec: ApplicationSpec, context: ReconcileContext) -> None:
    """Writes the id of an installation before its first ledger: a ledger without an id looks like
    an installation that lost it."""
    context.vault.require_kv2(spec.path)
    context.vault.installation()


def _takeover(
    spec: ApplicationSpec, context: ReconcileContext, ledger: Ledger | None
) -> WriteLedger | SupersedeLedger | None:
    """The next write of a takeover, or None. A conflict of owners does not block the change: passes
    report it."""
    related, unread = read_related(spec, context.vault, context.related(spec), ledger)
    if not related or unread:
        return None
    document = read_former_document(context.vault, *spec.location)
    try:
        return next_takeover_step(spec, ledger, related, document.published if document else None, context.clocks())
    except OwnershipConflict:
        return None
