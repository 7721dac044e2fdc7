"""The protocols of what operations run with: the applications, Vault, and the context of a pass."""

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
        """The line of a policy that grants them."""

    @property
    def purpose(self) -> str:
        """What they are needed for."""


class Store(VaultStore, Protocol):
    """The Vault of passes, with the checks that only operators request."""

    def missing_rights(self, application: str, path: str) -> Sequence[MissingRight]:
        """The capabilities that the login lacks for the application, of all that rotation needs."""

    def document_limits(self, path: str) -> int:
        """How many versions of the document Vault keeps."""


class AccountFacts(Protocol):
    """The facts of an account in the configuration."""

    @property
    def rate_limit(self) -> float:
        """Maximum of calls per second."""

    @property
    def access_key(self) -> str | None:
        """The access key of the management key, if configured."""

    @property
    def own_key(self) -> str:
        """The application that rotates that key; empty where an operator replaces it."""


class Runtime(Protocol):
    """One configuration with everything built from it."""

    @property
    def sink(self) -> EventSink:
        """The event sink of its passes."""

    @property
    def clock(self) -> Clock:
        """Time and random values."""

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the configured accounts."""

    def account(self, name: str) -> AccountFacts:
        """The account of that name. An unknown name raises with the nearest one."""

    def provider(self, account: str) -> Provider:
        """The provider of an account."""

    @property
    def specs(self) -> Mapping[str, ApplicationSpec]:
        """The configured applications by name."""

    @property
    def vault(self) -> Store:
        """The documents in Vault."""

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """The context of a pass for this application."""

    def spec(self, name: str) -> ApplicationSpec:
        """The application of that name. An unknown name raises with the nearest one."""

    def facts(self) -> Facts:
        """The facts that ``rotator doctor`` reports on: Vault, the accounts, this machine."""

    def removed_applications(self, sink: EventSink | None = None) -> Mapping[str, ApplicationSpec]:
        """Applications that left the configuration and still have a ledger. ``sink`` receives an
        event for each ledger that cannot be read."""


def select_applications(runtime: Runtime, names: Sequence[str]) -> list[ApplicationSpec]:
    """The named applications, each once; all configured ones if none is named. Removed applications
    may be named too."""
    if not names:
        return list(runtime.specs.values())
    unknown = [name for name in names if name not in runtime.specs]
    removed_applications = runtime.removed_applications() if unknown else {}
    known = {**removed_applications, **runtime.specs}
    return [known[name] if name in known else runtime.spec(name) for name in dict.fromkeys(names)]


Sleep = Callable[[datetime], None]
"""Sleeps until that time."""
