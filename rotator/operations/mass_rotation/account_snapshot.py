"""Reads an account with its applications, ledgers and keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rotator.domain.account import AccountDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.ports import Clock, EventSink, Provider, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.errors import RotatorError, TooManyKeys
from rotator.operations.coverage import CoverageReport, Inventory, coverage_report
from rotator.operations.ledgers import is_renamed, read_whole_ledger
from rotator.operations.mass_rotation.selection import Selection, SelectionInput
from rotator.operations.runtime import Runtime
from rotator.reconciler.context import ReconcileContext
from rotator.util.concurrency import run_concurrently
from rotator.util.formatting import pluralize


@dataclass(frozen=True)
class AccountScope:
    """An account with its applications, including removed ones that still have a ledger.

    ``rate_limit``: calls per second. ``management_key``: returns the access key that the account
    logs in with at that time, empty if unknown.
    """

    account: str
    provider: Provider
    vault: VaultStore
    clock: Clock
    specs: Mapping[str, ApplicationSpec]
    context: Callable[[ApplicationSpec], ReconcileContext]
    sink: EventSink
    rate_limit: float
    management_key: Callable[[], str] = lambda: ""

    def earliest(self) -> datetime:
        """The time on the slowest clock: a deadline has passed only when it has on that one."""
        now = self.clock.now()
        return min(now, now + self.provider.clock_offset(), now + self.vault.clock_offset())


def account_scopes(
    runtime: Runtime, accounts: Sequence[str], context: Callable[[ApplicationSpec], ReconcileContext], sink: EventSink
) -> list[AccountScope]:
    """The named accounts, each once; all configured ones if none is named."""
    named = list(dict.fromkeys(accounts)) or sorted(runtime.accounts)
    summary = {name: runtime.account(name) for name in named}
    removed = {
        name: spec for name, spec in runtime.removed_applications(sink).items() if not is_renamed(spec, runtime.specs)
    }
    everything = {**removed, **runtime.specs}
    return [
        AccountScope(
            account=name,
            provider=runtime.provider(name),
            vault=runtime.vault,
            clock=runtime.clock,
            specs={spec.application: spec for spec in everything.values() if spec.account == name},
            context=context,
            sink=sink,
            rate_limit=summary[name].rate_limit,
            management_key=partial(_management_key, runtime, name),
        )
        for name in named
    ]


def _management_key(runtime: Runtime, account: str) -> str:
    return runtime.account(account).access_key or ""


@dataclass(frozen=True)
class AccountSnapshot:
    """The result of one reading of an account."""

    scope: AccountScope
    survey: SelectionInput
    document: AccountDocument

    def coverage_of(self, selection: Selection, created_before: datetime) -> CoverageReport:
        """The coverage report of the selected applications, or of the account if none is named."""
        report = self.coverage(created_before)
        if not selection.partial:
            return report
        bearers = [spec.bearer for spec in self.scope.specs.values() if selection.chooses(spec)]
        return report.restricted(bearers, f"the {pluralize(len(bearers), 'chosen application')}")

    def coverage(self, created_before: datetime) -> CoverageReport:
        """The coverage report of the account."""
        known = Inventory(
            document=self.document,
            bearers={spec.bearer: name for name, spec in self.scope.specs.items()},
            ledgers=self.survey.ledgers,
            installation=self.survey.installation,
            management_key=self.scope.management_key(),
            unread=tuple(self.survey.unread),
            unlisted=self.survey.unlisted,
        )
        return coverage_report(self.survey.keys, known, created_before=created_before, now=self.scope.earliest())


def take_snapshot(scope: AccountScope, *, keys: bool = True) -> AccountSnapshot:
    """Reads the document of the account, the ledger of each application, and unless ``keys`` is
    false every key at the provider. A ledger that cannot be read hides no other. Raises if the list
    may lack a key."""
    snapshot = _look(scope, keys=keys)
    if keys and snapshot.coverage(scope.earliest()).missing:
        snapshot = _look(scope, keys=keys)  # a key revoked between the two readings is in neither now
    return snapshot


def _look(scope: AccountScope, *, keys: bool) -> AccountSnapshot:
    document, _ = scope.vault.read_account(scope.account)
    specs = list(scope.specs.values())
    found = run_concurrently(lambda spec: _remembered(scope, spec), specs)
    ledgers: dict[str, Ledger] = {}
    published: dict[str, str | None] = {}
    unread: dict[str, Exception] = {}
    for spec, one in zip(specs, found, strict=True):
        if isinstance(one, Exception):
            if not isinstance(one, RotatorError):
                raise one
            unread[spec.application] = one
            continue
        ledger, published[spec.application] = one
        if ledger is not None:
            ledgers[spec.application] = ledger
    installation = scope.vault.installation() if ledgers else ""
    listed, unlisted = _listed(scope) if keys else ((), "")
    return AccountSnapshot(scope, SelectionInput(listed, ledgers, published, unread, installation, unlisted), document)


def _listed(scope: AccountScope) -> tuple[Sequence[Key], str]:
    """Every key of the organisation. If there are too many for one list: those of the applications,
    and why the rest is missing."""
    try:
        return scope.provider.list_all_keys(), ""
    except TooManyKeys as error:
        bearers = sorted({spec.bearer for spec in scope.specs.values()})
        found = run_concurrently(scope.provider.list_keys, bearers)
        keys: dict[str, Key] = {}
        for one in found:
            if isinstance(one, Exception):
                raise one from None
            keys |= {key.access_key: key for key in one}
        why = (
            f"{error}: only the keys of the {pluralize(len(bearers), 'application')} of this configuration were listed"
        )
        return sorted(keys.values(), key=lambda key: (key.created_at, key.access_key)), why


def _remembered(scope: AccountScope, spec: ApplicationSpec) -> tuple[Ledger | None, str | None]:
    """The application's ledger, and the published key if the ledger names no current one yet."""
    ledger = read_whole_ledger(spec, scope.context(spec))
    if ledger is not None and ledger.current is not None:
        return ledger, None
    return ledger, scope.vault.read_document(*spec.location).published
