"""``rotator rotate`` for many applications: selects, previews, rotates with progress, and shows
coverage."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rotator.cli.commands.coverage import lines, outside, print_coverage
from rotator.cli.exit_codes import Interrupted
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import say
from rotator.cli.output.styled_console import StyledConsole
from rotator.cli.session import Session
from rotator.cli.times import parse_time_argument
from rotator.errors import Refused, ServiceError, Unavailable
from rotator.operations.failures import ReportedError, explain
from rotator.operations.mass_rotation.coordinator import MassRotationResult
from rotator.operations.mass_rotation.preview import Preview
from rotator.operations.mass_rotation.results import MassRotationReport
from rotator.operations.mass_rotation.selection import Selection
from rotator.util.formatting import format_relative, format_span, format_time, format_timestamp, pluralize

GOES_ON = (
    "interrupted; the daemon goes on with the mass rotation: rotator status shows how far it is, rotator incident "
    "what became of it"
)

INTERRUPTED = (
    "interrupted; nothing is lost: what was begun is in the ledgers and daemons act on it, but applications whose "
    "turn had not come keep their old keys: run the same command again, it goes on"
)


@dataclass(frozen=True)
class MassRotationOptions:
    """The options of the command, as they were typed."""

    selection: Selection
    created_before: str
    compromised: bool
    reason: str | None
    dry_run: bool
    wait: bool
    yes: bool = False


def rotate_many(session: Session, asked: MassRotationOptions) -> int:
    """Rotate what was asked for, account by account; the exit code."""
    request: dict[str, Any] = {
        "applications": list(asked.selection.names),
        "accounts": list(asked.selection.accounts),
        "globs": list(asked.selection.globs),
        "created_before": parse_time_argument(asked.created_before, session.now()) if asked.created_before else None,
        "selector": asked.created_before,
        "compromised": asked.compromised,
        "reason": asked.reason or "",
    }
    if asked.dry_run:
        return _show_previews(session, session.ask("preview", **request))
    if asked.compromised and not asked.yes and not session.json and session.can_ask():
        say(f"rotator: {_meaning(session, request)}", err=True)
        if not click.confirm("go on?", err=True):
            say("nothing was done")
            return 0
    with ProgressSink(shown=sys.stderr.isatty() and not session.json, say=None if session.json else say) as onlooker:
        try:
            found: MassRotationReport = session.ask(
                "mass_rotation", onlooker, notify=asked.compromised, wait=asked.wait, **request
            )
        except KeyboardInterrupt:
            raise Interrupted(GOES_ON if session.ordered else INTERRUPTED) from None
    if session.json:
        answer: dict[str, Any] = {"mass_rotations": [result.as_json() for result in found.accounts]}
        if found.failed:
            answer["failed"] = [one.as_json() for one in found.failed]
        click.echo(json.dumps(answer, indent=2))
    for result in found.accounts:
        _report(session, result)
    for one in found.failed:
        say(f"rotator: {one.application}: {one.message}; give the same command again when it answers", err=True)
    return max([*(one.exit_code for one in found.accounts), *(one.exit_code for one in found.failed)])


def _meaning(session: Session, request: Mapping[str, Any]) -> str:
    """What a mass emergency means, for a person who is about to order it. What cannot be counted
    keeps no emergency waiting."""
    try:
        previews: Sequence[Preview] = session.ask("preview", **request)
    except (ServiceError, ReportedError) as error:
        if explain(error).exit_code != Unavailable.exit_code:
            raise
        counts = f"how many keys that are is not known ({error})"
    else:
        counts = "; ".join(f"account {one.account}: {_concerned(one)}" for one in previews)
    return (
        f"{counts}; every one of these keys is revoked within seconds of its replacement, so consumers are refused "
        "until they have read the new one; --dry-run lists them, --yes does not ask"
    )


def _concerned(found: Preview) -> str:
    keys = sum(len(one.keys) for one in found.turns)
    before = format_time(found.order.created_before)
    return f"{pluralize(len(found.turns), 'application')} with {pluralize(keys, 'key')} from before {before}"


# --- beforehand -----------------------------------------------------------------------------------


def _show_previews(session: Session, previews: Sequence[Preview]) -> int:
    """Say what would be done, in which order, how long it would take, and which keys would
    remain."""
    if session.json:
        click.echo(json.dumps({"mass_rotations": [one.as_json() for one in previews]}, indent=2))
    else:
        for one in previews:
            _say_beforehand(one)
    blocked = [one.account for one in previews if one.blocked]
    if blocked:
        raise Refused(
            f"account {blocked[0]} has no room for another key: delete keys that are not needed, or have the quota "
            "raised"
        )
    return 0


def _say_beforehand(found: Preview) -> None:
    order = found.order
    again = f" (goes on with {order.id}, begun {format_time(order.begun_at)})" if found.again else ""
    say(f"account {found.account}: {_concerned(found)}{again}")
    room = "the provider does not report how many" if found.room is None else f"the quota has room for {found.room}"
    if found.foreseen:
        say(
            f"room for keys: {room}; at most {found.foreseen.at_once} applications at once; about "
            f"{found.foreseen.calls} calls at {found.rate_limit:g} a second; {format_span(found.foreseen.duration)} "
            "if all goes well"
        )
        if not order.compromised and found.fit_now is not None and found.fit_now < len(found.turns):
            say(
                f"the old keys stay for their grace, so {found.fit_now} of {len(found.turns)} fit now: the rest "
                "follow as graces end"
            )
    for number, one in enumerate(found.turns, 1):
        does = "rotate" if one.needs_room else "revoke old keys"
        does = "held, and passed by" if one.held else does
        say(f"  {number:>4}. {one.name}: {does}, {', '.join(sorted(one.keys))}, oldest {format_time(one.oldest)}")
    remaining = found.remaining
    left = "in grace or " if not order.compromised else ""
    least = "at least " if remaining.gap else ""
    part = f" of {remaining.part}" if remaining.part else ""
    beside = f"; {outside(remaining)} outside of the selection" if remaining.outside else ""
    say(
        f"afterwards {left}untouched: {least}{pluralize(len(remaining.rows), 'key')}{part} from before that "
        f"time{beside}"
    )
    if remaining.gap:
        say(f"  {remaining.gap}")
    for line in lines(remaining):
        say(f"  {line}")
    complain(sorted(found.unread.items()))


# --- the thing itself -----------------------------------------------------------------------------


@dataclass
class ProgressSink:
    """A person at a terminal who sees how far it is, with the rate and the time left; in a pipe,
    only the first line is printed."""

    shown: bool
    say: Callable[[str], None] | None
    elapsed: Callable[[], float] = time.monotonic
    _began: dict[object, float] = field(default_factory=dict)
    _done: dict[object, int] = field(default_factory=dict)
    _bar: Progress | None = None
    _tasks: dict[object, TaskID] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def emit(self, event: str, **fields: object) -> None:
        """See one event; what single applications go through is not shown."""
        with self._lock:  # accounts go on beside each other
            if event == "mass_rotation.started":
                self._begins(fields)
            elif event == "mass_rotation.waiting_for_quota":
                self._waits(fields)
            elif event in {"mass_rotation.application_done", "mass_rotation.application_failed"}:
                self._one_more(fields)

    def _begins(self, fields: Mapping[str, object]) -> None:
        """Say which mass rotation this is, by what it is found again."""
        many, since, begun = _number(fields, "applications"), fields.get("created_before"), fields.get("begun_at")
        what = "compromised, " if fields.get("compromised") else ""
        goes_on = (
            f", goes on with what was begun {format_time(begun)}"
            if fields.get("again") and isinstance(begun, datetime)
            else ""
        )
        if self.say:
            before = format_timestamp(since) if isinstance(since, datetime) else since
            self.say(
                f"mass rotation {fields.get('incident')}: {what}{pluralize(many, 'application')} with keys from "
                f"before {before}{goes_on}"
            )
        if not self.shown:
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=StyledConsole(stderr=True),
            )
            self._bar.start()
        account = fields.get("account")
        self._began[account] = self.elapsed()
        self._tasks[account] = self._bar.add_task(f"rotating {account}", total=many, rate="")

    def _one_more(self, fields: Mapping[str, object]) -> None:
        """One more; a failure is shown at once, so that a person may do something about it
        meanwhile."""
        task = self._tasks.get(fields.get("account"))
        if self._bar is None or task is None:
            return
        if message := fields.get("message"):
            self._bar.console.print(
                f"{fields.get('application')}: {message}", style="red", highlight=False, markup=False
            )
        account = fields.get("account")
        self._done[account] = self._done.get(account, 0) + 1
        self._bar.update(task, advance=1, rate=self.rates().get(account, ""))

    def rates(self) -> dict[object, str]:
        """How many applications a second each account has done since its start, in the words of the
        final report."""
        now = self.elapsed()
        return {account: rate(done, now - self._began[account]) for account, done in self._done.items()}

    def _waits(self, fields: Mapping[str, object]) -> None:
        """Say for what nothing happens now."""
        until = fields.get("until")
        if self.say:
            when = f" until {format_time(until)}" if isinstance(until, datetime) else ""
            self.say(f"{pluralize(_number(fields, 'applications'), 'application')} wait for room{when}")


def rate(done: int, seconds: float) -> str:
    """How many a second, once that is known."""
    return f"{done / seconds:.1f} a second" if seconds > 1 and done else ""


def _number(fields: Mapping[str, object], name: str) -> int:
    found = fields.get(name)
    return found if isinstance(found, int) else 0


def _report(session: Session, result: MassRotationResult) -> None:
    order = result.order
    complain((broken.application, broken.message) for broken in result.broken)
    if result.rest:
        say(f"rotator: {_without_room(result)}: {', '.join(result.rest)}", err=True)
    if session.json:
        return
    speed = f", {pace}" if (pace := rate(result.done, result.seconds)) else ""
    took = f"{pluralize(result.done, 'application')} rotated in {result.seconds:.0f} s{speed}"
    say(f"mass rotation {order.id}: {took}; {len(result.broken)} broken, {len(result.rest)} without room")
    print_coverage(result.coverage)
    if not result.coverage.complete:
        say(
            f"look again with: rotator coverage --account {result.coverage.account} --created-before "
            f"{format_timestamp(order.created_before)}"
        )


def _without_room(result: MassRotationResult) -> str:
    found = f"{pluralize(len(result.rest), 'application')} found no room for another key"
    if result.room_at is None:
        return f"{found}: delete keys that are not needed or have the quota raised, then run the same command again"
    when = (
        f"{format_relative(result.room_at, result.coverage.as_of)} ({format_time(result.room_at)}), when a grace ends"
    )
    return f"{found}; the first can follow {when}: run the same command again then, or say --wait"
