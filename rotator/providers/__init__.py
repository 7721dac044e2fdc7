"""Providers of keys: their settings, and how they are found by name.

A provider is an entry point in the group ``rotator.providers``, so another package can add one::

    [project.entry-points."rotator.providers"]
    scaleway = "rotator.providers.scaleway:build"

The entry point is a builder: ``build(account, clock=clock)`` returns a
``rotator.domain.ports.Provider`` and contacts nothing. It raises ``ConfigurationError`` for
settings it cannot use. ``tests/providers/contract.py`` is the test suite that every provider
passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from rotator.domain.ports import Clock, Provider
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.http import ResponseObserver

GROUP = "rotator.providers"


@dataclass(frozen=True)
class AccountSettings:
    """An organisation at a provider, and how to reach it.

    ``secret_key`` reads the secret of the management key. It is called on first use, and again when
    the provider rejects that secret, so a replaced management key takes effect without a restart.
    ``current_secret`` is called before each request; a secret that it returns is used from then on.
    ``timeout`` is for a single request of one operation, waiting included; ``rate_limit``: requests
    per second; ``connections``: maximum at once. ``observe`` receives the outcome and the seconds
    of every request.
    """

    name: str
    provider: str
    organization_id: str
    secret_key: Callable[[], Secret]
    api_url: str = "https://api.scaleway.com"
    timeout: timedelta = timedelta(seconds=20)
    rate_limit: float = 50.0
    proxy: str | None = None
    ca_cert: Path | None = None
    connections: int = 8
    current_secret: Callable[[], Secret | None] = lambda: None
    observe: ResponseObserver = lambda outcome, seconds: None  # noqa: ARG005 - no observer


class Builder(Protocol):
    """The type of an entry point of the group."""

    def __call__(self, account: AccountSettings, *, clock: Clock) -> Provider:
        """The provider for one account."""


def available() -> tuple[str, ...]:
    """The names of all installed providers."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load(name: str) -> Builder:
    """The builder of the provider of that name. Raises ``ConfigurationError`` with the nearest
    names if there is none."""
    for entry in entry_points(group=GROUP, name=name):
        try:
            builder: Builder = entry.load()
        except (ImportError, AttributeError):
            message = f'the provider "{name}" is installed but cannot be loaded; install it again'
            raise ConfigurationError([ConfigurationProblem("provider", "", message)]) from None
        return builder
    names = available()
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {_either(near)}?" if near else f"there is {_either(names)}" if names else "none is installed"
    raise ConfigurationError([ConfigurationProblem("provider", "", f'there is no provider "{name}"; {hint}')])


def _either(names: list[str] | tuple[str, ...]) -> str:
    return " or ".join(f'"{name}"' for name in names)
