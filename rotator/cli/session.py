"""What every command shares: the common options, and how it gets at the world.

A ``Session`` is an ordinary object that tests replace parts of: how the application is opened, and
how time passes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rotator.cli import STARTED
from rotator.errors import ConfigurationError
from rotator.operations.failures import FailureReport, ReportedError
from rotator.system.paths import locate

if TYPE_CHECKING:
    from rotator.api.client import DaemonClient, DaemonUnavailable
    from rotator.cli.local_runtime import LocalRuntime
    from rotator.domain.ports import Clock, EventSink
    from rotator.observability.notifications import Notifier

F = TypeVar("F", bound=Callable[..., Any])

MAX_WARNINGS = 3
"""Problems of other applications that a command shows; the rest is counted."""

TAKES_NO_COMMAND = frozenset({"busy", "stopping", "hung"})
"""Kinds of errors by which a daemon that runs refuses a command for now."""


def open_app(path: Path, sink: EventSink, only: Collection[str] = ()) -> LocalRuntime:
    """The real thing, for these applications or for all: everything built, nothing contacted."""
    # PLC0415: hvac, httpx and pydantic are for commands that contact something
    from rotator.app import open_runtime  # noqa: PLC0415

    return open_runtime(path, sink, only)


def _at_a_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


@dataclass
class Session:
    """One run of one command."""

    config: Path | None = None
    json: bool = False
    direct: bool = False
    opener: Callable[[Path, EventSink, Collection[str]], LocalRuntime] = open_app
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    started: float = STARTED
    can_ask: Callable[[], bool] = _at_a_terminal
    question: bool = True
    """Whether this run changes nothing, so that it has failed when its answer is lost."""
    ordered: bool = False
    """Whether a daemon has taken the order, and goes on with it if this command ends."""
    alone: str = ""
    """Why no daemon was asked that should be there, once this process has done it itself."""

    @property
    def path(self) -> Path:
        """The configuration file of this run."""
        return locate(self.config)

    @contextmanager
    def app(
        self, sink: EventSink | None = None, *, notify: bool = False, only: Collection[str] = ()
    ) -> Iterator[LocalRuntime]:
        """The runtime, closed at the end. With ``notify``, people are notified of what happens, as
        by the daemon. What is wrong with others than the applications in ``only`` stops nothing and
        is a warning."""
        from rotator.domain.ports import NullEventSink  # noqa: PLC0415 - for commands that act themselves
        from rotator.util.formatting import pluralize  # noqa: PLC0415 - same

        sink = sink or NullEventSink()
        with _notifier(sink) if notify else nullcontext() as notifier:
            app = self.opener(self.path, notifier or sink, only)
            for problem in app.set_aside[:MAX_WARNINGS]:
                click.echo(f"rotator: warning: {problem}", err=True)
            if more := len(app.set_aside[MAX_WARNINGS:]):
                click.echo(
                    f"rotator: warning: {pluralize(more, 'more problem')} of others; rotator check lists them", err=True
                )
            try:
                if notifier is not None:
                    notifier.apply_runtime(app.alarm)
                yield app
            finally:
                app.close()

    def ask(self, name: str, sink: EventSink | None = None, *, notify: bool = False, **request: Any) -> Any:
        """The result of an operation: from the daemon where it answers, else from this process,
        which then needs the credentials.

        A daemon that is there and does not answer may have begun a command. An emergency continues
        without it: every write is a check-and-set, so both may act. Other commands are refused with
        the way out. ``sink`` receives the events meanwhile; with ``notify``, people are notified of
        them as by the daemon.
        """
        from rotator.operations.signatures import SIGNATURES  # noqa: PLC0415 - not for --help

        operation = SIGNATURES[name]
        unavailable = None
        if not self.direct:
            from rotator.api.client import DaemonUnavailable  # noqa: PLC0415 - same

            try:
                with self.daemon(commands=operation.changes) as daemon:
                    self.ordered = True
                    return daemon.call(name, sink, **request)
            except DaemonUnavailable as error:
                unavailable = error
                if error.present and operation.changes and not operation.urgent(request):
                    raise
            except ReportedError as error:
                if error.failure.kind not in TAKES_NO_COMMAND or not operation.urgent(request):
                    raise
                unavailable = DaemonUnavailable(error.failure.sentences[0], present=True)
            self.ordered = False
            self.alone = "" if unavailable.denied or unavailable.off else unavailable.why
            if unavailable.present and operation.changes:
                click.echo(f"rotator: {unavailable.why}; this command goes on by itself", err=True)
        try:
            with self.app(sink, notify=notify, only=_named(name, request)) as app:
                return self._act(name, app, request)
        except ConfigurationError as error:
            if unavailable is not None and any(problem.private for problem in error.problems):
                raise _stranded(unavailable, error) from None
            raise

    def _act(self, name: str, app: LocalRuntime, request: Mapping[str, Any]) -> Any:
        # PLC0415: pydantic is for commands that act themselves
        from rotator.operations.operation import OperationContext  # noqa: PLC0415
        from rotator.operations.registry import OPERATIONS  # noqa: PLC0415 - same

        operation = OPERATIONS[name]
        return operation.execute(
            OperationContext(app, who(), app.sink, self.sleep, self.now), operation.request(request)
        )

    def daemon(self, *, commands: bool) -> DaemonClient:
        """The client of the daemon that works for this configuration; raises
        ``DaemonUnavailable``."""
        from rotator.api.client import DaemonClient, DaemonUnavailable, directory  # noqa: PLC0415 - see above

        folder = directory(self.path)
        if folder is None:
            raise DaemonUnavailable(
                f"no daemon answers: {self.path} switches its sockets off ([control] enabled)", off=True
            )
        return DaemonClient.at(
            folder, self.path, lambda sentence: click.echo(f"rotator: {sentence}", err=True), commands=commands
        )

    def sleep(self, clock: Clock, until: datetime) -> None:
        """Sleep until the clock shows that time."""
        seconds = (until - clock.now()).total_seconds()
        if seconds > 0:
            self.pause(seconds)


def _named(name: str, request: Mapping[str, Any]) -> Collection[str]:
    """The applications that a request is about; empty where it needs to know of all."""
    from rotator.operations.registry import OPERATIONS  # noqa: PLC0415 - for commands that act themselves

    if not OPERATIONS[name].per_application or request.get("everything"):
        return ()
    return request.get("applications") or ((request["application"],) if request.get("application") else ())


def who() -> str:
    """Who gives the order, for the ledger: the user (also behind sudo) and the machine."""
    import socket  # noqa: PLC0415 - for commands that act themselves

    from rotator.system.users import user_id  # noqa: PLC0415 - same

    return f"{user_id()}@{socket.gethostname()}"


def _stranded(unreached: DaemonUnavailable, error: ConfigurationError) -> ReportedError:
    """Neither the daemon nor this process can do it: one sentence with both reasons."""
    problem = next(problem for problem in error.problems if problem.private)
    way_out = "or run as root" if unreached.denied else "start the daemon, or run as root"
    message = f"{unreached.why}, and this user cannot act without it: {problem}; {way_out}"
    return ReportedError(
        FailureReport("denied" if unreached.denied else "no_daemon", (message,), 4 if unreached.denied else 3)
    )


@contextmanager
def _notifier(sink: EventSink) -> Iterator[Notifier]:
    # PLC0415: for the few commands that send notifications
    from rotator.observability.notifications import Notifier  # noqa: PLC0415

    with closing(Notifier(sink)) as notifier:
        yield notifier


def _set_config(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).config = Path(value)


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def _set_direct(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).direct = True


def asking(function: F) -> F:
    """The option of every command that asks the daemon where there is one."""
    return click.option(
        "--direct",
        is_flag=True,
        expose_value=False,
        callback=_set_direct,
        help="Act without the daemon; this needs the credentials that the configuration names.",
    )(function)


def common(function: F) -> F:
    """The options that every command takes, before and after its name."""
    function = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_set_json,
        help="Answer with one JSON document on standard output.",
    )(function)
    return click.option(
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_set_config,
        help="The configuration.  [default: $ROTATOR_CONFIG, else /etc/rotator/rotator.toml]",
    )(function)


pass_session = click.make_pass_decorator(Session, ensure=True)
