"""The configuration: one TOML file, read into plain frozen values, or refused with everything that
is wrong with it.

``load`` is the way in. The values and ``Reference`` are light; the schema, and pydantic with it, is
imported when a file is read, so that a command that reads none starts quickly.
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
    """The configuration in that file. Contacts nothing; raises ``ConfigurationError`` with every
    problem found.

    ``only``: the applications that it is read for; what is wrong with others alone is in
    ``set_aside``. Without ``credentials`` the files that it names are not looked at.
    """
    from rotator.config.loader import load as read  # noqa: PLC0415 - pydantic costs a tenth of a second, see above

    return read(path, only=only, credentials=credentials)
