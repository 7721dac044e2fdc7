"""A simulated world: a Vault and a provider that keep state, own their time, and misbehave when told.

The code under test cannot see the ground truth in it: what was created, published, authenticated and deleted, and when. Every
call passes through ``World.effect``, where a test may kill the caller before or after the call takes effect, lose the answer,
or let another actor run in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from rotator.codec import dump_ledger, load_ledger
from rotator.errors import Conflict, LedgerUnreadable, QuotaExceeded, Rejected, Unavailable, Unclear
from rotator.model import Document, DocumentState, Key, Ledger, Policy, Proof, Verdict
from rotator.reconcile import run_pass
from rotator.secret import Secret
from rotator.steps import Request
from rotator.world import Memory, Outcome, World

T = TypeVar("T")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BEARER = "0766588d-4a0e-4938-a140-544964da7870"
PATH = "secret/apps/billing/scaleway"


class Killed(BaseException):
    """The process of the actor ended here."""


@dataclass
class Time:
    """The one true time, which tests move, and clocks that may be off."""

    now: datetime = EPOCH
    skew_vault: timedelta = timedelta(0)
    skew_provider: timedelta = timedelta(0)
    tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def advance(self, delta: timedelta) -> None:
        self.now += delta

    def token(self) -> str:
        return f"{next(self.tokens):016x}"


@dataclass
class ActorClock:
    """An actor's own clock, which may be off."""

    time: Time
    skew: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.time.now + self.skew

    def token(self) -> str:
        return self.time.token()


@dataclass
class Recorder:
    """A journal that remembers."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


Hook = Callable[[str, str], None]
"""Called with the name of an effect and ``before`` or ``after``; it may raise what the actor is to see."""


def no_hook(name: str, phase: str) -> None:
    """Nothing happens."""


@dataclass
class Version:
    """One version in the simulated KV store.

    ``index`` is the write to Vault that made it; what a test appends without one has been there always. A standby that is
    behind that write has not heard of the version. What becomes of it later (``deleted``, ``pruned``) shows everywhere at once.
    """

    data: dict[str, Any]
    created: datetime
    deleted: bool = False
    index: int = 0


@dataclass
class TrueKey:
    """A key as it really is."""

    key: Key
    secret: str
    alive_from: datetime
    deleted_at: datetime | None = None
    refused_after: datetime | None = None


@dataclass
class Sim:
    """Vault and provider, with the ground truth. ``index`` counts the writes to Vault, whoever made them."""

    time: Time = field(default_factory=Time)
    index: int = 0
    kv: dict[str, list[Version]] = field(default_factory=dict)
    keys: dict[str, TrueKey] = field(default_factory=dict)
    bearers: set[str] = field(default_factory=lambda: {BEARER})
    hook: Hook = no_hook
    activation: timedelta = timedelta(0)
    lingering: timedelta = timedelta(0)
    quota: int | None = None
    sealed: bool = False
    lacking: tuple[str, ...] = ()
    hidden: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    removed: dict[str, list[tuple[int, list[Version]]]] = field(default_factory=dict)
    """What was removed from where, with the last write that it outlived."""
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        self.calls.append(name)
        self.hook(name, "before")
        answer = execute()
        self.hook(name, "after")
        return answer

    # --- ground truth that tests use ---

    def make_key(
        self,
        description: str = "made by hand",
        *,
        bearer: str = BEARER,
        created: datetime | None = None,
        expires: datetime | None = None,
    ) -> tuple[Key, Secret]:
        n = next(self._serial)
        at = created or self.time.now
        key = Key(f"SCW{n:017d}", bearer, description, at, expires, "project-" + bearer[:4])
        secret = f"secret-{n:08d}-0000-4000-8000-{n:012d}"
        self.keys[key.access_key] = TrueKey(key, secret, at + self.activation)
        return key, Secret(secret)

    def publish_by_hand(self, access_key: str, secret: str | None = None, path: str = PATH, **extra: Any) -> int:
        data = {"access_key": access_key, "secret_key": secret or self.keys[access_key].secret, **extra}
        return self.append("doc:" + path, data)

    def append(self, where: str, data: dict[str, Any]) -> int:
        """A new version, which standbys hear of by and by; its number."""
        versions = self.kv.setdefault(where, [])
        self.index += 1
        versions.append(Version(data, self.time.now + self.time.skew_vault, index=self.index))
        return len(versions)

    def remove(self, where: str) -> None:
        """Everything that was there, with its metadata: as if it had never been. Standbys that are behind still have it."""
        versions = self.kv.pop(where, [])
        self.removed.setdefault(where, []).append((self.index, versions))
        self.index += 1

    def versions(self, where: str, at: int) -> list[Version]:
        """What a node that has heard of the writes up to ``at`` has there."""
        if at >= self.index:
            return self.kv.get(where, [])
        for last, versions in self.removed.get(where, ()):
            if at <= last:
                return _known(versions, at)
        return _known(self.kv.get(where, []), at)

    def live(self, access_key: str) -> bool:
        true = self.keys.get(access_key)
        return true is not None and true.deleted_at is None

    def works(self, secret: str) -> bool:
        return any(self._accepts(true) for true in self.keys.values() if true.secret == secret)

    def _accepts(self, true: TrueKey) -> bool:
        now = self.time.now
        if now < true.alive_from or true.key.expired(now):
            return False
        return true.deleted_at is None or (true.refused_after is not None and now < true.refused_after)

    def live_keys(self) -> list[str]:
        return sorted(name for name, true in self.keys.items() if true.deleted_at is None)

    def published(self, path: str = PATH) -> Version | None:
        versions = self.kv.get("doc:" + path, [])
        return versions[-1] if versions and not versions[-1].deleted else None

    def published_key(self, path: str = PATH) -> str | None:
        version = self.published(path)
        return version.data.get("access_key") if version else None

    def ledger(self, application: str = "billing") -> Ledger:
        return load_ledger(self.kv["ledger:" + application][-1].data)


def _known(versions: list[Version], at: int) -> list[Version]:
    """The versions up to the last one that a node at this index has heard of."""
    count = len(versions)
    while count and versions[count - 1].index > at:
        count -= 1
    return versions[:count]


@dataclass
class SimVault:
    """The ``VaultStore`` of one process on the simulated Vault.

    As ``rotator.ports`` promises, a read is at least as new as anything that this process has ``seen`` (what the real store
    does with ``X-Vault-Index``), and no newer than that when ``lag`` says so: it is asked, with what the process has seen and
    what the leader has, from where a standby answers this read. Writes go to the leader, whose check-and-set is never behind,
    so a ``Conflict`` is one at once. Only an answer that arrives raises ``seen``. A soft delete by hand shows everywhere at once.
    """

    sim: Sim
    seen: int = field(default=0, kw_only=True)
    lag: Callable[[int, int], int] | None = field(default=None, kw_only=True)

    def _effect(self, name: str, execute: Callable[[], T]) -> T:
        """A write, or a question that standbys pass on: the leader answers."""
        return self._read(name, lambda _: execute(), stale=False)

    def _read(self, name: str, execute: Callable[[int], T], *, stale: bool = True) -> T:
        """What ``execute`` finds on the node that answers, which has heard of the writes up to the index that it gets."""
        sim, answered = self.sim, 0

        def guarded() -> T:
            nonlocal answered
            if sim.sealed:
                raise Unavailable("Vault is sealed: unseal it", service="vault", kind="sealed")
            at = sim.index if self.lag is None or not stale else self._standby()
            try:
                return execute(at)
            finally:
                answered = at if stale else sim.index

        try:
            answer = sim.effect(name, guarded)
        except (Conflict, LedgerUnreadable):
            self.seen = max(self.seen, answered)
            raise
        self.seen = max(self.seen, answered)
        return answer

    def _standby(self) -> int:
        assert self.lag is not None
        at = self.lag(self.seen, self.sim.index)
        assert self.seen <= at <= self.sim.index, "a node that is behind what was seen passes the read on"
        return at

    def _write(self, where: str, data: dict[str, Any], cas: int) -> int:
        if len(self.sim.kv.get(where, [])) != cas:
            raise Conflict("somebody else was faster", service="vault", kind="conflict")
        return self.sim.append(where, data)

    def read_ledger(self, application: str) -> tuple[Ledger | None, int]:
        def execute(at: int) -> tuple[Ledger | None, int]:
            versions = self.sim.versions("ledger:" + application, at)
            if not versions:
                return None, 0
            if versions[-1].deleted:
                raise LedgerUnreadable(f"the ledger of {application} was deleted: undelete it")
            return self._load(application, versions[-1]), len(versions)

        return self._read("read_ledger", execute)

    def _load(self, application: str, version: Version) -> Ledger:
        return load_ledger(version.data, application)

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        return self._effect("write_ledger", lambda: self._write("ledger:" + ledger.application, dump_ledger(ledger), cas))

    def list_ledgers(self) -> tuple[str, ...]:
        at = self.sim.index if self.lag is None else self._standby()
        self.seen = max(self.seen, at)
        known = {where for where in (*self.sim.kv, *self.sim.removed) if self.sim.versions(where, at)}
        return tuple(sorted(name.removeprefix("ledger:") for name in known if name.startswith("ledger:")))

    def read_document(self, path: str, access_field: str, secret_field: str) -> Document:
        return self._read("read_document", lambda at: self._document(path, None, at, access_field, secret_field))

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> Document:
        return self._read("read_version", lambda at: self._document(path, version, at, access_field, secret_field))

    def _document(self, path: str, number: int | None, at: int, access_field: str, secret_field: str) -> Document:
        versions = self.sim.versions("doc:" + path, at)
        number = len(versions) if number is None else number
        if number == 0 or number > len(versions):
            return Document(number if versions or number else 0, DocumentState.ABSENT)
        version = versions[number - 1]
        if version.deleted:
            return Document(number, DocumentState.DELETED, version.created)
        fields = dict(version.data)
        secret = fields.pop(secret_field, None)
        return Document(
            number,
            DocumentState.LIVE,
            version.created,
            fields.get(access_field) or None,
            Secret(secret) if secret else None,
            fields,
        )

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        def execute() -> tuple[int, datetime]:
            data = {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
            number = self._write("doc:" + path, data, cas)
            return number, self.sim.kv["doc:" + path][-1].created

        return self._effect("write_document", execute)

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        self._effect("annotate", lambda: self.sim.annotations.update(values))

    def missing_capabilities(self, path: str) -> Sequence[str]:
        return self._effect("missing_capabilities", lambda: self.sim.lacking)

    def require_kv2(self, path: str) -> None:
        return None

    def installation(self) -> str:
        return "1" * 16

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_vault


@dataclass
class SimProvider:
    """The ``Provider`` of one actor on the simulated API."""

    sim: Sim
    name: str = "acme"

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        return self.sim.effect(
            "list_keys",
            lambda: tuple(
                true.key
                for name, true in self.sim.keys.items()
                if true.deleted_at is None and true.key.bearer == bearer and name not in self.sim.hidden
            ),
        )

    def get_key(self, access_key: str) -> Key | None:
        def execute() -> Key | None:
            true = self.sim.keys.get(access_key)
            return true.key if true and true.deleted_at is None else None

        return self.sim.effect("get_key", execute)

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        def execute() -> tuple[Key, Secret]:
            if bearer not in self.sim.bearers:
                raise Rejected("the application does not exist", service="acme", kind="not_found")
            if self.sim.quota is not None and len(self.sim.live_keys()) >= self.sim.quota:
                raise QuotaExceeded("no room", service="acme", resource="keys", current=self.sim.quota, quota=self.sim.quota)
            key, secret = self.sim.make_key(description, bearer=bearer, expires=expires_at)
            key = replace(key, default_project_id=default_project_id or key.default_project_id)
            self.sim.keys[key.access_key].key = key
            return key, secret

        return self.sim.effect("create_key", execute)

    def delete_key(self, access_key: str) -> bool:
        def execute() -> bool:
            true = self.sim.keys.get(access_key)
            if true is None or true.deleted_at is not None:
                return False
            true.deleted_at = self.sim.time.now
            true.refused_after = self.sim.time.now + self.sim.lingering
            return True

        return self.sim.effect("delete_key", execute)

    def authenticate(self, access_key: str, secret: Secret) -> Verdict:
        def execute() -> Verdict:
            return Verdict.ALIVE if self.sim.works(secret.reveal()) else Verdict.REFUSED

        try:
            return self.sim.effect("authenticate", execute)
        except (Unavailable, Unclear):
            return Verdict.UNCLEAR

    def bearer_exists(self, bearer: str) -> bool:
        return self.sim.effect("bearer_exists", lambda: bearer in self.sim.bearers)

    def urgent(self) -> SimProvider:
        return self

    def headroom(self) -> int | None:
        return None if self.sim.quota is None else max(0, self.sim.quota - len(self.sim.live_keys()))

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_provider


def policy(**changes: Any) -> Policy:
    """The policy of the application ``billing``: every 30 days, a day of grace."""
    second = timedelta(seconds=1)
    from rotator.model import DEFAULT_FIELDS

    values: dict[str, Any] = {
        "application": "billing",
        "account": "acme",
        "bearer": BEARER,
        "path": PATH,
        "fields": DEFAULT_FIELDS,
        "grace": timedelta(hours=24),
        "prove": Proof(3, 10 * second, timedelta(minutes=5)),
        "prove_emergency": Proof(2, second / 2, timedelta(minutes=1)),
        "every": timedelta(days=30),
        "observe_every": timedelta(hours=6),
        "organization_id": "105bdce1-64c0-48ab-899d-868455867ecf",
    }
    return Policy(**{**values, **changes})


@dataclass
class Actor:
    """One process: a daemon or a command line. ``restart`` is what happens after a kill."""

    sim: Sim
    policy: Policy = field(default_factory=policy)
    skew: timedelta = timedelta(0)
    owner: str = "daemon-1"
    journal: Recorder = field(default_factory=Recorder)
    memory: Memory = field(default_factory=Memory)
    deaths: int = 0

    def __post_init__(self) -> None:
        self.world = World(
            SimProvider(self.sim), SimVault(self.sim), ActorClock(self.sim.time, self.skew), self.journal, self.owner
        )

    def restart(self) -> None:
        self.deaths += 1
        self.memory = Memory()
        if isinstance(self.world.vault, SimVault):
            self.world.vault.seen = 0
        self.world = replace(self.world, owner=f"{self.owner}-{self.deaths}")

    def run(self, request: Request | None = None) -> Outcome:
        """One pass; naps move the time on."""
        passing = run_pass(self.policy, self.world, self.memory, request)
        while True:
            try:
                until = next(passing)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            self.sim.time.now = max(self.sim.time.now, until - self.skew)

    def run_for(self, span: timedelta, *, most: int = 500) -> Outcome:
        """Passes as a daemon makes them, each at the time that the last one asked for, until the span is over."""
        end = self.sim.time.now + span
        for _ in range(most):
            outcome = self.run()
            wake = outcome.wait.until - self.skew
            if outcome.wait.trouble:
                wake = max(wake, self.sim.time.now + span / 100)  # a trouble is looked at often; the story need not
            if wake > end:
                self.sim.time.now = end
                return outcome
            self.sim.time.now = max(wake, self.sim.time.now)
        raise AssertionError(f"no rest within {most} passes: {outcome.wait}")
