"""What ``rotator rotate`` does when it is about many applications: choose, foretell, rotate while a person looks on, and prove."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rotator.account import MassRotation
from rotator.cli.accounts import estates, moment_of
from rotator.cli.coverage import lines, say
from rotator.cli.endings import Interrupted
from rotator.cli.session import App, Session, who
from rotator.coverage import Coverage
from rotator.errors import Refused
from rotator.hands.result import Result
from rotator.mass import (
    Candidate,
    Estate,
    Estimate,
    MassResult,
    Selection,
    Sight,
    Wish,
    begin,
    chosen,
    estimate,
    look,
    places,
    proof_of,
    run,
)
from rotator.render import timestamp
from rotator.words import count, moment, span, towards

INTERRUPTED = (
    "interrupted; nothing is lost: what was begun is in the ledgers and daemons act on it, but applications whose turn had not come"
    " keep their old keys: run the same command again, it goes on"
)


@dataclass(frozen=True)
class Asked:
    """The options of the command, as they were typed."""

    selection: Selection
    created_before: str
    compromised: bool
    reason: str | None
    dry_run: bool
    wait: bool


def rotate_many(session: Session, asked: Asked) -> int:
    """Rotate what was asked for, account by account; the exit code."""
    with session.app(tell=asked.compromised and not asked.dry_run) as app:
        wish, found = _wish(app, asked), _estates(app, asked.selection)
        if asked.dry_run:
            return _foretell(session, [(estate, look(estate)) for estate in found], wish)
        token = app.clock.token()
        try:
            results = [_run(session, estate, wish, token, wait=asked.wait) for estate in found]
        except KeyboardInterrupt:
            raise Interrupted(INTERRUPTED) from None
    if session.json:
        click.echo(json.dumps({"mass_rotations": [result.as_json() for result in results]}, indent=2))
    return max(result.exit_code for result in results)


def _wish(app: App, asked: Asked) -> Wish:
    now = app.clock.now()
    created_before = moment_of(asked.created_before, now) if asked.created_before else now
    created_before -= timedelta(microseconds=created_before.microsecond)  # what is printed is what is meant
    if created_before > now:
        raise click.UsageError("--created-before is a time to come: the keys that are made now would be replaced again")
    reason = asked.reason or ("suspected compromise" if asked.compromised else "mass rotation")
    return Wish(asked.selection, asked.created_before, created_before, asked.compromised, reason, who())


def _estates(app: App, selection: Selection) -> list[Estate]:
    for name in selection.names:
        app.policy(name)
    found = [
        estate
        for estate in estates(app, selection.accounts)
        if any(selection.chooses(policy) for policy in estate.policies.values())
    ]
    if not found:
        raise click.UsageError("no application of the configuration is what was asked for: see rotator status")
    return found


# --- beforehand -----------------------------------------------------------------------------------------------------------


def _foretell(session: Session, sights: Sequence[tuple[Estate, Sight]], wish: Wish) -> int:
    """Say what would be done, in which order, how long it would take, and which keys would remain; change nothing."""
    told = []
    for estate, sight in sights:
        unfinished = sight.document.unfinished(wish.words)
        order = unfinished or _would_be(estate, wish)
        turns = chosen(sight, wish.selection, order)
        room = estate.provider.headroom(fresh=True)
        proofs = [proof_of(one.policy, compromised=wish.compromised) for one in turns]
        slowest = max(proofs, key=lambda proof: (proof.successes - 1) * proof.interval, default=None)
        foreseen = estimate(len(turns), room, estate.rate_limit, slowest) if slowest else None
        told.append(_Foretold(estate, sight, order, turns, room, foreseen, again=unfinished is not None))
    if session.json:
        click.echo(json.dumps({"mass_rotations": [one.as_json() for one in told]}, indent=2))
    else:
        for one in told:
            one.say()
    blocked = [one for one in told if one.turns and one.room == 0 and any(turn.needs_room for turn in one.turns)]
    if blocked:
        raise Refused(
            f"account {blocked[0].estate.account} has no room for another key: delete keys that nobody needs, or have the quota raised"
        )
    return 0


def _would_be(estate: Estate, wish: Wish) -> MassRotation:
    now = estate.clock.now()
    return MassRotation("", wish.words, wish.created_before, wish.compromised, wish.reason, wish.by, now)


@dataclass(frozen=True)
class _Foretold:
    estate: Estate
    sight: Sight
    order: MassRotation
    turns: tuple[Candidate, ...]
    room: int | None
    foreseen: Estimate | None
    again: bool

    @property
    def remaining(self) -> Coverage:
        """The coverage as it would be afterwards, if all goes well."""
        dead = {key for one in self.turns for key in one.keys} if self.order.compromised else set()
        proof = self.sight.coverage(self.order.created_before)
        return replace(proof, rows=tuple(row for row in proof.rows if row.key.access_key not in dead))

    def say(self) -> None:
        order = self.order
        again = f" (goes on with {order.id}, begun {moment(order.begun_at)})" if self.again else ""
        keys = sum(len(one.keys) for one in self.turns)
        click.echo(
            f"account {self.estate.account}: {count(len(self.turns), 'application')} with {count(keys, 'key')}"
            f" from before {moment(order.created_before)}{again}"
        )
        room = "the provider does not tell how many" if self.room is None else f"the quota has room for {self.room}"
        if self.foreseen:
            click.echo(
                f"room for keys: {room}; at most {self.foreseen.at_once} applications at once; about {self.foreseen.calls} calls"
                f" at {self.estate.rate_limit:g} a second; {span(self.foreseen.duration)} if all goes well"
            )
            fits = None if self.room is None else max(0, places(self.room, 0, 0))
            if not order.compromised and fits is not None and fits < len(self.turns):
                click.echo(
                    f"the old keys stay for their grace, so {fits} of {len(self.turns)} fit now: the rest follow as graces end"
                )
        for number, one in enumerate(self.turns, 1):
            does = "rotate" if one.needs_room else "revoke old keys"
            click.echo(f"  {number:>4}. {one.name}: {does}, {', '.join(sorted(one.keys))}, oldest {moment(one.oldest)}")
        remaining = self.remaining
        left = "in grace or " if not order.compromised else ""
        click.echo(f"afterwards {left}untouched: {count(len(remaining.rows), 'key')} from before that time")
        for line in lines(remaining):
            click.echo(f"  {line}")
        for name, error in sorted(self.sight.survey.unread.items()):
            click.echo(f"rotator: {name}: {error}", err=True)

    def as_json(self) -> dict[str, Any]:
        return {
            "account": self.estate.account,
            "created_before": timestamp(self.order.created_before),
            "compromised": self.order.compromised,
            "goes_on_with": self.order.id or None,
            "room": self.room,
            "at_once": self.foreseen.at_once if self.foreseen else 0,
            "calls": self.foreseen.calls if self.foreseen else 0,
            "seconds": round(self.foreseen.duration.total_seconds()) if self.foreseen else 0,
            "applications": [
                {"name": one.name, "keys": sorted(one.keys), "oldest": timestamp(one.oldest), "needs_room": one.needs_room}
                for one in self.turns
            ],
            "remaining": self.remaining.as_json()["keys"],
            "broken": sorted(self.sight.survey.unread),
        }


# --- the thing itself -----------------------------------------------------------------------------------------------------


def _run(session: Session, estate: Estate, wish: Wish, token: str, *, wait: bool) -> MassResult:
    clock = estate.clock

    def sleep(until: datetime) -> None:
        session.sleep(clock, until)

    order = begin(estate, wish, sleep, token)
    with Onlooker(shown=sys.stderr.isatty() and not session.json, say=None if session.json else click.echo) as onlooker:
        result = run(estate, wish.selection, order, onlooker, sleep, again=order.id != token, wait=wait)
    _report(session, result)
    return result


@dataclass
class Onlooker:
    """A person at a terminal who sees how far it is, with the rate and the time left; in a pipe, only the first line is said."""

    shown: bool
    say: Callable[[str], None] | None
    _bar: Progress | None = None
    _task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def begins(self, order: MassRotation, count_: int, *, again: bool) -> None:
        """Say which mass rotation this is, by what it is found again."""
        what = "compromised, " if order.compromised else ""
        goes_on = f", goes on with what was begun {moment(order.begun_at)}" if again else ""
        if self.say:
            self.say(
                f"mass rotation {order.id}: {what}{count(count_, 'application')} with keys from before"
                f" {timestamp(order.created_before)}{goes_on}"
            )
        if self.shown:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("rotating", total=count_, rate="")

    def is_done(self, result: Result) -> None:
        """One more; who was given up is said at once, for a person may do something about it meanwhile."""
        if self._bar is None or self._task is None:
            return
        if result.exit_code:
            self._bar.console.print(f"{result.application}: {result.message}", style="red", highlight=False, markup=False)
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, advance=1, rate=f"{speed:.1f} /s" if speed else "")

    def waits(self, count_: int, until: datetime) -> None:
        """Say for what nothing happens now."""
        if self.say:
            self.say(f"{count(count_, 'application')} wait for room until {moment(until)}")


def _report(session: Session, result: MassResult) -> None:
    order = result.order
    for broken in result.broken:
        click.echo(f"rotator: {broken.application}: {broken.message}", err=True)
    if result.rest:
        click.echo(f"rotator: {_without_room(result)}: {', '.join(result.rest)}", err=True)
    if session.json:
        return
    rate = f", {result.done / result.seconds:.1f} a second" if result.seconds > 1 and result.done else ""
    took = f"{count(result.done, 'application')} rotated in {result.seconds:.0f} s{rate}"
    click.echo(f"mass rotation {order.id}: {took}; {len(result.broken)} broken, {len(result.rest)} without room")
    say(result.coverage)
    if not result.coverage.proven:
        click.echo(
            f"look again with: rotator coverage --account {result.coverage.account} --created-before {timestamp(order.created_before)}"
        )


def _without_room(result: MassResult) -> str:
    found = f"{count(len(result.rest), 'application')} found no room for another key"
    if result.room_at is None:
        return f"{found}: delete keys that nobody needs or have the quota raised, then run the same command again"
    when = f"{towards(result.room_at, result.coverage.as_of)} ({moment(result.room_at)}), when a grace ends"
    return f"{found}; the first can follow {when}: run the same command again then, or say --wait"
