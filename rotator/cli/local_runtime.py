"""What a command that acts itself works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rotator.operations.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rotator.errors import ConfigurationProblem
    from rotator.observability.notifications import NotificationSettings


class LocalRuntime(Runtime, Protocol):
    """The composition root as the command line sees it; ``rotator.app.AppRuntime`` is the one that
    there is."""

    @property
    def alarm(self) -> NotificationSettings:
        """The receivers of notifications."""

    @property
    def set_aside(self) -> Sequence[ConfigurationProblem]:
        """Problems of applications that it was not opened for."""

    def close(self) -> None:
        """Let go of connections and logins."""
