"""Cells within this process: the real program, as ``rotator.app`` composes it, over real HTTP.

A *life* is what a process is: everything that it holds in memory. It ends where the director says that the process is killed, and
the next one knows nothing of it but what Vault and the provider tell. Time is the one thing that is not real: the clock of the
program goes on as far as it would sleep, so that an hour of grace takes no time. The clocks of Vault and of the provider are
told as differences to the machine's, so they go along.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

from rotator.app import open_runtime
from rotator.http import HttpClient, HttpFailure, HttpResponse
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.providers.scaleway import ScalewayProvider
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import drive, reconcile
from tests.proof.cell import Bound, Cell
from tests.proof.faults import Director, Kill

MOST_PASSES = 25
"""Passes (and starts after a kill) within which a scenario must come to rest. Without faults it takes two."""


class Killed(BaseException):
    """The process is gone. Not an ``Exception``, so that nothing in the program can go on after it."""


class MovedClock:
    """The machine's clock and what the program has slept on top of it; and what it showed at any earlier moment."""

    def __init__(self) -> None:
        self._moments = [datetime.min.replace(tzinfo=UTC)]
        self._shifts = [timedelta(0)]

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shifts[-1]

    def token(self) -> str:
        return secrets.token_hex(8)

    def sleep_until(self, moment: datetime) -> None:
        real = datetime.now(UTC)
        self._moments.append(real)
        self._shifts.append(max(self._shifts[-1], moment - real))

    def sleep(self, seconds: float) -> None:
        self.sleep_until(self.now() + timedelta(seconds=seconds))

    def showed(self, real: datetime) -> datetime:
        return real + self._shifts[bisect.bisect_right(self._moments, real) - 1]


@dataclass
class Lines:
    """A journal with no net under it: here a secret would show."""

    lines: list[str] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        self.lines.append(json.dumps({"event": event, **fields}, default=str))


class Ear:
    """The program's HTTP client, and an ear at it: hears what failed, and after a kill lets nobody come back."""

    def __init__(self, http: HttpClient, director: Director) -> None:
        self._http = http
        self._director = director
        self.timeouts = 0
        self.clock_offset = http.clock_offset
        self.close = http.close

    def request(self, *arguments: Any, **options: Any) -> HttpResponse:
        try:
            return self._http.request(*arguments, **options)
        except HttpFailure as failure:
            if failure.kind == "refused":
                self._director.refused()
            self.timeouts += failure.kind == "timeout"
            raise
        finally:
            if self._director.dead:
                raise Killed


class Life:
    """One life of the program, from its start to its death."""

    def __init__(self, cell: Passes) -> None:
        self.owner = secrets.token_hex(8)
        self.app = open_runtime(cell.file, cell.sink)
        # A refused login is remembered for as long as the program sleeps, and not for as long as the cell takes.
        self.app.refusals._clock = lambda: cell.clock.now().timestamp()
        self.spec = self.app.spec(cell.name)
        composed = self.app.context(self.spec)
        self.context: ReconcileContext = replace(
            composed, clock=cell.clock, owner=self.owner, is_gone=cell.known_to_be_gone.__contains__
        )
        self.local_state = LocalState()
        wire, api = self.app.vault._connection._transport, cast("ScalewayProvider", self.context.provider)._api
        self.ears = [Ear(wire.http, cell.director), Ear(api.http, cell.director)]
        wire.http, api.http = (cast("HttpClient", ear) for ear in self.ears)
        self.app.vault._kv._sleep = api._sleep = cell.clock.sleep
        self._sleep_until = cell.clock.sleep_until

    def run(self) -> PassOutcome:
        """One pass."""
        return drive(reconcile(self.spec, self.context, self.local_state), self._sleep_until)

    def end(self) -> None:
        """Close the connections, as the kernel does for a process that was killed. Nothing is said to anybody."""
        for ear in self.ears:
            ear.close()


class Passes(Cell):
    """Lives that follow one another, each making passes."""

    grace = timedelta(hours=1)
    speed = """
every = "30d"
grace = "1h"
consumer_refresh = "1m"
resync_interval = "1d"  # nothing happens in a cell but what it is about
jitter = "0s"  # the same call is the same cell in every run
verification = { successes = 2, interval = "1s", timeout = "1m" }
emergency_verification = { successes = 2, interval = "1s", timeout = "1m" }
publish_timeout = "2m"
stale_claim_timeout = "5m"
"""
    life: Life

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clock = MovedClock()
        self.sink = Lines()
        self.known_to_be_gone: set[str] = set()
        self.timeouts = 0

    def play(self) -> None:
        self.life = Life(self)
        self.act()
        if self.director.kill_is_due():  # at the next call, and the scenario made none any more
            self.rest()
        if self.director.land():  # at the very end, as no change came after it
            self.rest()
        assert not self.director.kill_is_due(), "the kill never came"

    def act(self) -> None:
        """What the scenario is about."""
        self.director.arm()
        self.rest()

    def end(self) -> None:
        self.life.end()
        self.timeouts += sum(ear.timeouts for ear in self.life.ears)

    def lines(self) -> list[str]:
        return self.sink.lines

    def showed(self, real: datetime) -> datetime:
        return self.clock.showed(real)

    @property
    def disturbed(self) -> bool:
        return self.timeouts > bool(self.plan and self.plan.row.fault.slow)

    def restart(self) -> None:
        """The process is gone; another one takes its place, on the same machine or elsewhere."""
        self.end()
        if self.plan is None or self.plan.row.kill is not Kill.NEXT:
            self.known_to_be_gone.add(self.life.owner)
        self.director.revived()
        self.life = Life(self)

    def rest(self) -> None:
        """Be a daemon until nothing is left to do."""
        for _ in range(MOST_PASSES):
            try:
                outcome = self.life.run()
            except Killed:
                self.restart()
                continue
            if outcome.error:
                self.sink.lines.append(str(outcome.error))
            elif self.at_rest(outcome):
                return
            self.clock.sleep_until(outcome.wait.until)
        raise Bound(f"no rest within {MOST_PASSES} passes")

    def at_rest(self, outcome: PassOutcome) -> bool:
        ledger = outcome.ledger
        if ledger is None or ledger.current is None or outcome.document is None or outcome.wait.problem:
            return False
        open_ends = (
            ledger.intent,
            ledger.retiring,
            ledger.revoking,
            ledger.compromised,
            ledger.failures,
            self.life.local_state.in_flight,
        )
        return not any(open_ends) and outcome.document.published not in {None, self.first, self.second}


class Rotation(Passes):
    """a daemon takes over a key that is due, replaces it, and revokes it after its grace"""


class FirstKey(Passes):
    """a daemon makes the first key of an application"""

    with_document = False


class Compromise(Passes):
    """`rotate --compromised` while an older key is in grace; a daemon finishes what the command left"""

    orders: ClassVar[int] = 3

    def act(self) -> None:
        self.life.run()
        self.second = self.rig.published(self.name)
        assert self.second != self.first
        self.marked = frozenset({self.first, self.second})
        self.restart()
        self.director.arm()
        began = self.clock.now()
        for _ in range(self.orders):
            with contextlib.suppress(Killed):
                life = self.life
                result = contain(
                    life.spec, life.context, self.clock.sleep_until, CompromiseRequest("leaked", "the matrix")
                )
                self.sink.lines.append(result.message)
                if result.exit_code == 0:
                    self.check_contained()
                    break
            self.restart()
            # If the mark was written, whoever runs acts on it. Else nothing was promised, and the order is given again.
            if self.rig.ledger(self.name)["compromised"] or not any(map(self.rig.scaleway.accepts, self.marked)):
                break
        self.rest()
        assert self.clock.now() - began < self.grace / 2, "I3: a kill lengthened the life of a compromised key"
