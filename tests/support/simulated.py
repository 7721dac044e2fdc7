"""A simulated world: a Vault and a provider that keep state, own their time, and misbehave when told.

The code under test cannot see the ground truth in it: what was created, published, authenticated and deleted, and when. Every
call passes through ``ReconcileContext.effect``, where a test may kill the caller before or after the call takes effect, lose the answer,
or let another actor run in between.
"""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from rotator.decision.observation import RotationRequest
from rotator.domain.account import AccountDocument
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import Ledger
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import (
    Conflict,
    Indeterminate,
    LedgerUnreadable,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Rejected,
    Unavailable,
)
from rotator.observability.events import CATALOGUE
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import reconcile
from rotator.vault.budget import count_strings, reduced_accounts, reduced_ledgers, write_first_accepted
from rotator.vault.codec import load_account, load_ledger
from rotator.vault.decoding import VersionInfo as Seen
from rotator.vault.decoding import credential_document
from rotator.vault.policy import Right

T = TypeVar("T")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BEARER = "0766588d-4a0e-4938-a140-544964da7870"
PATH = "secret/apps/billing/scaleway"
LONGEST_DESCRIPTION = 200
MOST_NAPS = 10_000
"""After so many naps a pass has no end: it waits for nothing, or for what never comes."""


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
    """A journal that remembers, and that takes nothing but what the catalogue of events promises to those who read the logs."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        assert set(fields) - {"application", "account"} == set(CATALOGUE[event].fields), (
            f"{event} has the fields {sorted(fields)}"
        )
        assert None not in fields.values(), f"{event} leaves something unsaid: {fields}"
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
    behind that write has not heard of the version. What becomes of it later shows everywhere at once: that a person deleted it,
    or that it was pruned because newer ones are more than Vault keeps (its data stay here, as ground truth).
    """

    data: dict[str, Any]
    created: datetime
    deleted: bool = False
    destroyed: bool = False
    index: int = 0
    pruned: bool = False


@dataclass
class TrueKey:
    """A key as it really is."""

    key: Key
    secret: str
    alive_from: datetime
    deleted_at: datetime | None = None
    refused_after: datetime | None = None
    ours: bool = False
    """Whether the program made it, and nobody edited its marker since."""


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
    keeps_versions: bool = False
    """Whether Vault denies us the right to destroy."""
    lacking: tuple[str, ...] = ()
    max_strings: int = 997
    """The strings of JSON that Vault takes in one document: what a default OpenBao has room for."""
    old_markers: bool = False
    """Whether those who create keys are of an older version, whose markers are the whole description."""
    installation: str = "1" * 16
    """The id that an earlier process made; empty in a Vault that is quite new."""
    kept: dict[str, int] = field(default_factory=dict)
    """How many versions Vault keeps, where it does not keep all."""
    missing_right: str = ""
    """What new management keys may not read at the provider."""
    forbidden: bool = False
    """Whether the provider denies our management key everything."""
    projects: set[str] | None = None
    """The projects that the provider knows; all of them, unless a test says which."""
    hidden: set[str] = field(default_factory=set)
    audit_events: list[tuple[str, AuditEvent]] = field(default_factory=list)
    """What the provider's audit trail tells, by bearer."""
    calls: list[str] = field(default_factory=list)
    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    """Custom metadata, by the path of the document."""
    removed: dict[str, list[tuple[int, list[Version]]]] = field(default_factory=dict)
    """What was removed from where, with the last write that it outlived."""
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        self.calls.append(name)
        self.hook(name, "before")
        with self._one_at_a_time:
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
        expired = expires is not None and expires <= self.time.now
        at = created or (expires - timedelta(days=1) if expires and expired else self.time.now)
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
        for version in versions[: -self.kept[where]] if where in self.kept else ():
            version.pruned = True
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

    def died(self, access_key: str) -> datetime:
        """When it did."""
        deleted = self.keys[access_key].deleted_at
        assert deleted is not None, f"{access_key} lives"
        return deleted

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


def as_version_1(description: str) -> str:
    """The description as an older version of the program would have written it."""
    names = ("installation", "application", "rotation", "base", "incarnation")
    values = description.rpartition("rotator:v2:")[2].split(":")
    return "rotator v1 " + " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def sealed() -> Unavailable:
    return Unavailable("Vault is sealed: unseal it", service="vault", kind="sealed")


@dataclass
class SimVault:
    """The ``VaultStore`` of one process on the simulated Vault.

    As ``rotator.domain.ports`` promises, a read is at least as new as anything that this process has ``seen`` (what the real store
    does with ``X-Vault-Index``), and no newer than that when ``lag`` says so: it is asked, with what the process has seen and
    what the leader has, from where a standby answers this read. Writes go to the leader, whose check-and-set is never behind,
    so a ``Conflict`` is one at once. Only an answer that arrives raises ``seen``. A soft delete by hand shows everywhere at once.
    """

    sim: Sim
    seen: int = field(default=0, kw_only=True)
    lag: Callable[[int, int], int] | None = field(default=None, kw_only=True)

    def _effect(self, name: str, execute: Callable[[], T]) -> T:
        """Something that only the leader does."""
        return self._answer(name, lambda _: execute(), None)

    def _read(self, name: str, execute: Callable[[int], T]) -> T:
        """Something that any node answers; ``execute`` gets the last write that it has heard of."""
        return self._answer(name, execute, self.lag)

    def _answer(self, name: str, execute: Callable[[int], T], lag: Callable[[int, int], int] | None) -> T:
        sim, stood = self.sim, 0

        def guarded() -> T:
            nonlocal stood
            if sim.sealed:
                raise sealed()
            stood = at = sim.index if lag is None else self._standby(lag)
            answer = execute(at)
            if lag is None:
                stood = sim.index  # our own write has been seen
            return answer

        try:
            answer = sim.effect(name, guarded)
        except (Conflict, LedgerUnreadable):  # refused, or damaged: that is an answer as well
            self.seen = max(self.seen, stood)
            raise
        self.seen = max(self.seen, stood)
        return answer

    def _standby(self, lag: Callable[[int, int], int]) -> int:
        at = lag(self.seen, self.sim.index)
        assert self.seen <= at <= self.sim.index, "a node that is behind what was seen passes the read on"
        return at

    def _write(self, where: str, data: dict[str, Any], cas: int) -> int:
        if len(self.sim.kv.get(where, [])) != cas:
            raise Conflict("another process was faster", service="vault", kind="conflict")
        if count_strings(data) > self.sim.max_strings:
            raise Rejected("the document is too large", service="vault", kind="too_large", argument=where)
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
        ledger = load_ledger(version.data, application)
        if ledger.application != application:
            raise LedgerUnreadable(
                f"the ledger of {application} is damaged: it says that it belongs to {ledger.application}"
            )
        return ledger

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        where, offers = "ledger:" + ledger.application, reduced_ledgers(ledger)
        return self._effect(
            "write_ledger", lambda: write_first_accepted(offers, lambda data: self._write(where, dict(data), cas))
        )

    def read_account(self, account: str) -> tuple[AccountDocument, int]:
        def execute(at: int) -> tuple[AccountDocument, int]:
            versions = self.sim.versions("account:" + account, at)
            if not versions:
                return AccountDocument(account), 0
            if versions[-1].deleted:
                raise LedgerUnreadable(f"the document of account {account} was deleted: undelete it")
            document = load_account(versions[-1].data, account)
            if document.account != account:
                raise LedgerUnreadable(f"the document of account {account} says that it belongs to {document.account}")
            return document, len(versions)

        return self._read("read_account", execute)

    def write_account(self, document: AccountDocument, *, cas: int) -> int:
        where, offers = "account:" + document.account, reduced_accounts(document)
        return self._effect(
            "write_account", lambda: write_first_accepted(offers, lambda data: self._write(where, dict(data), cas))
        )

    def list_ledgers(self) -> tuple[str, ...]:
        def execute(at: int) -> tuple[str, ...]:
            sim = self.sim
            found = {
                where for where in (*sim.kv, *sim.removed) if where.startswith("ledger:") and sim.versions(where, at)
            }
            return tuple(sorted(where.removeprefix("ledger:") for where in found))

        return self._read("list_ledgers", execute)

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        return self._read("read_document", lambda at: self._document(path, None, at, access_field, secret_field))

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> CredentialDocument:
        return self._read("read_version", lambda at: self._document(path, version, at, access_field, secret_field))

    def _document(
        self, path: str, number: int | None, at: int, access_field: str, secret_field: str
    ) -> CredentialDocument:
        versions = self.sim.versions("doc:" + path, at)
        number = len(versions) if number is None else number
        version = versions[number - 1] if 0 < number <= len(versions) else None
        if version is None or version.pruned:
            return CredentialDocument(number, DocumentState.ABSENT)
        if version.deleted:
            return CredentialDocument(number, DocumentState.DELETED, version.created)
        data = {name: value if isinstance(value, str) else copy.deepcopy(value) for name, value in version.data.items()}
        return credential_document(number, version.created, data, access_field, secret_field)

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        def execute() -> tuple[int, datetime]:
            data = {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
            number = self._write("doc:" + path, json.loads(json.dumps(data)), cas)
            return number, self.sim.kv["doc:" + path][-1].created

        return self._effect("write_document", execute)

    def list_versions(self, path: str) -> Sequence[Seen]:
        def execute(at: int) -> Sequence[Seen]:
            versions = enumerate(self.sim.versions("doc:" + path, at), 1)
            return [
                Seen(number, version.created, version.deleted, version.destroyed)
                for number, version in versions
                if not version.pruned
            ]

        return self._read("list_versions", execute)

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        def execute() -> None:
            if self.sim.keeps_versions:
                raise PermissionDenied(
                    "our token may not destroy", service="vault", kind="policy", path=path, capability="update"
                )
            there = self.sim.kv["doc:" + path]
            for number in versions:
                there[number - 1] = replace(
                    there[number - 1], deleted=True, destroyed=True
                )  # worlds that fork share versions

        self._effect("destroy_versions", execute)

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        self._effect("annotate", lambda: self._annotate(path, values))

    def _annotate(self, path: str, values: Mapping[str, str]) -> None:
        if not self.sim.kv.get("doc:" + path):
            raise NotFound("there is no such document", service="vault", kind="no_route", argument=path)
        self.sim.annotations.setdefault(path, {}).update(values)

    def missing_rights(self, application: str, path: str) -> tuple[Right, ...]:
        missing = self.missing_capabilities(path)
        return (Right(path.replace("/", "/data/", 1), tuple(missing), "publish new keys"),) if missing else ()

    def missing_capabilities(self, path: str) -> Sequence[str]:
        return self._effect("missing_capabilities", lambda: self.sim.lacking)

    def require_kv2(self, path: str) -> None:
        return None

    def installation(self) -> str:
        if not self.sim.installation:
            if self.list_ledgers():
                raise LedgerUnreadable("the installation id is missing while ledgers exist: restore it from a backup")
            self.sim.installation = "1" * 16
        return self.sim.installation

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_vault


@dataclass
class SimProvider:
    """The ``Provider`` of one actor on the simulated API."""

    sim: Sim
    name: str = "acme"

    def _effect(self, name: str, execute: Callable[[], T]) -> T:
        def guarded() -> T:
            if self.sim.forbidden:
                raise PermissionDenied("our own key may not", service=self.name, kind="policy", capability="IAMManager")
            return execute()

        return self.sim.effect(name, guarded)

    def _known(self, access_key: str) -> TrueKey | None:
        true = self.sim.keys.get(access_key)
        return true if true and true.deleted_at is None else None

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        return self._effect(
            "list_keys",
            lambda: tuple(
                true.key
                for name, true in self.sim.keys.items()
                if true.deleted_at is None and true.key.bearer == bearer and name not in self.sim.hidden
            ),
        )

    def list_all_keys(self) -> tuple[Key, ...]:
        return self._effect(
            "list_all_keys",
            lambda: tuple(
                true.key
                for name, true in self.sim.keys.items()
                if true.deleted_at is None and name not in self.sim.hidden
            ),
        )

    def get_key(self, access_key: str) -> Key | None:
        def execute() -> Key | None:
            true = self._known(access_key)
            return true.key if true else None

        self._require_name(access_key)
        return self._effect("get_key", execute)

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        def execute() -> tuple[Key, Secret]:
            sim = self.sim
            if bearer not in sim.bearers:
                raise NotFound(
                    "the application does not exist", service=self.name, kind="not_found", argument="application_id"
                )
            if len(description) > LONGEST_DESCRIPTION:
                raise self._rejected("description")
            if default_project_id and sim.projects is not None and default_project_id not in sim.projects:
                raise self._rejected("default_project_id")
            if sim.quota is not None and len(sim.live_keys()) >= sim.quota:
                raise QuotaExceeded(
                    "no room", service=self.name, resource="keys", current=len(sim.live_keys()), quota=sim.quota
                )
            key, secret = sim.make_key(
                as_version_1(description) if sim.old_markers else description, bearer=bearer, expires=expires_at
            )
            key = replace(
                key,
                default_project_id=default_project_id or key.default_project_id,
                created_at=key.created_at + sim.time.skew_provider,
            )
            sim.keys[key.access_key].key, sim.keys[key.access_key].ours = key, True
            return key, secret

        return self._effect("create_key", execute)

    def delete_key(self, access_key: str) -> bool:
        def execute() -> bool:
            true = self._known(access_key)
            if true is None:
                return False
            true.deleted_at = self.sim.time.now
            true.refused_after = self.sim.time.now + self.sim.lingering
            return True

        self._require_name(access_key)
        return self._effect("delete_key", execute)

    def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
        def execute() -> ProbeResult:
            return ProbeResult.VALID if self.sim.works(secret.reveal()) else ProbeResult.REJECTED

        try:
            self._require_name(access_key)
            return self.sim.effect("authenticate", execute)
        except (Unavailable, Indeterminate, Rejected):
            return ProbeResult.INCONCLUSIVE

    def missing_right(self, key: Key, secret: Secret) -> str:
        assert self.sim.keys[key.access_key].secret == secret.reveal()
        return self._effect("missing_right", lambda: self.sim.missing_right)

    def bearer_exists(self, bearer: str) -> bool:
        return self._effect("bearer_exists", lambda: bearer in self.sim.bearers)

    def _require_name(self, access_key: str) -> None:
        """What cannot be a name is never sent."""
        if not (access_key.startswith("SCW") and access_key.isalnum()):
            raise self._rejected("access_key")

    def _rejected(self, argument: str) -> Rejected:
        return Rejected(f"the {argument} is wrong", service=self.name, kind="invalid_arguments", argument=argument)

    def trail(self, bearer: str, since: datetime, until: datetime) -> AuditTrail:
        if self.sim.forbidden:
            return AuditTrail(unavailable=("here: our own key may not",))
        try:
            found = self._effect(
                "trail", lambda: [audit_event for name, audit_event in self.sim.audit_events if name == bearer]
            )
        except (Unavailable, Indeterminate) as error:
            return AuditTrail(unavailable=(f"here: {error}",))
        return AuditTrail(tuple(audit_event for audit_event in found if since <= audit_event.at < until), ("here",))

    def urgent(self) -> SimProvider:
        return self

    def headroom(self, *, fresh: bool = False) -> int | None:
        return (
            None if self.sim.quota is None or self.sim.forbidden else max(0, self.sim.quota - len(self.sim.live_keys()))
        )

    def clock_offset(self) -> timedelta:
        return self.sim.time.skew_provider


def spec(**changes: Any) -> ApplicationSpec:
    """The policy of the application ``billing``: every 30 days, a day of grace."""
    second = timedelta(seconds=1)
    from rotator.domain.document import DEFAULT_FIELDS

    values: dict[str, Any] = {
        "application": "billing",
        "account": "acme",
        "bearer": BEARER,
        "path": PATH,
        "fields": DEFAULT_FIELDS,
        "grace": timedelta(hours=24),
        "verification": VerificationPolicy(3, 10 * second, timedelta(minutes=5)),
        "emergency_verification": VerificationPolicy(2, second / 2, timedelta(minutes=1)),
        "every": timedelta(days=30),
        "resync_interval": timedelta(hours=6),
        "organization_id": "105bdce1-64c0-48ab-899d-868455867ecf",
    }
    return ApplicationSpec(**{**values, **changes})


@dataclass
class Actor:
    """One process: a daemon or a command line. ``restart`` is what happens after a kill."""

    sim: Sim
    spec: ApplicationSpec = field(default_factory=spec)
    skew: timedelta = timedelta(0)
    owner: str = "daemon-1"
    sink: Recorder = field(default_factory=Recorder)
    local_state: LocalState = field(default_factory=LocalState)
    revocations: int = 0

    def __post_init__(self) -> None:
        self.context = ReconcileContext(
            SimProvider(self.sim), SimVault(self.sim), ActorClock(self.sim.time, self.skew), self.sink, self.owner
        )

    def restart(self) -> None:
        self.revocations += 1
        self.local_state = LocalState()
        if isinstance(self.context.vault, SimVault):
            self.context.vault.seen = 0
        self.context = replace(self.context, owner=f"{self.owner}-{self.revocations}")

    def run(self, request: RotationRequest | None = None) -> PassOutcome:
        """One pass; naps move the time on."""
        passing = reconcile(self.spec, self.context, self.local_state, request)
        for _ in range(MOST_NAPS):
            try:
                until = next(passing)
            except StopIteration as end:
                outcome: PassOutcome = end.value
                return outcome
            self.sim.time.now = max(self.sim.time.now, until - self.skew)
        raise AssertionError(f"I7: the pass does not end; by now it waits until {until}")

    def run_for(self, span: timedelta, *, most: int = 500) -> PassOutcome:
        """Passes as a daemon makes them, each at the time that the last one asked for, until the span is over."""
        end = self.sim.time.now + span
        for _ in range(most):
            outcome = self.run()
            wake = outcome.wait.until - self.skew
            if outcome.wait.problem:
                wake = max(wake, self.sim.time.now + span / 100)  # a trouble is looked at often; the story need not
            if wake > end:
                self.sim.time.now = end
                return outcome
            self.sim.time.now = max(wake, self.sim.time.now)
        raise AssertionError(f"no rest within {most} passes: {outcome.wait}")
