"""What a stored document may take: held against a real OpenBao with the limits that it comes with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.account import KEPT, MAX_WAIVERS, AccountDocument, MassRotation, Waiver
from rotator.domain.ledger import (
    HISTORY_LIMIT,
    INCIDENT_LIMIT,
    CurrentKey,
    HistoryEntry,
    Hold,
    Incident,
    Intent,
    Ledger,
    Problem,
    RetiringKey,
    RevocationRecord,
    RevokingKey,
    RotationMode,
)
from rotator.errors import Rejected
from rotator.sandbox.openbao import OpenBao
from rotator.vault.budget import MAX_BYTES, MAX_STRINGS, count_strings, reduced_ledgers
from rotator.vault.kv_store import KvStore
from tests.vault import contract
from tests.vault.conftest import Build, RootHand

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
REASON = "r" * 1000
"""The longest reason that a command takes."""

AROUND = 3
"""The strings of the request around a document: data, options and cas."""


@pytest.fixture(scope="module")
def small_bao() -> Iterator[OpenBao]:
    """A server whose operator allows a third of the usual strings."""
    with OpenBao(name="small", max_request_json_strings=330) as server:
        yield server


def name(number: int) -> str:
    return f"SCW{number:017d}"


def largest(*, keys: int = 8, reason: str = REASON) -> Ledger:
    """A ledger with everything in it that a ledger can have: as many keys in each state, and a past as long as it may be."""
    closed = tuple(
        Incident(
            f"{number:016x}",
            NOW,
            reason,
            "ops@example.com",
            tuple(name(1000 + 3 * number + one) for one in range(3)),
            NOW,
            revocations=tuple(
                RevocationRecord(name(1000 + 3 * number + one), NOW, "refused", (1, 2), "our token may not")
                for one in range(3)
            ),
        )
        for number in range(INCIDENT_LIMIT - 1)
    )
    past = replace(
        contract.ledger(),
        current=CurrentKey(name(0), 9, NOW, NOW, NOW, NOW),
        intent=Intent("1" * 16, 9, "2" * 16, reason, RotationMode.COMPROMISED, "owner", NOW),
        retiring=tuple(RetiringKey(name(number), 8, NOW, "replaced") for number in range(200, 200 + keys)),
        revoking=tuple(RevokingKey(name(number), 7, "leftover", True, NOW) for number in range(300, 300 + keys)),
        hold=Hold(reason, "ops@example.com", NOW),
        problem=Problem("quota", reason, NOW),
        failures=3,
        not_before=NOW,
        history=tuple(
            HistoryEntry(NOW + timedelta(seconds=number), "rotated", name(number), 4, "1" * 16, reason)
            for number in range(HISTORY_LIMIT)
        ),
        incidents=closed,
    )
    return replace(marked(past, range(100, 100 + keys)), intent=past.intent, not_before=NOW)


def marked(before: Ledger, numbers: range, incident: str = "feedfacefeedface") -> Ledger:
    """The ledger with an emergency on top."""
    keys = [name(number) for number in numbers]
    return mark_compromised(
        before, keys, reason=REASON, by="ops@example.com", at=NOW, incident=incident, mode="replace_first"
    )


def refused(bao: OpenBao, data: Any) -> bool:
    return (
        bao.call("POST", "secret/data/counted", {"options": {"cas": 0}, "data": data}, token=bao.root_token).status
        == 400
    )


@pytest.mark.parametrize(
    "shape",
    [
        lambda number: {"list": ["text"] * number},
        lambda number: {f"name {one}": one for one in range(number)},
        lambda number: {f"name {one}": ["text", None, True, 1.5, {}, []] for one in range(number)},
        lambda number: {"rows": [{"name": "text"}] * number},
    ],
    ids=["texts", "names", "mixed", "records"],
)
def test_c1_openbao_counts_strings_as_the_budget_does(bao: OpenBao, shape: Any) -> None:
    """The first size that is refused is the first that counts more than 1,000 with what is around the document."""
    largest_taken = next(number for number in range(1, 1000) if count_strings(shape(number + 1)) + AROUND > 1000)
    bao.admin("DELETE", "secret/metadata/counted")
    assert not refused(bao, shape(largest_taken))
    bao.admin("DELETE", "secret/metadata/counted")
    assert refused(bao, shape(largest_taken + 1))


def test_c1_the_largest_ledger_is_written_and_an_emergency_on_top_of_it(store: KvStore) -> None:
    before = largest()
    version = store.write_ledger(before, cas=0)
    read, _ = store.read_ledger("billing")
    assert read is not None
    emergency = marked(read, range(400, 410), "e" * 16)
    store.write_ledger(emergency, cas=version)
    after, _ = store.read_ledger("billing")
    assert after is not None
    assert replace(after, history=(), incidents=()) == replace(emergency, history=(), incidents=())
    assert [incident.id for incident in after.incidents if incident.closed_at is None] == ["feedfacefeedface", "e" * 16]
    assert after.history == emergency.history[len(emergency.history) - len(after.history) :], "the latest entries stay"


def test_c1_an_ordinary_full_ledger_keeps_its_whole_past(store: KvStore) -> None:
    """Twenty drills of one key each, and fifty history entries."""
    drills = tuple(
        Incident(
            f"{one:016x}",
            NOW,
            "drill",
            "ops",
            (name(one),),
            NOW,
            revocations=(RevocationRecord(name(one), NOW, "refused"),),
        )
        for one in range(INCIDENT_LIMIT)
    )
    full = replace(largest(keys=2, reason="every 30d"), incidents=drills, compromised=())
    store.write_ledger(full, cas=0)
    assert store.read_ledger("billing") == (full, 1)


def test_c1_the_past_goes_oldest_first_then_closed_incidents_and_never_an_open_one() -> None:
    open_first = marked(largest(), range(500, 560), "a" * 16)
    open_first = replace(open_first, incidents=(open_first.incidents[-1], *open_first.incidents[:-1]))
    stored = next(iter(reduced_ledgers(open_first)))
    kept = [row[0] for row in stored["incidents"]]
    assert stored["history"] == []
    assert kept[0] == "a" * 16
    assert kept == [incident.id for incident in open_first.incidents if incident.id in kept]
    assert len(stored["compromised"]) == 68


def test_c1_a_server_that_takes_less_gets_less_of_the_past_and_the_mark(small_bao: OpenBao, make: Build) -> None:
    store = make(small_bao)
    before = largest(keys=1)
    store.write_ledger(before, cas=0)
    after, version = store.read_ledger("billing")
    assert after is not None
    assert version == 1
    assert after.compromised == before.compromised
    assert len(after.history) < HISTORY_LIMIT
    assert next(one for one in after.incidents if one.closed_at is None) == before.incidents[-1]


def test_c1_what_no_server_takes_is_refused_by_name(small_bao: OpenBao, make: Build) -> None:
    with pytest.raises(Rejected, match=r"too large.*max_request_json_strings") as caught:
        make(small_bao).write_ledger(largest(keys=30), cas=0)
    assert caught.value.kind == "too_large"


def test_c1_a_document_of_more_bytes_than_the_storage_takes_is_surely_not_written(
    tls_bao: OpenBao, make: Build
) -> None:
    store = make(tls_bao)
    with pytest.raises(Rejected) as caught:
        store.write_document("secret/large", {"text": "x" * 1_100_000}, cas=0)
    assert caught.value.kind == "too_large"
    assert store.write_document("secret/large", {"text": "x"}, cas=0)[0] == 1


def test_c1_long_texts_are_bounded_in_bytes() -> None:
    wide = largest(reason="\N{GRINNING FACE}" * 1000)
    stored = next(iter(reduced_ledgers(replace(wide, history=wide.history * 3))))
    assert len(str(stored).encode()) < MAX_BYTES
    assert count_strings(stored) < MAX_STRINGS


# --- accounts


def rotation(number: int, ended: datetime | None) -> MassRotation:
    return MassRotation(f"{number:016x}", "--all", NOW, True, REASON, "ops@example.com", NOW, ended)


def full_account() -> AccountDocument:
    waivers = tuple(
        Waiver(name(number), REASON, "ops@example.com", NOW, NOW + timedelta(days=9)) for number in range(MAX_WAIVERS)
    )
    rotations = tuple(rotation(number, NOW if number % 2 else None) for number in range(2 * KEPT))
    return AccountDocument("acme", waivers, rotations)


def test_c1_a_mass_rotation_begins_beside_as_many_waivers_as_there_may_be(store: KvStore, hand: RootHand) -> None:
    version = store.write_account(full_account(), cas=0)
    begun = full_account().with_mass_rotation(rotation(99, None))
    store.write_account(begun, cas=version)
    read, _ = store.read_account("acme")
    assert (read.waivers, read.mass_rotations[-1]) == (begun.waivers, begun.mass_rotations[-1])
    store.write_account(read.with_mass_rotation(rotation(99, NOW)), cas=version + 1)
    assert hand.prefix
