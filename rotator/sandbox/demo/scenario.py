"""The scenario of the demo: rotations, a kill in the middle of one, a compromise, and rest.

Each part lasts until something has truly happened, and never longer than the whole scenario may
take.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.sandbox.demo.consumer import Finder
from rotator.sandbox.demo.environment import World
from rotator.sandbox.demo.observer import DemoObserver
from rotator.sandbox.demo.recording import Chronicle, Life, Span

DRILLED = "shop"
"""The application whose key leaks."""


class Stuck(RotatorError):
    """The scenario does not go on: something did not happen in time, or the daemon ended by
    itself."""


@dataclass
class Kill:
    """The kill -9: when, and which keys it orphaned, with the names of their applications."""

    at: float
    orphans: dict[str, str]


@dataclass
class Drill:
    """The compromise. ``dead_after``, ``command_took``: seconds from the start of the command until
    the finder was refused and until the command had proven it; ``mark_to_proof``: seconds from the
    mark in the ledger, as the command says. The finder's calls that were still accepted; the
    seconds for which the application had no key that works, if any."""

    application: str
    access_key: str
    dead_after: float
    command_took: float
    mark_to_proof: float | None
    accepted_meanwhile: int
    application_without_key: float


@dataclass
class Story:
    """The scenario as far as it went. ``limit`` is how long it may take in all, in seconds."""

    world: World
    chronicle: Chronicle
    observer: DemoObserver
    limit: float
    kill: Kill | None = None
    drill: Drill | None = None
    stopped_well: bool = False
    command_output: str = ""

    def run(self) -> None:
        """All of it, in order."""
        self.rotate()
        self.kill_in_the_middle()
        self.recover()
        self.leak()
        self.rest()

    # --- the parts --------------------------------------------------------------------------------

    def rotate(self) -> None:
        """Until every application has seen a whole life of a key: made, proven, published, in
        grace, revoked, verified as revoked."""
        self.chronicle.enter("Three applications without a key; the daemon starts and makes the first ones")
        self.world.configure()
        self.start_daemon()
        self.until(
            lambda: all(self.lives(name, "published") for name in self.names), "every application has its first key"
        )
        self.until(
            lambda: all(consumer.served for consumer in self.world.consumers), "every application works with its key"
        )
        self.chronicle.enter("A rotation every 6 to 8 s; each old key has 3 s of grace, then it is revoked")
        self.until(
            lambda: all(self.lives(name, "proven_dead") for name in self.names),
            "every first key is replaced and revoked",
        )

    def kill_in_the_middle(self) -> None:
        """Kill the daemon when it has made a key that it has not published yet."""
        self.chronicle.enter("Next: kill -9 for the daemon, in the middle of a rotation")
        self.until(self.unpublished, "a rotation is under way", often=0.02)
        self.world.kill_daemon()
        at = self.chronicle.now()
        self.chronicle.daemons[-1].end, self.chronicle.daemons[-1].killed = at, True
        self.observer_catches_up()
        orphans = self.unpublished()
        if not orphans:  # it was published before it was seen: wait for the next one
            self.start_daemon()
            self.kill_in_the_middle()
            return
        self.kill = Kill(at, {life.access_key: life.application for life in orphans})
        self.chronicle.mark("kill -9")
        for life in orphans:
            self.chronicle.say("daemon", f"killed: {life.short} is made, and its secret is lost for ever", bad=True)
        calls = [consumer.calls for consumer in self.world.consumers]
        self.until(
            lambda: all(
                consumer.calls >= before + 5 for consumer, before in zip(self.world.consumers, calls, strict=True)
            ),
            "the applications go on without a daemon",
        )

    def recover(self) -> None:
        """Until the next daemon has replaced the key whose rotation was cut short, and revoked what
        was left of that."""
        assert self.kill  # noqa: S101 - the part before made it
        orphans, since = [self.chronicle.lives[access_key] for access_key in self.kill.orphans], self.chronicle.now()
        self.chronicle.enter("The daemon starts again; all that it has to know is in Vault")
        self.start_daemon()
        self.until(lambda: all(life.proven_dead for life in orphans), "what was left over is found and revoked")
        self.until(
            lambda: all(
                any((life.published or 0) > since for life in self.chronicle.of(orphan.application))
                for orphan in orphans
            ),
            "the rotations that were cut short are made up for",
        )

    def leak(self) -> None:
        """Until the leaked key is refused and the command has reported that it is revoked."""
        document = self.world.document(DRILLED)
        assert document  # noqa: S101 - published long ago
        access_key, secret = document["data"]["access_key"], Secret(document["data"]["secret_key"])
        life = self.chronicle.lives[access_key]
        consumer = next(consumer for consumer in self.world.consumers if consumer.application == DRILLED)
        finder = Finder(self.world.scaleway.url, access_key, secret)
        self.chronicle.enter(f"Drill: {DRILLED}'s key {life.short} has leaked. rotator rotate {DRILLED} --compromised")
        self.chronicle.mark("leak")
        life.leaked = self.chronicle.now()
        self.world.run_thread(finder.work, self.world.stop, time.time)
        began = time.time()
        arguments = ("rotate", DRILLED, "--compromised", "--reason", "found in a public repository", "--json")
        try:
            done = self.world.command(*arguments, timeout=self.remaining())
        except subprocess.TimeoutExpired:
            raise Stuck(f"`rotator rotate {DRILLED} --compromised` did not come back in time.") from None
        took = time.time() - began
        self.command_output = done.stdout + done.stderr
        if done.returncode != 0:
            raise Stuck(f"`rotator rotate {DRILLED} --compromised` failed with exit code {done.returncode}.")
        self.chronicle.say(DRILLED, f"the command is back after {took:.1f} s and reports: revoked")
        self.until(lambda: finder.dead_at is not None, "the leaked key is refused")
        self.until(lambda: not consumer.cut_off_at or bool(consumer.back_at), f"{DRILLED} works again")
        self.drill = Drill(
            application=DRILLED,
            access_key=access_key,
            dead_after=(finder.dead_at or 0.0) - began,
            command_took=took,
            mark_to_proof=from_the_mark(done.stdout),
            accepted_meanwhile=finder.accepted,
            application_without_key=consumer.back_at - consumer.cut_off_at,
        )
        self.chronicle.say(
            DRILLED, f"the finder of {life.short} is refused since {self.drill.dead_after:.1f} s after the alarm"
        )

    def rest(self) -> None:
        """Until nothing is under way any more: a longer interval for the running daemon, and then
        its orderly end."""
        self.chronicle.enter('The daemon reloads every = "30d" (SIGHUP), so that everything comes to rest')
        self.world.configure("30d")
        self.world.reload_daemon()
        self.until(self.observer.quiet, "no rotation is under way and no old key is left")
        self.stopped_well = self.world.stop_daemon()
        self.chronicle.daemons[-1].end = self.chronicle.now()
        self.chronicle.say(
            "daemon", "ended when it was asked to" if self.stopped_well else "did not end when it was asked to"
        )
        self.observer_catches_up()
        self.chronicle.enter("At rest: a look at what is left")

    # --- small things -----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The applications."""
        return self.chronicle.applications

    def start_daemon(self) -> None:
        """Start the daemon and note it."""
        self.world.start_daemon()
        self.chronicle.daemons.append(Span(self.chronicle.now()))
        self.chronicle.say("daemon", "started: rotator run")

    def lives(self, application: str, stage: str) -> list[Life]:
        """The application's keys that have reached this state."""
        return [life for life in self.chronicle.of(application) if getattr(life, stage) is not None]

    def unpublished(self) -> list[Life]:
        """The keys that exist at the provider and nowhere else."""
        return [
            life
            for life in list(self.chronicle.lives.values())
            if not life.stranger and life.published is None and life.died is None
        ]

    def observer_catches_up(self) -> None:
        """Return when the observer has looked twice more, so that what is known is newer than this
        call."""
        looks = self.observer.looks
        self.until(lambda: self.observer.looks >= looks + 2, "the observer looks")

    def remaining(self) -> float:
        """Seconds that the scenario may still take."""
        return max(self.limit - self.chronicle.now(), 0.1)

    def until(self, condition: Callable[[], object], what: str, *, often: float = 0.05) -> None:
        """Return when the condition holds."""
        while not condition():
            if self.chronicle.now() > self.limit:
                raise Stuck(f"After {self.limit:.0f} s the demo still waited until {what}.")
            if self.world.daemon and not self.world.daemon.alive():
                raise Stuck("The daemon ended by itself.")
            time.sleep(often)


def from_the_mark(answer: str) -> float | None:
    """The seconds from the mark to the verified revocation that the command's answer names."""
    try:
        return float(json.loads(answer)["applications"][0]["seconds_from_mark"])
    except (ValueError, LookupError, TypeError):
        return None
