"""Keeps the presence of this daemon in Vault, and the shares by those of the others."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.engine import Engine
from rotator.daemon.look_shares import LookShares, Shares
from rotator.daemon.presence import EXPIRY, DaemonPresence, able_to_look, configuration_digest, is_fresh, parse_presence
from rotator.daemon.scheduler import Pool
from rotator.daemon.services import VAULT, ServiceState
from rotator.domain.ports import EventSink, PresenceStore
from rotator.domain.presence import MAX_DAEMONS, StoredPresence
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Conflict, Refused, RotatorError

RENEWAL_INTERVAL = EXPIRY / 3

ATTEMPTS = 3
"""How often a place is chosen in one renewal, where another daemon takes each first."""

PRESENCE_WORKER = Pool("presence", 1)
"""A worker of its own: a call that hangs delays nothing else."""


class PresenceKeeper:
    """The presence of one process. What goes wrong with it means only that this daemon looks at
    every application itself. ``now`` reads this machine's clock; ``clock`` counts seconds."""

    def __init__(
        self,
        engine: Engine,
        shares: LookShares,
        sink: EventSink,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._shares = shares
        self._sink = sink
        self._now = now
        self._clock = clock
        self._daemon = secrets.token_hex(8)
        self._digested: tuple[Mapping[str, ApplicationSpec], str] = ({}, "")
        self._lock = threading.Lock()
        self._configuration = threading.Lock()
        self._written = False
        self._withdrawn = False
        self._reported: tuple[str, int] = ("", 0)
        self._ignored: set[int] = set()

    def follow(self) -> None:
        """Begin to share with the others, or go on under a new configuration: until its presence is
        written and the others' are read, every look is this daemon's."""
        with self._configuration:  # a renewal under the former one may end later
            self._shares.look_alone()
        if self._engine.runtime.share_looks or self._written:
            self._engine.add_periodic("presence", self.renew, pool=PRESENCE_WORKER, delay=timedelta(0))

    def renew(self) -> timedelta | None:
        """Write the presence, read the others, and share the looks with them. A periodic task."""
        with self._lock, self._engine.lease_runtime() as runtime:
            if self._withdrawn:
                return None
            if not runtime.share_looks:
                self._shares.look_alone()
                self._withdraw(runtime.presences)
                return None
            own = self._own_presence(runtime)
            if self._engine.services[VAULT].state is not ServiceState.UP:  # which is reported already
                self._shares.look_alone(own)
                return RENEWAL_INTERVAL
            since = self._clock()
            try:
                others = self._exchange(runtime, own)
            except RotatorError as error:
                self._shares.look_alone(own)
                self._report("unavailable", 1, str(error))
            else:
                self._share(own, others, since, runtime)
        return RENEWAL_INTERVAL

    def withdraw(self) -> threading.Thread:
        """Take the presence back for good, so that the others need not wait until it expires. The
        thread does it; what it cannot do in time expires."""
        thread = threading.Thread(target=self._withdraw_for_good, name="presence", daemon=True)
        thread.start()
        return thread

    def _withdraw_for_good(self) -> None:
        with self._lock, self._engine.lease_runtime() as runtime:
            self._withdrawn = True
            self._shares.look_alone()
            self._withdraw(runtime.presences)

    def _withdraw(self, presences: PresenceStore) -> None:
        if not self._written:
            return
        self._written = False
        with suppress(Exception):  # at the end the connections may be closed meanwhile; it then expires
            for stored in presences.read_presences():
                presence = parse_presence(stored.content)
                if presence is not None and presence.daemon == self._daemon:
                    presences.write_presence(stored.place, {}, cas=stored.version)

    def _own_presence(self, runtime: DaemonRuntime) -> DaemonPresence:
        specs, digest = self._digested
        if specs is not runtime.specs:
            digest = configuration_digest(runtime.specs.values())
            self._digested = runtime.specs, digest
        seen = self._engine.snapshot()
        accounts, failing = able_to_look(seen.tasks, seen.services, self._now())
        return DaemonPresence(self._daemon, digest, accounts, failing)

    def _exchange(self, runtime: DaemonRuntime, own: DaemonPresence) -> list[DaemonPresence]:
        """Write the own presence where it stands, or at the first place that is free; returns the
        others."""
        for attempt in range(1, ATTEMPTS + 1):
            stored = runtime.presences.read_presences()
            vault_time = self._now() + runtime.vault.clock_offset()
            fresh = [one for one in stored if one.content and is_fresh(one, vault_time)]
            found = {one.place: presence for one in fresh if (presence := parse_presence(one.content)) is not None}
            self._report_ignored([one.place for one in fresh if one.place not in found])
            place = self._place(stored, {one.place for one in fresh})
            cas = next((one.version for one in stored if one.place == place), 0)
            try:
                runtime.presences.write_presence(place, own.as_json(), cas=cas)
            except Conflict:  # another daemon chose the same place
                if attempt == ATTEMPTS:
                    raise
                continue
            self._written = True
            return [presence for presence in found.values() if presence.daemon != self._daemon]
        raise AssertionError("the last attempt returns or raises")

    def _place(self, stored: Sequence[StoredPresence], taken: set[int]) -> int:
        for one in stored:
            presence = parse_presence(one.content)
            if presence is not None and presence.daemon == self._daemon:
                return one.place
        free = next((place for place in range(1, MAX_DAEMONS + 1) if place not in taken), None)
        if free is None:
            raise Refused(f"{MAX_DAEMONS} other daemons share their looks already, and there is no room for more")
        return free

    def _share(self, own: DaemonPresence, others: list[DaemonPresence], since: float, runtime: DaemonRuntime) -> None:
        self._shares.remember_daemons({other.daemon for other in others})
        unlike = sum(other.digest != own.digest for other in others)
        if unlike:
            self._shares.look_alone(own)
            message = f"{unlike} of {len(others)} other daemons have another configuration or version"
            self._report("configuration", len(others), message)
            return
        with self._configuration:
            if self._engine.runtime is not runtime:
                return
            self._shares.share(Shares(own, tuple({other.daemon: other for other in others}.values())), since)
        self._report("", self._shares.daemons or 1)

    def _report(self, reason: str, count: int, message: str = "") -> None:
        """Report a change: with whom the looks are shared, or why with no daemon."""
        if self._reported == (reason, count):
            return
        self._reported = (reason, count)
        if reason:
            self._sink.emit("looks.not_shared", reason=reason, message=message)
        else:
            self._sink.emit("looks.shared", daemons=count)

    def _report_ignored(self, places: list[int]) -> None:
        for place in places:
            if place not in self._ignored:
                self._sink.emit("looks.presence_ignored", place=place)
        self._ignored = set(places)
