"""Reads the ledger of an application together with the ledgers of its earlier names."""

from __future__ import annotations

from collections.abc import Mapping

from rotator.decision.observation import Clocks
from rotator.decision.ownership import consolidated, own_ledger
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.context import ReconcileContext
from rotator.reconciler.ledger_directory import read_former_document, read_related


def read_whole_ledger(spec: ApplicationSpec, context: ReconcileContext) -> Ledger | None:
    """The ledger with those of all earlier names merged in; None if Vault has none. Writes
    nothing."""
    vault = context.vault
    ledger = own_ledger(spec, vault.read_ledger(spec.application)[0])
    related, _ = read_related(spec, vault, context.related(spec), ledger)
    if not related:
        return ledger
    document = read_former_document(vault, spec.path, spec.access_field, spec.secret_field)
    now = context.clock.now()
    return consolidated(spec, ledger, related, document.published if document else None, Clocks(now, now, now))


def is_renamed(removed: ApplicationSpec, specs: Mapping[str, ApplicationSpec]) -> bool:
    """Whether a configured application has the bearer of the removed one and takes over its
    ledger."""
    return removed.owner in specs and specs[removed.owner].bearer == removed.bearer
