"""A change to a ledger on a person's word: written by check-and-set on what is there, as often as somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable

from rotator.decision.transitions import new_ledger
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Conflict, Indeterminate, ServiceError, Unavailable
from rotator.operations.commands.convergence import AGAIN
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext

MAX_ATTEMPTS = 20
"""How often a change is written again because somebody else was faster each time."""


def update_ledger(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, change: Callable[[Ledger], Ledger]
) -> tuple[Ledger, bool]:
    """The ledger after the change, confirmed, and whether it took a write: a change that changes nothing is not written.

    ``change`` is asked anew on every ledger that is found, and may refuse. Raises ``Indeterminate`` when it is not known whether the
    change was written.
    """
    unclear = False
    for _ in range(MAX_ATTEMPTS):
        try:
            ledger, version = _ledger(spec, context)
            after = change(ledger)
            if after == ledger:
                return ledger, unclear
            context.vault.write_ledger(after, cas=version)
        except (Conflict, Indeterminate) as error:
            unclear = unclear or isinstance(error, Indeterminate)
            context.sink.emit(
                "pass.interrupted", application=spec.application, account=spec.account, kind=error.kind, message=str(error)
            )
            sleep(context.clock.now() + AGAIN[0] / 10)
        except ServiceError as error:
            if unclear:
                raise Indeterminate(str(error), service=error.service, kind=error.kind) from None
            raise
        else:
            return after, True
    raise Unavailable(
        f"the ledger of {spec.application} could not be written in {MAX_ATTEMPTS} attempts: others wrote it each time; try again",
        service="vault",
        kind="contended",
    )


def _ledger(spec: ApplicationSpec, context: ReconcileContext) -> tuple[Ledger, int]:
    """The ledger as it is now, and its version; a fresh one where Vault has never had one."""
    ledger, version = context.vault.read_ledger(spec.application)
    if ledger is None:
        # The first ledger of an installation comes after its id, or it would look like one whose id was lost.
        context.vault.require_kv2(spec.path)
        context.vault.installation()
        ledger = new_ledger(spec)
    return ledger, version
