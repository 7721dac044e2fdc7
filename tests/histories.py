"""Random histories: actors that are killed, paused and lied to, people who meddle, and then calm.

One integer makes one history. Up to three actors (two daemons and a command line) run their passes on threads of their own, of
which exactly one moves at a time; before every effect the baton may go to somebody else, for seconds or for days. Effects fail,
lose their answers, or land late; reads are answered by standbys that are behind. Between turns people edit, roll back and
delete what they can reach. The ``Monitor`` watches the ground truth all the while. Then the faults stop, and within a bounded
number of passes the world must be at rest.

What DESIGN.md exempts is not done here: nobody writes a key into the document while a DELETE of that very key may still land.
With standbys that may be behind, this is so from the moment that the ledger condemns the key: the last look before the DELETE
is as new as that, and perhaps no newer (seen in a history: the look was answered a moment late).

``python -m tests.histories 10000 1`` tries ten thousand histories from seed 1 on.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from rotator.errors import RotatorError, ServiceError, Unavailable, Unclear
from rotator.ledgers import marked_compromised
from rotator.marker import parse
from rotator.model import Hold, Ledger, Policy, Proof
from rotator.reconcile import run_pass
from rotator.steps import Request
from rotator.world import Outcome, World
from tests.invariants import Monitor
from tests.simulated import BEARER, PATH, Actor, ActorClock, Killed, Recorder, Sim, SimProvider, SimVault, Version, policy

T = TypeVar("T")
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DOCUMENT = "doc:" + PATH
LEDGER = "ledger:billing"
WRITES = {"write_ledger", "write_document", "create_key", "delete_key"}
FEWEST_TURNS, MOST_TURNS = 60, 400
MOST_CALM_PASSES = 400

POLICY = policy(
    every=4 * DAY,
    grace=DAY,
    prove=Proof(2, 10 * SECOND, 3 * MINUTE),
    prove_emergency=Proof(2, SECOND / 2, 30 * SECOND),
    observe_every=12 * HOUR,
)


class Stop(BaseException):
    """The history is over for this player."""


@dataclass
class Weather:
    """How bad it is in one history: chances per effect, and which accidents happen at all."""

    kill: float
    lose: float
    late: float
    fail: float
    switch: float
    meddle: float
    flapping: timedelta
    list_lag: timedelta
    skews: bool
    accidents: frozenset[str]
    stale: float = 0
    """How often a read is answered by a standby, which may be behind."""
    troubles: frozenset[str] = frozenset()
    """What else happens to Vault; a matter of the other dice, as is ``stale``."""

    def with_fog(self, fog: random.Random) -> Weather:
        stale = fog.choice([0, 0, 0.2, 0.8])
        return replace(self, stale=stale, troubles=frozenset(name for name in TROUBLES if fog.random() < 0.25))

    @classmethod
    def of(cls, dice: random.Random) -> Weather:
        def chance(*values: float) -> float:
            return dice.choice(values)

        names = [name for name, _ in ACCIDENTS]
        chosen = frozenset(name for name in names if dice.random() < 0.4)
        return cls(
            kill=chance(0, 0.005, 0.02),
            lose=chance(0, 0.01, 0.05),
            late=chance(0, 0.01, 0.05),
            fail=chance(0, 0.01, 0.05),
            switch=chance(0.05, 0.3, 0.6),
            meddle=chance(0, 0.05, 0.2),
            flapping=chance(0, 0, 1) * dice.randint(1, 200) * SECOND,
            list_lag=chance(0, 0, 1) * dice.randint(1, 300) * SECOND,
            skews=dice.random() < 0.3,
            accidents=chosen,
        )


@dataclass
class Stage(Sim):
    """The simulated world with everything that can go wrong in it."""

    dice: random.Random = field(default_factory=random.Random)
    fog: random.Random = field(default_factory=random.Random)
    """Dice for what is stale, apart from the others: what never meets a standby is the history that it was without them."""
    weather: Weather = field(default_factory=lambda: Weather.of(random.Random(0)))
    story: list[str] = field(default_factory=list)
    playing: Player | None = None
    calm: bool = False
    storm_until: datetime | None = None
    storm_kind: str = "unreachable"
    late: list[tuple[datetime, str, Callable[[], object]]] = field(default_factory=list)
    doomed: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, datetime] = field(default_factory=dict)
    monitor: Monitor = field(init=False)
    ledger_lost: bool = False
    recreated: bool = False
    read: tuple[Version, Ledger] | None = None

    def __post_init__(self) -> None:
        self.monitor = Monitor(self, POLICY.grace)

    def tell(self, text: str) -> None:
        who = self.playing.name if self.playing else "world"
        self.story.append(f"{self.time.now:%d %H:%M:%S.%f} {who:9} {text}")

    @property
    def playing_skew(self) -> timedelta:
        """How far the clock of whoever moves now is off: the others are seen from it."""
        return self.playing.skew if self.playing else timedelta(0)

    # --- every call of every actor comes through here ---

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        self.calls.append(name)
        player, dice, weather = self.playing, self.dice, self.weather
        if player is None or self.calm:
            answer = execute()
            self.check(name)
            return self.as_listed(name, answer)
        if dice.random() < weather.switch:
            player.hand_over(self.time.now + self.a_while())
        self.time.advance(dice.random() * SECOND / 5)
        self.land(self.time.now)
        roll = dice.random()
        if (roll := roll - weather.kill) < 0:
            self.tell(f"killed before {name}")
            raise Killed
        if (roll := roll - weather.fail) < 0:
            self.tell(f"{name} fails")
            raise Unavailable("away", service="test", kind="unreachable")
        if self.storm_until and self.time.now < self.storm_until and dice.random() < 0.8:
            self.tell(f"{name} fails: {self.storm_kind}")
            unclear = self.storm_kind == "server_error" and name in WRITES
            raise (Unclear if unclear else Unavailable)("a storm", service="test", kind=self.storm_kind)
        if name in WRITES and (roll := roll - weather.late) < 0:
            due = self.time.now + self.a_while()
            self.tell(f"{name} will land late, about {due:%d %H:%M:%S}")
            if name == "delete_key":
                self.doomed[player.victim] += 1
                execute = self.releasing(player.victim, execute)
            self.late.append((due, name, execute))
            raise Unclear("no answer", service="test", kind="timeout")
        try:
            answer = execute()
        except RotatorError as error:
            self.tell(f"{name}: {type(error).__name__}")
            raise
        self.tell(f"{name}{self.detail(name, answer)}")
        self.check(name)
        if (roll := roll - weather.lose) < 0:
            self.tell(f"the answer to {name} is lost")
            raise (Unclear if name in WRITES else Unavailable)("no answer", service="test", kind="timeout")
        if (roll := roll - weather.kill) < 0:
            self.tell(f"killed after {name}")
            raise Killed
        return self.as_listed(name, answer)

    def check(self, name: str) -> None:
        if name in WRITES or name == "hand":
            self.monitor.check()
            for access_key, true in self.keys.items():
                if true.deleted_at is not None:
                    self.bodies.setdefault(access_key, true.deleted_at)

    def releasing(self, access_key: str, execute: Callable[[], object]) -> Callable[[], Any]:
        def landing() -> object:
            self.doomed[access_key] -= 1
            return execute()

        return landing

    def land(self, now: datetime) -> None:
        """What was under way arrives."""
        for entry in [entry for entry in self.late if entry[0] <= now]:
            self.late.remove(entry)
            try:
                entry[2]()
                self.tell(f"late {entry[1]} lands")
            except ServiceError as error:
                self.tell(f"late {entry[1]} comes too late: {type(error).__name__}")
            self.check("hand")

    def detail(self, name: str, answer: object) -> str:
        if name == "create_key":
            return f" -> {answer[0].access_key}"  # type: ignore[index]  # a pair of key and secret
        if name == "write_document":
            return f" -> {self.published_key()} v{len(self.kv[DOCUMENT])}"
        if name == "write_ledger":
            ledger = self.ledger()
            current = f"{short(ledger.current.access_key)}@{ledger.current.version}" if ledger.current else "-"
            parts = [f"current={current}"]
            parts += [f"intent={ledger.intent.id[-4:]}@{ledger.intent.base}"] if ledger.intent else []
            parts += [f"retiring={[short(e.access_key) for e in ledger.retiring]}"] if ledger.retiring else []
            revoking = [short(e.access_key) + "r" * e.republished for e in ledger.revoking]
            parts += [f"revoking={revoking}"] if revoking else []
            parts += [f"compromised={[short(e.access_key) for e in ledger.compromised]}"] if ledger.compromised else []
            parts += [f"trouble={ledger.trouble.reason}"] if ledger.trouble else []
            return " " + " ".join(parts)
        if name == "delete_key":
            return f" {short(self.playing.victim if self.playing else '')} -> {answer}"
        return ""

    def a_while(self) -> timedelta:
        """How long a process is not scheduled, or a write is under way: mostly moments, sometimes days."""
        roll = self.dice.random()
        if roll < 0.6:
            return self.dice.random() * 2 * SECOND
        if roll < 0.85:
            return self.dice.random() * 2 * MINUTE
        if roll < 0.97:
            return self.dice.random() * 2 * HOUR
        return self.dice.random() * 3 * DAY

    # --- standbys that are behind, lists that lag, keys that flap ---

    def behind(self, seen: int, latest: int) -> int:
        """From which write a read is answered (rule 14): none that this process has seen the later of."""
        if self.calm or self.playing is None or seen == latest or self.fog.random() >= self.weather.stale:
            return latest
        at = self.fog.randint(seen, latest)
        if at < latest:
            self.tell(f"a standby answers, which is {latest - at} writes behind")
        return at

    def as_listed(self, name: str, answer: T) -> T:
        lag = self.weather.list_lag
        if name != "list_keys" or self.calm or not lag:
            return answer
        now = self.time.now
        listed = {key.access_key: key for key in answer}  # type: ignore[attr-defined]  # a tuple of keys
        for access_key, true in self.keys.items():
            if true.key.bearer != BEARER:
                continue
            young = now - true.key.created_at < lag
            if access_key in listed and self.dice.random() < (0.7 if young else 0.1):
                del listed[access_key]
            elif access_key in self.bodies and now - self.bodies[access_key] < lag and self.dice.random() < 0.7:
                listed[access_key] = true.key
        return tuple(listed.values())  # type: ignore[return-value]  # the answer of list_keys

    def works(self, secret: str) -> bool:
        if not super().works(secret):
            return False
        if self.calm or not self.weather.flapping or self.playing is None:
            return True
        true = next(true for true in self.keys.values() if true.secret == secret)
        if true.deleted_at is not None:
            return True
        return self.time.now - true.alive_from >= self.weather.flapping or self.dice.random() < 0.5

    # --- what people do ---

    def is_doomed(self, access_key: str) -> bool:
        """Whether a DELETE of the key may land. The last look before it is answered by a standby perhaps, to which everything
        since the key was condemned may be unknown: from then on it counts as such a moment."""
        if self.doomed[access_key] > 0:
            return True
        versions = self.kv.get(LEDGER, []) if self.weather.stale and not self.calm else []
        return bool(versions) and any(entry["access_key"] == access_key for entry in versions[-1].data["revoking"])

    def hand_write(self, data: dict[str, Any]) -> bool:
        """A person writes the document, unless that is what no protocol can survive."""
        if self.is_doomed(str(data.get("access_key"))):
            return False
        self.monitor.hand_written.add(len(self.kv.get(DOCUMENT, [])) + 1)
        number = self.append(DOCUMENT, dict(data))
        self.tell(f"a person writes {data.get('access_key')} as v{number}")
        self.check("hand")
        return True

    def hand_delete(self, access_key: str) -> None:
        self.monitor.by_people.add(access_key)
        self.keys[access_key].deleted_at = self.time.now
        self.tell(f"a person deletes {access_key}")
        self.check("hand")

    def ever_held(self, number: int, access_key: object) -> bool:
        """Whether this version of the document, or of one that was there before it was recreated, held the key."""
        documents = [self.kv.get(DOCUMENT, []), *(versions for _, versions in self.removed.get(DOCUMENT, ()))]
        return any(
            number <= len(versions) and versions[number - 1].data.get("access_key") == access_key for versions in documents
        )

    def ledger_is_sound(self) -> bool:
        versions = self.kv.get(LEDGER)
        return not versions or not (versions[-1].deleted or "damaged" in versions[-1].data)

    def usable(self) -> list[str]:
        return [
            name
            for name, true in self.keys.items()
            if true.deleted_at is None
            and true.key.bearer == BEARER
            and name not in self.monitor.strangers
            and not self.is_doomed(name)
        ]


def short(access_key: str) -> str:
    return access_key.replace("SCW", "").lstrip("0") or "0"


class StageVault(SimVault):
    """Reads of an unchanged ledger cost nothing: histories are many."""

    sim: Stage

    def _load(self, application: str, version: Version) -> Ledger:
        if self.sim.read is None or self.sim.read[0] is not version:
            self.sim.read = (version, super()._load(application, version))
        return self.sim.read[1]

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_vault - self.sim.playing_skew


class StageProvider(SimProvider):
    """From the last look on, a DELETE may land: ``doomed`` says so until it has."""

    sim: Stage

    def delete_key(self, access_key: str) -> bool:
        if self.sim.playing:
            self.sim.playing.victim = access_key
        self.sim.doomed[access_key] += 1
        try:
            return super().delete_key(access_key)
        finally:
            self.sim.doomed[access_key] -= 1

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_provider - self.sim.playing_skew


class Witness(Recorder):
    """A journal that checks what it is told (I8)."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage

    def emit(self, event: str, **fields: object) -> None:
        super().emit(event, **fields)
        stage = self.stage
        if event not in {"pass.decided", "pass.interrupted"}:
            about = {name: value for name, value in fields.items() if name in {"access_key", "reason", "proof", "access_keys"}}
            stage.tell(f"    {event} {about}")
        if event == "rotation.published":
            published = stage.published_key() == fields["access_key"] or (
                # A standby that is behind tells no lie: it was published, and somebody wrote the document since.
                stage.weather.stale and stage.ever_held(int(str(fields["version"])), fields["access_key"])
            )
            assert published, "I8: said to be published, and is not"
        if event == "key.dead":
            true = stage.keys.get(str(fields["access_key"]))
            gone = true is None or true.deleted_at is not None
            assert gone or not stage._accepts(true), f"I8: {fields['access_key']} was said to be dead, and lives"  # type: ignore[arg-type]  # seen above
            refused = (
                true is None
                or fields["proof"] != "refused"
                or not stage._accepts(true)
                or "bad_secret" in stage.weather.accidents
            )
            assert refused, f"I8: {fields['access_key']} was said to be refused, and works"
        if event == "compromise.contained":
            for access_key in fields["access_keys"]:  # type: ignore[attr-defined]  # a list of names
                true = stage.keys.get(access_key)
                gone = true is None or true.deleted_at is not None or not stage._accepts(true)
                assert gone, f"I3: {access_key} was said to be contained, and lives"
                by_hand = len(stage.kv.get(DOCUMENT, [])) in stage.monitor.hand_written
                assert by_hand or stage.published_key() != access_key, (
                    f"I3: {access_key} was said to be contained, and is published"
                )


class Player(threading.Thread):
    """One process on the stage. It moves only while it has the baton."""

    def __init__(self, stage: Stage, name: str, policy: Policy) -> None:
        super().__init__(name=name, daemon=True)
        self.stage = stage
        self.actor = Actor(stage, policy, owner=name, journal=Witness(stage))
        self.actor.world = World(
            StageProvider(stage),
            StageVault(stage, lag=stage.behind if stage.weather.stale else None),
            ActorClock(stage.time),
            self.actor.journal,
            name,
            started=stage.time.now,
        )
        self.ready_at = stage.time.now
        self.go = threading.Lock()
        self.back = threading.Lock()
        self.go.acquire()
        self.back.acquire()
        self.error: BaseException | None = None
        self.over = False
        self.victim = ""

    # --- the baton ---

    def hand_over(self, ready_at: datetime) -> None:
        self.ready_at = ready_at
        self.back.release()
        self.go.acquire()
        if self.stage.calm:
            raise Stop

    def turn(self) -> None:
        """Called by the scheduler: let this player move until it hands over."""
        self.stage.playing = self
        if not self.is_alive() and not self.over:
            self.start()
        self.go.release()
        self.back.acquire()
        self.stage.playing = None

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.stage.calm:
                self.play()
        except Stop:
            pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, the scheduler raises it on the main thread
            self.error = error
        self.over = True
        self.back.release()

    def play(self) -> None:
        while True:
            try:
                outcome = self.one_pass()
                wake = outcome.wait.until - self.skew
                if outcome.wait.trouble or outcome.error:
                    wake += self.stage.a_while()
            except Killed:
                self.die()
                wake = self.stage.time.now + self.stage.a_while()
            self.hand_over(wake)

    def die(self) -> None:
        self.actor.restart()
        self.actor.world = replace(self.actor.world, started=self.stage.time.now)

    @property
    def skew(self) -> timedelta:
        clock = self.actor.world.clock
        assert isinstance(clock, ActorClock)
        return clock.skew

    def one_pass(self, request: Request | None = None) -> Outcome:
        passing = run_pass(self.actor.policy, self.actor.world, self.actor.memory, request)
        while True:
            try:
                until = next(passing)
            except StopIteration as end:
                outcome: Outcome = end.value
                self.stage.tell(f"    waits until {outcome.wait.until:%d %H:%M:%S}: {outcome.wait.reason}")
                return outcome
            self.hand_over(until - self.skew)


class Command(Player):
    """A person at the command line: asks for rotations, or declares an emergency."""

    def play(self) -> None:
        dice = self.stage.dice
        while True:
            self.hand_over(self.stage.time.now + self.stage.a_while() + dice.random() * DAY)
            try:
                if dice.random() < 0.5:
                    self.stage.tell("rotate")
                    self.ask(Request("asked", self.stage.published_key()))
                else:
                    self.emergency()
            except Killed:
                self.die()

    def ask(self, request: Request) -> None:
        for _ in range(self.stage.dice.randint(1, 8)):
            outcome = self.one_pass(request)
            if outcome.document and outcome.document.published != request.replaces:
                return
            self.hand_over(max(outcome.wait.until - self.skew, self.stage.time.now))

    def emergency(self) -> None:
        dice, vault = self.stage.dice, self.actor.world.vault
        for _ in range(5):
            try:
                ledger, version = vault.read_ledger("billing")
                if ledger is None or not self.stage.keys:
                    return
                document = vault.read_document(PATH, "access_key", "secret_key")
                everything = {document.published, *ledger.names()} - {None}
                keys = everything if dice.random() < 0.7 else {dice.choice(sorted(self.stage.keys))}
                if any(self.stage.keys[str(key)].key.bearer != BEARER for key in keys):
                    return
                self.stage.tell(f"rotate --compromised {[short(str(key)) for key in keys]}")
                marked = marked_compromised(
                    ledger,
                    [str(key) for key in keys],
                    reason="leaked",
                    by="ops",
                    at=self.actor.world.clock.now(),
                    incident=self.actor.world.clock.token(),
                    mode="replace_first",
                )
                vault.write_ledger(marked, cas=version)
            except RotatorError:
                self.hand_over(self.stage.time.now + SECOND)
                continue
            self.ask(Request("leaked", document.published))
            return


# --- what people and the weather do between turns ---


def edit(stage: Stage) -> None:
    if version := stage.published():
        stage.hand_write({**version.data, "note": str(stage.dice.random())})


def roll_back(stage: Stage) -> None:
    versions = [version for version in stage.kv.get(DOCUMENT, []) if not version.deleted]
    if versions:
        stage.hand_write(stage.dice.choice(versions[-4:]).data)


def there_and_back(stage: Stage) -> None:
    """Rolled back, and forward again a little later, while perhaps nobody looked."""
    now = stage.published()
    roll_back(stage)
    stage.time.advance(stage.dice.random() * HOUR)
    if now:
        stage.hand_write(now.data)


def soft_delete(stage: Stage) -> None:
    versions = stage.kv.get(DOCUMENT, [])
    if versions:
        index = stage.dice.choice([-1, stage.dice.randrange(len(versions))])
        versions[index].deleted = True
        stage.tell(f"a person deletes a version of the document: {index}")
        stage.check("hand")


def undelete(stage: Stage) -> None:
    for version in stage.kv.get(DOCUMENT, []):
        if version.deleted and not stage.is_doomed(str(version.data.get("access_key"))):
            version.deleted = False
            stage.tell("a person undeletes a version of the document")
            stage.check("hand")


def own_key(stage: Stage) -> None:
    key, secret = stage.make_key()
    stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})


def foreign_key(stage: Stage) -> None:
    key, secret = stage.make_key(bearer="another-bearer")
    stage.monitor.strangers.add(key.access_key)
    stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})


def bad_secret(stage: Stage) -> None:
    if stage.usable():
        stage.hand_write({"access_key": stage.dice.choice(stage.usable()), "secret_key": "not-the-secret-of-anything"})


def emptied(stage: Stage) -> None:
    stage.hand_write({"note": "nothing here"})


def edit_marker(stage: Stage) -> None:
    marked = [true for true in stage.keys.values() if true.deleted_at is None and parse(true.key.description)]
    if marked:
        true = stage.dice.choice(marked)
        true.key = replace(true.key, description="edited by hand")
        stage.tell(f"a person edits the marker of {true.key.access_key}")


def delete_key(stage: Stage) -> None:
    if stage.usable():
        stage.hand_delete(stage.dice.choice(stage.usable()))


def stranger(stage: Stage) -> None:
    key, _ = stage.make_key("somebody else's")
    stage.monitor.strangers.add(key.access_key)
    stage.tell(f"a stranger appears: {key.access_key}")


def ledger_back(stage: Stage) -> None:
    versions = stage.kv.get(LEDGER, [])
    if versions and stage.ledger_is_sound():
        index = stage.dice.randrange(len(versions))
        if "damaged" in versions[index].data:
            return
        stage.append(LEDGER, versions[index].data)
        stage.ledger_lost = True
        stage.tell(f"the ledger is rolled back to version {index + 1}:{stage.detail('write_ledger', None)}")


def ledger_gone(stage: Stage) -> None:
    if stage.kv.get(LEDGER):
        stage.remove(LEDGER)
        stage.monitor._ledgers = 0
        stage.ledger_lost = True
        stage.tell("the ledger is gone")


def recreate(stage: Stage) -> None:
    """The document is removed with all its versions, and written anew with what it said."""
    if version := stage.published():
        if stage.is_doomed(str(version.data.get("access_key"))):
            return
        stage.remove(DOCUMENT)
        stage.monitor._versions = 0
        stage.monitor.hand_written.clear()
        stage.recreated = True
        stage.tell("the document is recreated")
        stage.hand_write(version.data)


def seal(stage: Stage) -> None:
    stage.sealed = not stage.sealed
    stage.tell(f"sealed: {stage.sealed}")


def storm(stage: Stage) -> None:
    """Nobody answers, or everything is answered with 429, or with 500."""
    stage.storm_until = stage.time.now + stage.a_while()
    stage.storm_kind = stage.fog.choice(["unreachable", "rate_limited", "server_error"])
    stage.tell(f"{stage.storm_kind} until {stage.storm_until:%d %H:%M}")


def quota(stage: Stage) -> None:
    stage.quota = stage.dice.choice([None, len(stage.live_keys()), len(stage.live_keys()) + 1])
    stage.tell(f"quota: {stage.quota}")


def hold(stage: Stage) -> None:
    versions = stage.kv.get(LEDGER, [])
    if versions and not stage.sealed and stage.ledger_is_sound():
        ledger = stage.ledger()
        held = None if ledger.hold else Hold("stop", "ops", stage.time.now)
        StageVault(stage).write_ledger(replace(ledger, hold=held), cas=len(versions))
        stage.tell(f"hold: {held is not None}")


def skew(stage: Stage) -> None:
    """A clock is set. Vault's clock stays true: of three clocks that all lie, none could tell."""
    if stage.weather.skews:
        off = stage.dice.choice([0, 1, -1, 20, -20, 4000, -4000, 200_000]) * SECOND
        stage.time.skew_provider = off
        stage.tell(f"the provider's clock is off by {off}")


def slow_birth(stage: Stage) -> None:
    stage.activation = stage.dice.choice([0, 5, 60, 400]) * SECOND


def slow_death(stage: Stage) -> None:
    stage.lingering = stage.dice.choice([0, 1, 20, 400]) * SECOND


ACCIDENTS: list[tuple[str, Callable[[Stage], None]]] = [
    (action.__name__, action)
    for action in (
        edit,
        roll_back,
        there_and_back,
        soft_delete,
        undelete,
        own_key,
        foreign_key,
        bad_secret,
        emptied,
        edit_marker,
        delete_key,
        stranger,
        ledger_back,
        ledger_gone,
        recreate,
        seal,
        storm,
        quota,
        hold,
        skew,
        slow_birth,
        slow_death,
    )
]


# --- what happens to Vault, by the other dice ---


def ledger_damaged(stage: Stage) -> None:
    """The ledger cannot be read: somebody edited or deleted it."""
    versions = stage.kv.get(LEDGER)
    if versions and stage.ledger_is_sound():
        if stage.fog.random() < 0.5:
            stage.append(LEDGER, {**versions[-1].data, "damaged": True})
        else:
            versions[-1].deleted = True
        stage.tell("the ledger is damaged")


def ledger_repaired(stage: Stage) -> None:
    """A person restores the last version that was sound."""
    versions = stage.kv.get(LEDGER, [])
    if versions and versions[-1].deleted:
        versions[-1].deleted = False
        stage.tell("a person undeletes the ledger")
    if not stage.ledger_is_sound():
        stage.append(LEDGER, next(version.data for version in reversed(versions) if "damaged" not in version.data))
        stage.tell("a person repairs the ledger")


def pruned(stage: Stage) -> None:
    """The document keeps so many versions from now on."""
    stage.kept[DOCUMENT] = stage.fog.choice([1, 2, 3, 10])
    stage.tell(f"Vault keeps {stage.kept[DOCUMENT]} versions of the document")


def vault_clock(stage: Stage) -> None:
    """Vault's clock is set, where all the others are true."""
    if not stage.weather.skews:
        stage.time.skew_vault = stage.fog.choice([0, 1, -1, 20, -20, 4000, -4000, 200_000]) * SECOND
        stage.tell(f"Vault's clock is off by {stage.time.skew_vault}")


TROUBLES: dict[str, tuple[Callable[[Stage], None], ...]] = {
    "ledger damaged": (ledger_damaged, ledger_repaired, ledger_repaired),
    "pruned": (pruned,),
    "vault clock": (vault_clock,),
}
RARE = {"foreign_key", "bad_secret", "emptied", "ledger_gone", "recreate", "soft_delete", "delete_key"}


class History:
    """One history, from its number to its rest."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        fog = random.Random(f"fog {seed}")
        self.stage = Stage(dice=self.dice, fog=fog, weather=Weather.of(self.dice).with_fog(fog))
        self.stage.time.tokens = iter(range(1 + seed % 7, 10**9))  # type: ignore[assignment]  # any iterator does
        self.begin()
        names = ["daemon-1"] + ["daemon-2"] * (self.dice.random() < 0.6)
        self.players: list[Player] = [Player(self.stage, name, POLICY) for name in names]
        if self.dice.random() < 0.6:
            self.players.append(Command(self.stage, "command", POLICY))

    def begin(self) -> None:
        start = self.dice.choice(["adopted", "adopted", "adopted", "nothing", "other fields"])
        for _ in range(self.dice.randint(0, 2)):
            stranger(self.stage)
        if start == "adopted":
            key, secret = self.stage.make_key()
            self.stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal(), "database": "kept"})
        elif start == "other fields":
            self.stage.hand_write({"database": "kept"})

    def run(self) -> None:
        try:
            self.chaos()
            self.settle()
            self.rest()
        except AssertionError as error:
            error.add_note(f"history {self.seed}\n{self.stage.weather}\n" + "\n".join(self.stage.story[-150:]))
            raise
        finally:
            self.stop()

    # --- chaos ---

    def chaos(self) -> None:
        stage, dice = self.stage, self.dice
        actions = [(name, action) for name, action in ACCIDENTS if name in stage.weather.accidents]
        # The more often the baton changes hands, the less happens in a turn.
        for _ in range(dice.randint(10, int(FEWEST_TURNS + stage.weather.switch * MOST_TURNS))):
            player = min(self.players, key=lambda player: player.ready_at)
            stage.time.now = max(stage.time.now, player.ready_at)
            stage.land(stage.time.now)
            player.turn()
            if player.error:
                raise player.error
            if actions and dice.random() < stage.weather.meddle:
                name, action = dice.choice(actions)
                if name not in RARE or dice.random() < 0.3:
                    action(stage)
            if stage.weather.troubles and stage.fog.random() < 0.05:
                stage.fog.choice(TROUBLES[stage.fog.choice(sorted(stage.weather.troubles))])(stage)
            if dice.random() < 0.02 and stage.weather.skews:
                clock = player.actor.world.clock
                assert isinstance(clock, ActorClock)
                clock.skew = dice.choice([0, 1, -1, 20, -20, 3000, -3000, 200_000, -(200_000)]) * SECOND
                stage.tell(f"the clock of {player.name} is off by {clock.skew}")

    def stop(self) -> None:
        self.stage.calm = True
        for player in self.players:
            if player.is_alive():
                player.turn()
                player.join(5)

    # --- calm ---

    def settle(self) -> None:
        """The faults stop. Who was in the middle of a pass is killed there; daemons start anew or go on with their memory."""
        stage = self.stage
        self.stop()
        stage.tell("--- calm ---")
        stage.sealed, stage.quota, stage.storm_until = False, None, None
        stage.activation, stage.lingering = timedelta(0), timedelta(0)
        stage.time.skew_provider = stage.time.skew_vault = timedelta(0)
        ledger_repaired(stage)
        for player in self.players:
            clock = player.actor.world.clock
            assert isinstance(clock, ActorClock)
            clock.skew = timedelta(0)
            if self.dice.random() < 0.5 or isinstance(player, Command):
                player.actor.restart()
        if stage.kv.get(LEDGER) and stage.ledger().hold:
            hold(stage)
        latest = max((entry[0] for entry in stage.late), default=stage.time.now)
        stage.land(self.dice.choice([stage.time.now, latest]))

    def daemons(self) -> list[Player]:
        return [player for player in self.players if not isinstance(player, Command)]

    def rest(self) -> None:
        stage = self.stage
        end = stage.time.now + POLICY.every * 2 + POLICY.grace + DAY if POLICY.every else stage.time.now
        wakes = {player.name: stage.time.now for player in self.daemons()}
        idle, repairs = Counter[str](), 0
        outcomes: dict[str, Outcome] = {}
        for _ in range(MOST_CALM_PASSES):
            player = min(self.daemons(), key=lambda player: wakes[player.name])
            wake = wakes[player.name]
            if wake > end:
                break
            stage.time.now = max(stage.time.now, wake)
            stage.land(stage.time.now)
            stage.calls.clear()
            outcome = outcomes[player.name] = self.calm_pass(player)
            wrote = not WRITES.isdisjoint(stage.calls)
            spins = outcome.wait.until - stage.time.now < SECOND and not wrote
            idle[player.name] = idle[player.name] + 1 if spins else 0
            assert idle[player.name] < 5, f"I7: {player.name} spins: {outcome.wait}"
            assert outcome.wait.until <= stage.time.now + POLICY.observe_every, f"I7: nobody looks: {outcome.wait}"
            wakes[player.name] = outcome.wait.until
            if outcome.wait.trouble or outcome.error:
                wakes[player.name] += HOUR
                if repairs < 12 and self.repair(outcome, player):
                    repairs += 1
                    wakes = dict.fromkeys(wakes, stage.time.now)
        else:
            raise AssertionError(f"I7: no rest within {MOST_CALM_PASSES} passes: {outcomes}")
        stage.land(stage.time.now + 10 * DAY)
        self.check_rest(outcomes)

    def calm_pass(self, player: Player) -> Outcome:
        """A pass, whose naps move the time on."""
        stage = self.stage
        stage.playing = player
        passing = run_pass(player.actor.policy, player.actor.world, player.actor.memory)
        try:
            while True:
                try:
                    until = next(passing)
                except StopIteration as end:
                    outcome: Outcome = end.value
                    trouble = outcome.wait.trouble.message if outcome.wait.trouble else outcome.wait.message
                    stage.tell(f"waits until {outcome.wait.until:%d %H:%M:%S}: {outcome.wait.reason}: {trouble}")
                    return outcome
                stage.time.now = max(stage.time.now, until)
        finally:
            stage.playing = None

    def repair(self, outcome: Outcome, player: Player) -> bool:
        """A person does what the trouble's message says."""
        stage = self.stage
        reason = outcome.wait.reason
        if reason == "document_deleted":
            undelete(stage)
        elif reason in {"document_damaged", "secret_refused", "foreign_key", "document_emptied"}:
            key, secret = stage.make_key()
            stage.hand_write({"access_key": key.access_key, "secret_key": secret.reveal()})
        elif reason == "two_possible_leftovers":
            for access_key in stage.usable():
                if parse(stage.keys[access_key].key.description):
                    stage.hand_delete(access_key)
        elif reason == "restored":
            version = len(stage.kv.get(DOCUMENT, []))
            for access_key in stage.usable():
                marker = parse(stage.keys[access_key].key.description)
                if marker and marker.base > version:
                    stage.hand_delete(access_key)
        elif reason == "stale" and stage.recreated:
            ledger_gone(stage)
            for other in self.daemons():
                other.die()
        elif reason == "stale":
            raise AssertionError("stale, though nobody recreated the document")
        else:
            return False
        return True

    def check_rest(self, outcomes: dict[str, Outcome]) -> None:
        stage = self.stage
        troubles = {name: outcome.wait for name, outcome in outcomes.items() if outcome.wait.trouble}
        assert not troubles, f"not at rest: {troubles}"
        stage.monitor.check()
        ledger = stage.ledger()
        stage.monitor.check_rest(ledger)
        for player in self.daemons():
            held = player.actor.memory.held
            assert held is None, "I6: a rotation is still held in memory"
        if not stage.ledger_lost:
            for access_key in stage.monitor.marked:
                assert not stage.live(access_key), f"I3: the compromised key {access_key} lives"


def histories(count: int, start: int) -> Iterator[History]:
    for seed in range(start, start + count):
        yield History(seed)


def main() -> int:
    count, start = (int(argument) for argument in (*sys.argv[1:], "1000", "1")[:2])
    failures: Counter[str] = Counter()
    for history in histories(count, start):
        try:
            history.run()
        except BaseException as error:  # every kind of failure is a finding
            if isinstance(error, KeyboardInterrupt):
                raise
            text = str(error).splitlines()[0] if str(error) else repr(error)
            failures[f"{type(error).__name__} {text[:60]}"] += 1
            if failures[f"{type(error).__name__} {text[:60]}"] <= 1 and sum(failures.values()) <= 400:
                print(f"seed {history.seed}: {type(error).__name__} {text}", flush=True)  # noqa: T201  # a tool that people run
    print(f"{count} histories from {start}: {sum(failures.values())} failed")  # noqa: T201  # a tool that people run
    for text, times in failures.most_common():
        print(f"  {times:5} {text}")  # noqa: T201  # a tool that people run
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
