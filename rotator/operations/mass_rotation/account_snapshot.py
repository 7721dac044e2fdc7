"""One account with everything of ours in it, and a look at all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotator.domain.account import AccountDocument
from rotator.domain.ledger import Ledger
from rotator.domain.policy import ApplicationSpec
from rotator.domain.ports import Clock, EventSink, Provider, VaultStore
from rotator.errors import RotatorError
from rotator.operations.coverage import CoverageReport, Inventory, coverage_report
from rotator.operations.mass_rotation.selection import SelectionInput
from rotator.operations.runtime import Runtime
from rotator.reconciler.context import ReconcileContext
from rotator.util.concurrency import run_concurrently


@dataclass(frozen=True)
class AccountScope:
    """An account, its applications (also those that left the configuration and still have a ledger), and what acts on them.

    ``rate_limit`` is calls a second; ``management_key`` is the public name of the key that manages the account, if it was told.
    """

    account: str
    provider: Provider
    vault: VaultStore
    clock: Clock
    policies: Mapping[str, ApplicationSpec]
    world: Callable[[ApplicationSpec], ReconcileContext]
    journal: EventSink
    rate_limit: float
    management_key: str = ""

    def earliest(self) -> datetime:
        """The time by whichever clock is behind: nothing has passed before it has by that one."""
        now = self.clock.now()
        return min(now, now + self.provider.clock_offset(), now + self.vault.clock_offset())


def account_scopes(
    household: Runtime, accounts: Sequence[str], world: Callable[[ApplicationSpec], ReconcileContext], journal: EventSink
) -> list[AccountScope]:
    """The accounts that were named, once each; all of the configuration when none was."""
    named = list(dict.fromkeys(accounts)) or sorted(household.accounts)
    facts = {name: household.account(name) for name in named}
    everything = {**household.orphans(journal), **household.policies}
    return [
        AccountScope(
            account=name,
            provider=household.provider(name),
            vault=household.vault,
            clock=household.clock,
            policies={policy.application: policy for policy in everything.values() if policy.account == name},
            world=world,
            journal=journal,
            rate_limit=facts[name].rate_limit,
            management_key=facts[name].access_key or "",
        )
        for name in named
    ]


@dataclass(frozen=True)
class AccountSnapshot:
    """What one look at an account has shown."""

    estate: AccountScope
    survey: SelectionInput
    document: AccountDocument

    def coverage(self, created_before: datetime) -> CoverageReport:
        """Which keys from before that time are alive."""
        known = Inventory(
            document=self.document,
            bearers={policy.bearer: name for name, policy in self.estate.policies.items()},
            ledgers=self.survey.ledgers,
            installation=self.survey.installation,
            management_key=self.estate.management_key,
            unread=tuple(self.survey.unread),
        )
        return coverage_report(self.survey.keys, known, created_before=created_before, now=self.estate.earliest())


def take_snapshot(estate: AccountScope, *, keys: bool = True) -> AccountSnapshot:
    """Look at the account: its document, the ledger of each application, and every key that the provider has (unless only what is
    remembered is wanted). A ledger that cannot be read hides no other; a list that may lack a key raises."""
    document, _ = estate.vault.read_account(estate.account)
    policies = list(estate.policies.values())
    found = run_concurrently(lambda policy: _remembered(estate, policy), policies)
    ledgers: dict[str, Ledger] = {}
    published: dict[str, str | None] = {}
    unread: dict[str, Exception] = {}
    for policy, one in zip(policies, found, strict=True):
        if isinstance(one, Exception):
            if not isinstance(one, RotatorError):
                raise one
            unread[policy.application] = one
            continue
        ledger, published[policy.application] = one
        if ledger is not None:
            ledgers[policy.application] = ledger
    installation = estate.vault.installation() if ledgers else ""
    listed = estate.provider.list_all_keys() if keys else ()
    return AccountSnapshot(estate, SelectionInput(listed, ledgers, published, unread, installation), document)


def _remembered(estate: AccountScope, policy: ApplicationSpec) -> tuple[Ledger | None, str | None]:
    """The application's ledger, and where that names no current key yet, the one that its consumers read."""
    ledger, _ = estate.vault.read_ledger(policy.application)
    if ledger is not None and ledger.current is not None:
        return ledger, None
    return ledger, estate.vault.read_document(policy.path, policy.access_field, policy.secret_field).published
