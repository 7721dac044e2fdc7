"""What the daemon needs of whoever built everything: the applications, and the objects to work on them through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol, Self

from rotator.config import Control, Listener, Webhook
from rotator.domain.facts import Facts
from rotator.domain.login import LoginProblem
from rotator.domain.ports import Clock, EventSink, Provider, RequestObserver
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationProblem
from rotator.observability.notifications import NotificationSettings
from rotator.operations.runtime import AccountFacts, Store
from rotator.reconciler.context import ReconcileContext


class DaemonRuntime(Protocol):
    """One configuration with everything built from it. A reload builds another one beside it; nothing in one ever changes."""

    sink: EventSink
    on_call: RequestObserver

    @property
    def source(self) -> str:
        """The file that the configuration came from."""

    @property
    def warnings(self) -> Sequence[ConfigurationProblem]:
        """Options of the configuration that are set by their former names."""

    def facts(self) -> Facts:
        """What an examination of Vault, the accounts and this machine finds out."""

    @property
    def clock(self) -> Clock:
        """The clock and the chance of this machine."""

    @property
    def workers(self) -> int:
        """How many applications are worked on at once."""

    @property
    def shutdown_timeout(self) -> timedelta:
        """How long a stopping daemon may take."""

    @property
    def listen(self) -> Listener | None:
        """Where the daemon is asked how it is, if anywhere."""

    @property
    def control(self) -> Control | None:
        """Where the daemon is asked and ordered, if anywhere."""

    @property
    def webhook(self) -> Webhook | None:
        """Where machines report keys, if anywhere."""

    @property
    def specs(self) -> Mapping[str, ApplicationSpec]:
        """The applications of the configuration, by name."""

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the accounts of the configuration."""

    def account(self, name: str) -> AccountFacts:
        """The account of that name; an unknown one raises with the nearest name."""

    @property
    def alarm(self) -> NotificationSettings:
        """Who is told how it goes."""

    @property
    def vault(self) -> Store:
        """The one Vault."""

    def provider(self, account: str) -> Provider:
        """The provider behind an account of the configuration."""

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """What a pass of that application acts through."""

    def spec(self, name: str) -> ApplicationSpec:
        """The application of that name; an unknown one raises with the nearest name."""

    def removed_applications(self, sink: EventSink | None = None) -> Mapping[str, ApplicationSpec]:
        """Applications that have a ledger and are not in the configuration. Asks Vault. ``sink`` hears of what cannot be read."""

    def maintain(self) -> None:
        """Keep the login to Vault alive, when it is time."""

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long our login to Vault is still good, and for how long it was last granted; None when it has no end."""

    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when our token at Vault ends; None when nothing is known to be wrong."""

    def reopen(self) -> Self:
        """The same built anew from the file as it is now; raises ``ConfigurationError`` when it is not sound."""

    def close(self) -> None:
        """Give the login back and close all connections."""


def report_deprecated(runtime: DaemonRuntime, sink: EventSink) -> None:
    """One event for each option that the configuration sets by its former name."""
    for warning in runtime.warnings:
        sink.emit("daemon.deprecated_option", path=warning.path, message=warning.message)
