from __future__ import annotations

import threading

from rotator.domain.ports import NullEventSink
from rotator.observability.events import CATALOGUE
from rotator.observability.metrics.counters import MOST_CAUSES, OTHER, EventCounters, word
from tests.support.simulated import Recorder

BILLING = {"account": "acme", "application": "billing"}
KEY = ("acme", "billing")


def test_every_event_is_handed_on_as_it_is() -> None:
    sink = Recorder()
    EventCounters(sink).emit("key.revoked", access_key="SCW1", reason="replaced", verification="refused", **BILLING)
    assert sink.events == [
        ("key.revoked", {"access_key": "SCW1", "reason": "replaced", "verification": "refused", **BILLING})
    ]


def test_every_event_of_the_catalogue_is_counted_from_zero_on() -> None:
    counters = EventCounters(NullEventSink())
    assert set(counters.counts().events) == set(CATALOGUE) - {"logs.dropped", "logs.journal_unavailable"}
    assert set(counters.counts().events.values()) == {0}
    counters.emit("daemon.ready", applications=1, down=[])
    assert counters.counts().events["daemon.ready"] == 1


def test_a_rotation_counts_under_the_mode_that_its_claim_told() -> None:
    counters = EventCounters(NullEventSink())
    for rotation, mode in (("1", "scheduled"), ("2", "compromised"), ("3", "compromised")):
        counters.emit("rotation.claimed", rotation_id=rotation, mode=mode, **BILLING)
        counters.emit("rotation.committed", rotation_id=rotation, **BILLING)
    assert counters.counts().rotations == {KEY: {"scheduled": 1, "compromised": 2}}


def test_a_rotation_that_another_process_claimed_counts_as_other() -> None:
    counters = EventCounters(NullEventSink())
    counters.emit("rotation.claimed", rotation_id="1", mode="scheduled", **BILLING)
    counters.emit("rotation.committed", rotation_id="2", **BILLING)
    assert counters.counts().rotations == {KEY: {OTHER: 1}}


def test_failures_count_by_their_cause() -> None:
    counters = EventCounters(NullEventSink())
    counters.emit("rotation.abandoned", reason="quota", message="no room", **BILLING)
    counters.emit("pass.failed", reason="sealed", message="Vault is sealed", **BILLING)
    counters.emit("pass.crashed", error="KeyError", where="x", **BILLING)
    counters.emit("key.revoked", access_key="SCW1", **BILLING)
    counts = counters.counts()
    assert counts.given_up == {KEY: {"quota": 1}}
    assert counts.failed == {KEY: {"sealed": 1, "crashed": 1}}
    assert counts.revoked == {KEY: 1}


def test_no_sentence_of_anybody_becomes_a_label() -> None:
    for text in ("no room for SCW00000000000000001", "SCW1", "", "https://vault:8200", "a" * 41, None, 7):
        assert word(text) == OTHER
    assert word("publish_timeout") == "publish_timeout"
    counters = EventCounters(NullEventSink())
    counters.emit("rotation.abandoned", reason="the contractor left", **BILLING)
    assert counters.counts().given_up == {KEY: {OTHER: 1}}


def test_causes_are_bounded_whatever_is_written_into_ledgers() -> None:
    counters = EventCounters(NullEventSink())
    for number in range(3 * MOST_CAUSES):
        counters.emit("pass.failed", reason=f"cause_{number}", **BILLING)
    causes = counters.counts().failed[KEY]
    assert len(causes) <= MOST_CAUSES + 1
    assert sum(causes.values()) == 3 * MOST_CAUSES


def test_threads_that_count_at_once_lose_nothing() -> None:
    counters = EventCounters(NullEventSink())

    def count() -> None:
        for _ in range(500):
            counters.emit("pass.failed", reason="sealed", **BILLING)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.counts().failed[KEY]["sealed"] == 2000
