"""One account with its applications, ledgers and keys, read at once."""

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
    """An account, its applications (also those that left the configuration and still have a
    ledger), and what acts on them.

    ``rate_limit`` is calls a second; ``management_key`` is the public name of the key that the
    account logs in with by then, empty when it is not known.
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
        """The time by whichever clock is behind: nothing has passed before it has by that one."""
        now = self.clock.now()
        return min(now, now + self.provider.clock_offset(), now + self.vault.clock_offset())


def account_scopes(
    runtime: Runtime, accounts: Sequence[str], context: Callable[[ApplicationSpec], ReconcileContext], sink: EventSink
) -> list[AccountScope]:
    """The accounts that were named, once each; all of the configuration when none was."""
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
    """What one look at an account has shown."""

    scope: AccountScope
    survey: SelectionInput
    document: AccountDocument

    def coverage_of(self, selection: Selection, created_before: datetime) -> CoverageReport:
        """Which keys from before that time are valid: of the applications that the selection names,
        else of the account."""
        report = self.coverage(created_before)
        if not selection.partial:
            return report
        bearers = [spec.bearer for spec in self.scope.specs.values() if selection.chooses(spec)]
        return report.restricted(bearers, f"the {pluralize(len(bearers), 'chosen application')}")

    def coverage(self, created_before: datetime) -> CoverageReport:
        """Which keys of the account from before that time are valid."""
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
    """Look at the account: its document, the ledger of each application, and every key that the
    provider has (unless only what is remembered is wanted). A ledger that cannot be read hides no
    other; a list that may lack a key raises."""
    snapshot = _look(scope, keys=keys)
    if keys and snapshot.coverage(scope.earliest()).missing:
        snapshot = _look(scope, keys=keys)  # a key that was revoked between the ledgers and the list is in neither now
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
    """Every key of the organisation. Where there are too many for one list: those of every
    application, and why the rest is missing."""
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
    """The application's ledger, and where that names no current key yet, the one that its consumers
    read."""
    ledger = read_whole_ledger(spec, scope.context(spec))
    if ledger is not None and ledger.current is not None:
        return ledger, None
    return ledger, scope.vault.read_document(*spec.location).published
