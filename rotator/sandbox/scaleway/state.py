"""What the stand-in knows: organisations, bearers, keys with their secrets, who may do what, and
everything that happened.

No input or output here, and time is a function that is passed in. ``clock`` counts seconds since
1970 and must not go backwards; calendar skew is a setting on top of it. Nothing happens between two
calls: what was postponed (a create that lands late) is carried out when the next call finds that it
is due, and is dated as if it had happened then.

The life of a key, seen by the n-th of m gateways::

    created ── n/m of activation_delay ──> accepted ── deleted ── n/m of revocation_delay ──>
    refused
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.sandbox.scaleway.audit_trail import Deed
from rotator.sandbox.scaleway.entities import HAND, Actor, ApiKey, Change, IamBearer, Organization, RecordedEvent
from rotator.sandbox.scaleway.settings import Settings

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
EVENTS_KEPT = 200_000


class StandInState:
    """Everything. It is used within ``settled``, for the length of one operation."""

    def __init__(self, clock: Callable[[], float], *, seed: int | None = None, events_kept: int = EVENTS_KEPT) -> None:
        self.lock = threading.RLock()
        self.settings = Settings()
        self.organizations: dict[str, Organization] = {}
        self.bearers: dict[str, IamBearer] = {}
        self.keys: dict[str, ApiKey] = {}
        self.graveyard: list[ApiKey] = []
        self.by_secret: dict[str, ApiKey] = {}
        self.calls: Counter[tuple[str, str, str]] = Counter()
        self.changes: deque[Change] = deque(maxlen=10_000)
        self.deeds: deque[Deed] = deque(maxlen=10_000)
        self._events: deque[RecordedEvent] = deque(maxlen=events_kept)
        self._indices = itertools.count()
        self._clock = clock
        self._landing: float | None = None
        self._late: list[tuple[float, int, Callable[[], object]]] = []
        self._late_order = itertools.count()
        # Chance only makes names here, and secrets of a service that does not exist.
        self._random = random.Random(seed)  # noqa: S311 - nothing that it makes protects anything
        self._bucket = 1.0
        self._bucket_filled = clock()

    # --- time -------------------------------------------------------------------------------------

    def tick(self) -> float:
        """The clock, or the due time of the postponed operation that is being carried out."""
        return self._clock() if self._landing is None else self._landing

    def now(self) -> datetime:
        """The calendar of the service, in UTC."""
        return datetime.fromtimestamp(self.tick() + self.settings.clock_offset, UTC)

    def postpone(self, operation: Callable[[], object], after: float) -> None:
        """Carry ``operation`` out once ``after`` seconds have passed; infinity means when it is
        released."""
        heapq.heappush(self._late, (self.tick() + after, next(self._late_order), operation))

    @contextmanager
    def settled(self) -> Iterator[StandInState]:
        """The state for oneself alone, with whatever is due by now carried out."""
        with self.lock:
            self._settle()
            yield self

    def _settle(self) -> None:
        while self._late and self._landing is None and self._late[0][0] <= self._clock():
            due, _, operation = heapq.heappop(self._late)
            self._land(operation, due)

    def land_all(self) -> int:
        """Carry out everything postponed now, due or not; how many operations that were."""
        late, self._late = sorted(self._late), []
        for due, _, operation in late:
            self._land(operation, min(due, self._clock()))
        return len(late)

    @property
    def postponed(self) -> int:
        """How many operations are still to land."""
        return len(self._late)

    def _land(self, operation: Callable[[], object], due: float) -> None:
        self._landing = due
        try:
            operation()
        finally:
            self._landing = None

    # --- what happened ----------------------------------------------------------------------------

    def record(
        self,
        kind: str,
        key: ApiKey | None = None,
        *,
        by: str = "",
        bearer: str = "",
        method: str = "",
        route: str = "",
        detail: str = "",
    ) -> RecordedEvent:
        """Append one event to the log."""
        access_key, owner = (key.access_key, key.bearer.id) if key else ("", bearer)
        event = RecordedEvent(next(self._indices), self.now(), kind, access_key, owner, by, method, route, detail)
        self._events.append(event)
        return event

    def events(self, since: int = 0) -> list[RecordedEvent]:
        """The events from index ``since`` on. Raises LookupError when some of these are no longer
        kept."""
        if not self._events:
            return []
        first = self._events[0].index
        if since < first:
            raise LookupError(f"events before {first} are no longer kept, and {since} was asked for")
        return list(itertools.islice(self._events, since - first, None))

    def _changed(self, action: str, what: ApiKey | IamBearer, actor: Actor) -> None:
        if isinstance(what, ApiKey):
            self.record(action, what, by=actor.access_key)
            change = Change(self.now(), what.bearer.organization, action, "api_key", what.access_key, actor)
        else:
            self.record(f"{what.kind}_{action}", bearer=what.id, by=actor.access_key)
            change = Change(self.now(), what.organization, action, what.kind, what.id, actor)
        self.changes.append(change)

    # --- organisations and bearers ----------------------------------------------------------------

    def add_organization(self) -> Organization:
        """A new organisation with its default project, whose id equals the organisation's."""
        organization = Organization(self._uuid())
        organization.security = {
            "enforce_password_renewal": False,
            "grace_period_duration": "0s",
            "login_attempts_before_locked": 0,
            "max_login_session_duration": "0s",
            "max_api_key_expiration_duration": "0s",
        }
        organization.projects[organization.id] = "default"
        self.organizations[organization.id] = organization
        return organization

    def add_project(self, organization: Organization, name: str) -> str:
        """A new project; its id."""
        project = self._uuid()
        organization.projects[project] = name
        return project

    def add_bearer(
        self,
        organization: Organization,
        kind: str,
        name: str,
        *,
        manager: bool = False,
        description: str = "",
        tags: Iterable[str] = (),
        actor: Actor = HAND,
    ) -> IamBearer:
        """A new application or user."""
        now = self.now()
        bearer = IamBearer(self._uuid(), kind, name, organization, manager, now, now, description, list(tags))
        self.bearers[bearer.id] = organization.bearers[bearer.id] = bearer
        self._changed("created", bearer, actor)
        return bearer

    def update_bearer(self, bearer: IamBearer, fields: dict[str, Any], *, actor: Actor = HAND) -> None:
        """Change the name, description, tags or right of a bearer."""
        for name, value in fields.items():
            setattr(bearer, name, value)
        bearer.updated_at = self.now()
        self._changed("updated", bearer, actor)

    def remove_bearer(self, bearer: IamBearer, *, actor: Actor = HAND) -> None:
        """Delete a bearer, and with it its keys."""
        for key in list(bearer.keys.values()):
            self.remove_key(key, actor=actor)
        del self.bearers[bearer.id], bearer.organization.bearers[bearer.id]
        self._changed("deleted", bearer, actor)

    # --- keys -------------------------------------------------------------------------------------

    def add_key(
        self,
        bearer: IamBearer,
        *,
        description: str = "",
        expires_at: datetime | None = None,
        default_project_id: str | None = None,
        actor: Actor = HAND,
    ) -> ApiKey:
        """A new key. Its secret is in ``secret`` and is returned only to its creator."""
        now = self.now()
        key = ApiKey(
            access_key="SCW" + "".join(self._random.choices(CROCKFORD, k=17)),
            secret=self._uuid(),
            bearer=bearer,
            description=description,
            created_at=expires_at - timedelta(days=1) if expires_at is not None and expires_at <= now else now,
            updated_at=now,
            expires_at=expires_at,
            default_project_id=default_project_id or bearer.organization.id,
            creation_ip=actor.ip,
            born=self.tick(),
            activation_delay=self.settings.activation_delay,
        )
        self.keys[key.access_key] = bearer.keys[key.access_key] = bearer.organization.keys[key.access_key] = key
        self.by_secret[key.secret] = key
        self._changed("created", key, actor)
        return key

    def update_key(self, key: ApiKey, fields: dict[str, Any], *, actor: Actor = HAND) -> None:
        """Change some of the fields of a key."""
        for name, value in fields.items():
            setattr(key, name, value)
        key.updated_at = self.now()
        self._changed("updated", key, actor)

    def remove_key(self, key: ApiKey, *, actor: Actor = HAND) -> None:
        """Delete a key. Its secret goes on being accepted for as long as the settings of this
        moment say."""
        key.died, key.deleted_at, key.revocation_delay = self.tick(), self.now(), self.settings.revocation_delay
        del key.bearer.keys[key.access_key], key.bearer.organization.keys[key.access_key]
        self.graveyard.append(key)
        self._changed("deleted", key, actor)

    def live_key(self, access_key: str) -> ApiKey | None:
        """The key of that name if it has not been deleted. Expired keys still exist."""
        key = self.keys.get(access_key)
        return key if key and key.died is None else None

    def listed(self, organization: Organization, bearer_id: str | None) -> list[ApiKey]:
        """The keys that a list shows now, of one bearer or of the organisation, oldest first."""
        owner = organization.bearers.get(bearer_id) if bearer_id else organization
        keys = list(owner.keys.values()) if owner else []
        lag = self.settings.list_lag
        if lag:
            then = self.tick() - lag
            keys = [key for key in keys if key.born <= then]
            for key in self.graveyard:
                mine = key.bearer.organization is organization and bearer_id in (None, key.bearer.id)
                if mine and key.died is not None and key.born <= then < key.died:
                    keys.append(key)
        keys.sort(key=lambda key: key.created_at)
        return keys

    # --- authentication ---------------------------------------------------------------------------

    def refusal(self, key: ApiKey | None, gateway: int) -> str:
        """Why the gateway of that number refuses the key's secret now; empty when it accepts it."""
        if key is None:
            return "not_found"
        share = (gateway % self.settings.instances + 1) / self.settings.instances
        now = self.tick()
        if now < key.born + key.activation_delay * share:
            return "not_found"
        if key.died is not None and now >= key.died + key.revocation_delay * share:
            return "not_found"
        if key.expires_at is not None and key.expires_at <= self.now():
            return "expired"
        return ""

    def accepting(self, key: ApiKey) -> int:
        """How many gateways accept the key's secret now."""
        return sum(not self.refusal(key, gateway) for gateway in range(self.settings.instances))

    def allow(self) -> bool:
        """Take one request from the rate limit, if there is one."""
        rate, burst = self.settings.rate_limit, self.settings.rate_burst
        if not rate:
            return True
        now = self.tick()
        self._bucket = min(burst, self._bucket + (now - self._bucket_filled) * rate)
        self._bucket_filled = now
        if self._bucket < 1:
            return False
        self._bucket -= 1
        return True

    def configure(self, changes: dict[str, Any]) -> None:
        """Replace some settings; a rate limit starts with a full bucket."""
        self.settings = replace(self.settings, **changes)
        self._bucket, self._bucket_filled = self.settings.rate_burst, self.tick()

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
