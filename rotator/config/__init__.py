"""The configuration: one TOML file, read into frozen values, or rejected with all of its problems.

``load`` is the entry point. The values and ``Reference`` are light. The schema, and pydantic with
it, is imported when a file is read, so that other commands start quickly.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rotator.config.secret_reference import Reference
from rotator.config.settings import (
    Account,
    Auth,
    Configuration,
    Control,
    Daemon,
    Heartbeat,
    Listener,
    Notifications,
    OwnSecretId,
    Vault,
    Webhook,
)
from rotator.system.paths import DEFAULT_PATH, locate

__all__ = [
    "DEFAULT_PATH",
    "Account",
    "Auth",
    "Configuration",
    "Control",
    "Daemon",
    "Heartbeat",
    "Listener",
    "Notifications",
    "OwnSecretId",
    "Reference",
    "Vault",
    "Webhook",
    "load",
    "locate",
]


def load(path: Path, *, only: Collection[str] = (), credentials: bool = True) -> Configuration:
    """Loads the configuration in that file. Contacts nothing. Raises ``ConfigurationError`` with
    every problem.

    ``only``: the applications to load; problems of others alone are in ``set_aside``.
    ``credentials``: whether the files that it names are checked.
    """
    from rotator.config.loader import load as read  # noqa: PLC0415 - pydantic costs a tenth of a second, see above

    return read(path, only=only, credentials=credentials)
