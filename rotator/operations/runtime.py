"""What people's questions and orders are carried out with: the applications, the Vault, and the
world that a pass acts through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from rotator.domain.facts import Facts
from rotator.domain.ports import Clock, EventSink, Provider, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.context import ReconcileContext


class MissingRight(Protocol):
    """Capabilities on one path of Vault's API."""

    @property
    def line(self) -> str:
        """The line of a policy that gives them."""

    @property
    def purpose(self) -> str:
        """What they are for."""


class Store(VaultStore, Protocol):
    """The Vault of the protocol, and questions that only people ask."""

    def missing_rights(self, application: str, path: str) -> Sequence[MissingRight]:
        """What the login at Vault lacks of all that the life of an application needs."""

    def document_limits(self, path: str) -> int:
        """How many versions of the document Vault keeps."""


class AccountFacts(Protocol):
    """What is to be known of an account of the configuration."""

    @property
    def rate_limit(self) -> float:
        """The most calls in one second."""

    @property
    def access_key(self) -> str | None:
        """The public name of the key that manages the account, if it is configured."""

    @property
    def own_key(self) -> str:
        """The application that rotates that key; empty where an operator replaces it."""


class Runtime(Protocol):
    """One configuration with everything built from it, as a command or a daemon has it."""

    @property
    def sink(self) -> EventSink:
        """Where its passes report."""

    @property
    def clock(self) -> Clock:
        """The clock and the chance of this machine."""

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the accounts of the configuration."""

    def account(self, name: str) -> AccountFacts:
        """The account of that name; an unknown one raises with the nearest name."""

    def provider(self, account: str) -> Provider:
        """The provider behind an account."""

    @property
    def specs(self) -> Mapping[str, ApplicationSpec]:
        """The applications of the configuration."""

    @property
    def vault(self) -> Store:
        """Where the documents are."""

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """What a pass for this application acts through."""

    def spec(self, name: str) -> ApplicationSpec:
        """The application of that name; an unknown one raises with the nearest name."""

    def facts(self) -> Facts:
        """What an examination of Vault, the accounts and this machine finds out."""

    def removed_applications(self, sink: EventSink | None = None) -> Mapping[str, ApplicationSpec]:
        """Applications that left the configuration and still have a ledger. ``sink`` hears of
        ledgers that cannot be read."""


def select_applications(runtime: Runtime, names: Sequence[str]) -> list[ApplicationSpec]:
    """The applications that were named, once each; all of the configuration when none was. An
    orphan may be named too."""
    if not names:
        return list(runtime.specs.values())
    unknown = [name for name in names if name not in runtime.specs]
    removed_applications = runtime.removed_applications() if unknown else {}
    known = {**removed_applications, **runtime.specs}
    return [known[name] if name in known else runtime.spec(name) for name in dict.fromkeys(names)]


Sleep = Callable[[datetime], None]
"""Sleeps until that time."""
