"""The simulated world on which a history happens, and what its services answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from rotator.domain.ledger import Ledger
from rotator.domain.spec import VerificationPolicy
from rotator.errors import Indeterminate, RotatorError, ServiceError, Unavailable
from tests.histories.weather import DAY, HOUR, MINUTE, SECOND, Weather
from tests.support.invariants import Monitor
from tests.support.simulated import BEARER, PATH, Killed, Sim, SimProvider, SimVault, Version, spec

if TYPE_CHECKING:
    from tests.histories.players import Player

T = TypeVar("T")
DOCUMENT = "doc:" + PATH
LEDGER = "ledger:billing"
EARLIER_NAME = "invoicing"
EARLIER = "ledger:" + EARLIER_NAME
"""The ledger of the name that the application has in some histories until it is renamed."""
WRITES = {"write_ledger", "write_document", "create_key", "delete_key"}

POLICY = spec(
    every=4 * DAY,
    grace=DAY,
    verification=VerificationPolicy(2, 10 * SECOND, 3 * MINUTE),
    emergency_verification=VerificationPolicy(2, SECOND / 2, 30 * SECOND),
    resync_interval=12 * HOUR,
    jitter=4 * DAY / 10,
    startup_spread=HOUR,
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
    destroying: int = 0
    """How many calls are under way that destroy versions of the document by their numbers: no check-and-set protects one that is
    recreated until they have landed."""
    writing: int = 0
    """How many writes of the document are under way. No check-and-set protects a document that is recreated, and written until it
    has the version that such a write is based on."""
    bodies: dict[str, datetime] = field(default_factory=dict)
    monitor: Monitor = field(init=False)
    ledger_lost: bool = False
    recreated: bool = False
    read: dict[str, tuple[Version, Ledger]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.monitor = Monitor(self, POLICY.grace)

    @property
    def where(self) -> str:
        """Where the ledger in force is: under the earlier name until a process works under the present one."""
        return EARLIER if self.kv.get(EARLIER) and not self.kv.get(LEDGER) else LEDGER

    def ledger(self, application: str = "") -> Ledger:
        return super().ledger(application or self.where.removeprefix("ledger:"))

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
            raise (Indeterminate if unclear else Unavailable)("a storm", service="test", kind=self.storm_kind)
        if name in WRITES and (roll := roll - weather.late) < 0:
            due = self.time.now + self.a_while()
            self.tell(f"{name} will land late, about {due:%d %H:%M:%S}")
            if name == "delete_key":
                self.doomed[player.victim] += 1
                execute = self.releasing(player.victim, execute)
            if name == "destroy_versions":
                self.destroying += 1
                execute = self.destroyed(execute)
            if name == "write_document":
                self.writing += 1
                execute = self.written(execute)
            self.late.append((due, name, execute))
            raise Indeterminate("no answer", service="test", kind="timeout")
        try:
            answer = execute()
        except RotatorError as error:
            self.tell(f"{name}: {type(error).__name__}")
            raise
        self.tell(f"{name}{self.detail(name, answer)}")
        self.check(name)
        if (roll := roll - weather.lose) < 0:
            self.tell(f"the answer to {name} is lost")
            raise (Indeterminate if name in WRITES else Unavailable)("no answer", service="test", kind="timeout")
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

    def destroyed(self, execute: Callable[[], object]) -> Callable[[], Any]:
        def landing() -> object:
            self.destroying -= 1
            return execute()

        return landing

    def written(self, execute: Callable[[], object]) -> Callable[[], Any]:
        def landing() -> object:
            self.writing -= 1
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
            parts += [f"trouble={ledger.problem.reason}"] if ledger.problem else []
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
        ledgers = (
            [self.kv.get(where, []) for where in (LEDGER, EARLIER)] if self.weather.stale and not self.calm else []
        )
        return any(
            entry["access_key"] == access_key
            for versions in ledgers
            if versions
            for entry in versions[-1].data["revoking"]
        )

    def hand_write(self, data: dict[str, Any]) -> bool:
        """A person writes the document, unless that is what no protocol can survive."""
        if self.is_doomed(str(data.get("access_key"))):
            return False
        self.monitor.hand_written.add((DOCUMENT, len(self.kv.get(DOCUMENT, [])) + 1))
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
            number <= len(versions) and versions[number - 1].data.get("access_key") == access_key
            for versions in documents
        )

    def ledger_is_sound(self) -> bool:
        versions = self.kv.get(self.where)
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
        known = self.sim.read.get(application)
        if known is None or known[0] is not version:
            known = self.sim.read[application] = (version, super()._load(application, version))
        return known[1]

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        self.sim.writing += 1
        try:
            return super().write_document(path, fields, cas=cas)
        finally:
            self.sim.writing -= 1

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        self.sim.destroying += 1
        try:
            super().destroy_versions(path, versions)
        finally:
            self.sim.destroying -= 1

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
