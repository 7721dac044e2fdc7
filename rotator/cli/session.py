"""What every command shares: the common options, and how it gets at the world.

A ``Session`` is an ordinary object that tests replace parts of: how the application is opened, and how time passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from rotator.cli import STARTED
from rotator.config import locate
from rotator.ports import Clock, Journal, Provider, VaultStore

if TYPE_CHECKING:
    from rotator.alarm import Settings
    from rotator.control.client import Daemon
    from rotator.model import Policy
    from rotator.world import World

F = TypeVar("F", bound=Callable[..., Any])


class Store(VaultStore, Protocol):
    """The Vault of the protocol, and a question more that only people ask."""

    def document_limits(self, path: str) -> int:
        """How many versions of the document Vault keeps."""


class AccountFacts(Protocol):
    """What a command wants to know of an account in the configuration."""

    @property
    def rate_limit(self) -> float:
        """The most calls in one second."""

    @property
    def access_key(self) -> str | None:
        """The public name of the key that manages the account, if it was told."""


class App(Protocol):
    """The composition root as the command line sees it; ``rotator.app.App`` is the one that there is."""

    journal: Journal

    @property
    def clock(self) -> Clock:
        """The clock and the chance of this machine."""

    @property
    def policies(self) -> Mapping[str, Policy]:
        """The applications of the configuration."""

    @property
    def accounts(self) -> frozenset[str]:
        """The names of the accounts of the configuration."""

    def account(self, name: str) -> AccountFacts:
        """The account of that name; an unknown one raises with the nearest name."""

    def provider(self, account: str) -> Provider:
        """The provider behind an account."""

    @property
    def alarm(self) -> Settings:
        """Who is told how it goes."""

    @property
    def vault(self) -> Store:
        """Where the documents are."""

    def world(self, policy: Policy) -> World:
        """What a pass for this application acts through."""

    def policy(self, name: str) -> Policy:
        """The application of that name; an unknown one raises with the nearest name."""

    def orphans(self) -> Mapping[str, Policy]:
        """Applications that left the configuration and still have a ledger."""

    def close(self) -> None:
        """Let go of connections and logins."""


class Silence:
    """A journal that keeps nothing."""

    def emit(self, event: str, **fields: object) -> None:
        """Nothing happens."""


def open_app(path: Path, journal: Journal) -> App:
    """The real thing: everything built, nothing contacted."""
    from rotator.app import App as Root  # noqa: PLC0415 - hvac, httpx and pydantic are for commands that contact something

    return Root.open(path, journal=journal)


@dataclass
class Session:
    """One run of one command."""

    config: Path | None = None
    json: bool = False
    opener: Callable[[Path, Journal], App] = open_app
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    started: float = STARTED

    @property
    def path(self) -> Path:
        """The configuration file of this run."""
        return locate(self.config)

    @contextmanager
    def app(self, journal: Journal | None = None, *, tell: bool = False) -> Iterator[App]:
        """The application, closed at the end. With ``tell``, people hear of what happens, as they do from the daemon."""
        app = self.opener(self.path, journal or Silence())
        try:
            with _telling(app) if tell and app.alarm.targets else nullcontext():
                yield app
        finally:
            app.close()

    def daemon(self, *, orders: bool) -> Daemon:
        """The daemon that works for this configuration, to be asked or ordered through its socket; raises ``Unreached``."""
        from rotator.control.client import Daemon, Unreached, directory  # noqa: PLC0415 - httpx and pydantic are not for --help

        folder = directory(self.path)
        if folder is None:
            raise Unreached(f"no daemon answers: {self.path} switches its sockets off ([control] enabled)")
        return Daemon.at(folder, self.path, lambda sentence: click.echo(f"rotator: {sentence}", err=True), orders=orders)

    def sleep(self, clock: Clock, until: datetime) -> None:
        """Sleep until the clock shows that time."""
        seconds = (until - clock.now()).total_seconds()
        if seconds > 0:
            self.pause(seconds)


@contextmanager
def _telling(app: App) -> Iterator[None]:
    from rotator.alarm import Alarm  # noqa: PLC0415 - for those few commands that tell people

    alarm = app.journal = Alarm(app.journal, app.alarm)
    try:
        yield
    finally:
        alarm.close()


def _set_config(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).config = Path(value)


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def common(function: F) -> F:
    """The options that every command takes, before and after its name."""
    function = click.option(
        "--json", is_flag=True, expose_value=False, callback=_set_json, help="Answer with one JSON document on standard output."
    )(function)
    return click.option(
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_set_config,
        help="The configuration.  [default: $ROTATOR_CONFIG, else /etc/rotator/rotator.toml]",
    )(function)


pass_session = click.make_pass_decorator(Session, ensure=True)


def chosen(app: App, names: Sequence[str]) -> list[Policy]:
    """The applications that were named, once each; all of the configuration when none was. An orphan may be named too."""
    if not names:
        return list(app.policies.values())
    unknown = [name for name in names if name not in app.policies]
    orphans = app.orphans() if unknown else {}
    known = {**orphans, **app.policies}
    return [known[name] if name in known else app.policy(name) for name in dict.fromkeys(names)]
