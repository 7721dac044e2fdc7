"""Providers of keys: what one is built from, and how it is found by its name.

A provider is an entry point in the group ``rotator.providers``, so that a package of its own can
bring one::

    [project.entry-points."rotator.providers"]
    scaleway = "rotator.providers.scaleway:build"

The entry point is a builder: ``build(account, clock=clock)`` returns a
``rotator.domain.ports.Provider`` and contacts nothing. It raises ``ConfigurationError`` when the
account's settings cannot be used. ``tests/providers/contract.py`` is the suite that every provider
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

    ``secret_key`` reads the management key's secret from where it is kept. It is called on first
    use and again when the provider refuses what it gave last, so that a replaced management key is
    picked up without a restart. ``current_secret`` is asked before each request: a secret that it
    returns is used from then on. ``timeout`` is for one verb's single request, waiting included;
    ``rate_limit`` is requests a second; ``connections`` is how many at once. ``observe`` gets the
    outcome and the seconds of every request.
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
    """What an entry point of the group is."""

    def __call__(self, account: AccountSettings, *, clock: Clock) -> Provider:
        """The provider for one account."""


def available() -> tuple[str, ...]:
    """The names of all providers that are installed."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load(name: str) -> Builder:
    """The builder of the provider of that name. Raises ``ConfigurationError``, with the nearest
    names, if there is none."""
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
