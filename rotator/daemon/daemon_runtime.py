"""What only the daemon needs of a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from rotator.config import Control, Listener, Webhook
from rotator.domain.facts import Facts
from rotator.domain.login import LoginProblem
from rotator.domain.ports import EventSink, PresenceStore
from rotator.errors import ConfigurationProblem
from rotator.observability.notifications import NotificationSettings
from rotator.operations.daemon_handle import RuntimeWithSource


class DaemonRuntime(RuntimeWithSource, Protocol):
    """One configuration with everything built from it. A reload builds another one beside it;
    nothing in one ever changes."""

    @property
    def warnings(self) -> Sequence[ConfigurationProblem]:
        """Options of the configuration that are set by their former names."""

    def facts(self) -> Facts:
        """What an examination of Vault, the accounts and this machine finds out."""

    @property
    def workers(self) -> int:
        """How many applications are worked on at once."""

    @property
    def share_looks(self) -> bool:
        """Whether the daemon shares its looks with others of the installation."""

    @property
    def presences(self) -> PresenceStore:
        """The presences of these daemons, in Vault."""

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
    def alarm(self) -> NotificationSettings:
        """The targets of heartbeats and notifications."""

    def maintain(self) -> None:
        """Renew the login to Vault, when it is time."""

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login to Vault is still valid, and for how long it was last granted; None
        when it has no end."""

    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when the token at Vault ends; None if no problem is known."""

    def close(self) -> None:
        """Give the login back and close all connections."""


def report_deprecated(runtime: DaemonRuntime, sink: EventSink) -> None:
    """One event for each option that the configuration sets by its former name."""
    for warning in runtime.warnings:
        sink.emit("daemon.deprecated_option", path=warning.path, message=warning.message)
