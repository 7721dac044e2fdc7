"""The simulated world as a value: it can be copied at any instant, and told from another one.

The ground truth and its rules are those of ``tests.support.simulated`` and ``tests.support.invariants``; here they only learn to fork.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, TypeVar

from rotator.domain.ledger import HistoryEntry, Ledger
from rotator.domain.marker import parse_marker
from rotator.domain.secret import Secret
from rotator.vault.codec import dump_ledger, load_ledger
from tests.support.invariants import Monitor
from tests.support.simulated import EPOCH, PATH, Sim, SimProvider, SimVault, Time, TrueKey, Version

T = TypeVar("T")
DOCUMENT = "doc:" + PATH
LEDGER = "ledger:billing"

_stored: dict[Ledger, dict[str, Any]] = {}
_loaded: dict[int, Ledger] = {}
_documents: dict[Hashable, dict[str, Any]] = {}


def stored(ledger: Ledger) -> dict[str, Any]:
    """What the real codec makes of a ledger, once for each: worlds that hold the same ledger share it, and it is never changed.

    Of its history only the deaths are kept, and without their times. No decision reads the rest, and with it hardly two
    interleavings would ever lead to the same world.
    """
    revocations = {
        entry.access_key: HistoryEntry(EPOCH, entry.event, entry.access_key)
        for entry in ledger.history
        if entry.event == "revoked"
    }
    ledger = replace(ledger, history=tuple(revocations.values()))
    data = _stored.get(ledger)
    if data is None:
        data = json.loads(json.dumps(dump_ledger(ledger)))
        assert load_ledger(data) == ledger, "what was written does not read back"
        _stored[ledger] = data
        _loaded[id(data)] = ledger
    return data


def loaded(data: dict[str, Any]) -> Ledger:
    """The ledger that ``stored`` made this of."""
    return _loaded[id(data)]


def shared(data: Mapping[str, Any]) -> dict[str, Any]:
    """One and the same mapping for equal contents of a credential document."""
    return _documents.setdefault(tuple(sorted(data.items())), dict(data))


@dataclass
class Truth(Sim):
    """The simulated Vault and provider, which can fork. Nobody may change a version or a key of it in place but its own verbs."""

    monitor: Monitor = field(init=False)
    creates: int = 0
    spared: frozenset[str] = frozenset()
    """The keys that nobody may revoke any more, since a person's hand has blocked the application."""

    def watch(self, grace: timedelta, strangers: set[str]) -> None:
        """Begin to check what must always hold."""
        self.monitor = Monitor(self, grace, strangers=strangers, steady=True)
        self.monitor.check()

    def fork(self) -> Truth:
        """A copy that goes its own way."""
        time = self.time
        other = Truth(
            time=Time(time.now, time.skew_vault, time.skew_provider),
            index=self.index,
            kv={name: list(versions) for name, versions in self.kv.items()},
            keys={
                name: TrueKey(true.key, true.secret, true.alive_from, true.deleted_at, true.refused_after, true.ours)
                for name, true in self.keys.items()
            },
            bearers=self.bearers,
            activation=self.activation,
            lingering=self.lingering,
            quota=self.quota,
            lacking=self.lacking,
            hidden=self.hidden,
            _serial=itertools.count(len(self.keys) + 1),
        )
        other.creates = self.creates
        other.spared = self.spared
        other.monitor = _forked(self.monitor, other)
        return other

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        return execute()

    def fingerprint(self, *, past: bool) -> Hashable:
        """What tells this world from others, as far as anything that can still happen depends on it. ``past``: also the earlier
        versions of the ledger, which a standby may still answer from, and which somebody may restore."""
        monitor = self.monitor
        ledgers = [(name, versions) for name, versions in self.kv.items() if name.startswith("ledger:")]
        return (
            self.time.now,
            tuple((id(one.data), one.created, one.deleted, one.index * past) for one in self.kv.get(DOCUMENT, ())),
            tuple(
                (
                    name,
                    len(all_),
                    tuple((id(version.data), version.index * past) for version in (all_ if past else all_[-1:])),
                )
                for name, all_ in sorted(ledgers)
            ),
            tuple((true.key.description, true.alive_from, true.deleted_at) for true in self.keys.values()),
            tuple(sorted(monitor._left.items())),
            frozenset(monitor.marked.items()),
        )

    def read(self, version: Version) -> Ledger:
        """The ledger that a version holds, by the real codec."""
        return load_ledger(version.data)

    def ours(self) -> list[str]:
        """The living keys that we made or published."""
        strangers = self.monitor.strangers
        return [name for name, true in self.keys.items() if true.deleted_at is None and name not in strangers]

    def marked(self) -> list[str]:
        """The living keys with our marker."""
        return [name for name in self.ours() if parse_marker(self.keys[name].key.description)]


_MONITORED = [each.name for each in fields(Monitor) if each.name not in {"sim", "grace"}]


def _forked(monitor: Monitor, sim: Sim) -> Monitor:
    other = Monitor(sim, monitor.grace)
    for name in _MONITORED:
        value = getattr(monitor, name)
        setattr(other, name, value.copy() if isinstance(value, set | dict) else value)
    return other


class TruthVault(SimVault):
    """The ``VaultStore`` of one actor on a world that forks."""

    def _load(self, application: str, version: Version) -> Ledger:
        return loaded(version.data)

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        return self._effect("write_ledger", lambda: self._write("ledger:" + ledger.application, stored(ledger), cas))

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, Any]:
        data = shared({name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()})

        def execute() -> tuple[int, Any]:
            return self._write("doc:" + path, data, cas), self.sim.kv["doc:" + path][-1].created

        return self._effect("write_document", execute)


class TruthProvider(SimProvider):
    """The ``Provider`` of one actor on a world that forks."""

    sim: Truth

    def create_key(self, *args: Any, **kwargs: Any) -> Any:
        self.sim.creates += 1
        return super().create_key(*args, **kwargs)


def rolled_back(truth: Truth, version: int) -> None:
    """Somebody restores an earlier version of the ledger."""
    truth.monitor.restored.add((LEDGER, truth.append(LEDGER, truth.kv[LEDGER][version - 1].data)))


def by_hand(truth: Truth, data: Mapping[str, Any]) -> None:
    """A person writes the credential document."""
    truth.monitor.hand_written.add((DOCUMENT, len(truth.kv.get(DOCUMENT, [])) + 1))
    truth.append(DOCUMENT, shared(data))
    truth.monitor.check()
