"""Changes a ledger at an operator's request, by check-and-set; repeated when another process was
faster."""

from __future__ import annotations

from collections.abc import Callable

from rotator.decision.ownership import OwnershipConflict, next_takeover_step, own_ledger, superseded_message
from rotator.decision.steps import SupersedeLedger, WriteLedger
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Conflict, Indeterminate, Refused, ServiceError, Unavailable
from rotator.operations.commands.convergence import AGAIN
from rotator.operations.patience import Patience
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.reconciler.ledger_directory import read_former_document, read_related

MAX_ATTEMPTS = 20
"""How often a change is written again because another process was faster each time."""


def update_ledger(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, change: Callable[[Ledger], Ledger]
) -> tuple[Ledger, bool]:
    """The ledger after the change, confirmed, and whether it took a write: a change that changes
    nothing is not written.

    ``change`` is asked anew on every ledger that is found, and may refuse. Raises ``Indeterminate``
    when it is not known whether the change was written.
    """
    unclear, overtaken, patience = False, 0, Patience(context.clock, sleep, spec.publish_timeout)
    while overtaken < MAX_ATTEMPTS:
        writing = False
        try:
            ledger, version = _ledger(spec, context)
            after = change(ledger)
            if after == ledger:
                return ledger, unclear
            writing = True
            context.vault.write_ledger(after, cas=version)
        except ServiceError as error:
            unclear = unclear or (writing and isinstance(error, Indeterminate))
            try:
                if isinstance(error, Conflict):
                    overtaken += 1
                    sleep(context.clock.now() + AGAIN[0] / 10)
                elif isinstance(error, Unavailable | Indeterminate):
                    patience.wait_after(error)
                else:
                    raise
            except ServiceError as final:
                if unclear:
                    raise Indeterminate(str(final), service=final.service, kind=final.kind) from None
                raise
            context.sink.emit(
                "pass.interrupted",
                application=spec.application,
                account=spec.account,
                kind=error.kind,
                message=str(error),
            )
        else:
            return after, True
    raise Unavailable(
        f"the ledger of {spec.application} could not be written in {MAX_ATTEMPTS} attempts: others wrote it each "
        "time; try again",
        service="vault",
        kind="contended",
    )


def _ledger(spec: ApplicationSpec, context: ReconcileContext) -> tuple[Ledger, int]:
    """The ledger as it is now, and its version; a fresh one where Vault has never had one. Ledgers
    of earlier names are taken over first, so that a change is about all keys of the application."""
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
    """The first ledger of an installation comes after its id, or it would look like one whose id
    was lost."""
    context.vault.require_kv2(spec.path)
    context.vault.installation()


def _takeover(
    spec: ApplicationSpec, context: ReconcileContext, ledger: Ledger | None
) -> WriteLedger | SupersedeLedger | None:
    """The next write of a takeover. A conflict keeps no change from the application's own ledger:
    passes report it."""
    related = read_related(spec, context.vault, tuple(context.related(spec)))
    if not related:
        return None
    document = read_former_document(context.vault, *spec.location)
    try:
        return next_takeover_step(spec, ledger, related, document.published if document else None, context.clocks())
    except OwnershipConflict:
        return None
