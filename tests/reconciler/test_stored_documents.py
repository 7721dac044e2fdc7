"""What the store allows, on the simulated world: a full ledger, and a mark on top of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.ledger import HISTORY_LIMIT, INCIDENT_LIMIT, HistoryEntry, Incident, RevocationRecord
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.vault.budget import count_strings
from rotator.vault.codec import dump_ledger
from tests.support.scenarios import DAY, HOUR, adopted, change, mark, problem, rotate
from tests.support.simulated import PATH, Actor, Sim, SimVault


def with_a_full_past(actor: Actor, keys: int = 6) -> None:
    """Fifty history entries, and twenty incidents of several keys that are closed."""
    at = actor.sim.time.now
    incidents = tuple(
        Incident(
            f"incident-{number}",
            at,
            "leaked",
            "ops",
            tuple(f"SCWOLD{number}X{one}" for one in range(keys)),
            at,
            revocations=tuple(RevocationRecord(f"SCWOLD{number}X{one}", at, "refused") for one in range(keys)),
        )
        for number in range(INCIDENT_LIMIT)
    )
    history = tuple(
        HistoryEntry(at, "rotated", f"SCW{number}", 1, f"{number:016x}", "asked") for number in range(HISTORY_LIMIT)
    )
    change(actor, history=history, incidents=incidents)


def stored(sim: Sim) -> dict[str, Any]:
    return sim.kv["ledger:billing"][-1].data


def test_c1_an_emergency_on_a_full_ledger_is_marked_and_contained() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    with_a_full_past(daemon)
    command = Actor(sim, daemon.spec, owner="command-line")

    def sleep(until: Any) -> None:
        sim.time.now = max(sim.time.now, until)

    result = contain(daemon.spec, command.context, sleep, CompromiseRequest("leaked", "ops"))
    assert result.outcome == "contained", result.message
    assert not sim.live(first)
    assert not sim.live(second)
    assert sim.ledger().incidents[-1].access_keys == (first, second)
    assert sim.ledger().incidents[-1].closed_at


def test_c1_a_full_ledger_takes_rotations_and_drills_without_end_and_keeps_the_latest_of_its_past() -> None:
    sim, daemon, _ = adopted(grace=HOUR)
    with_a_full_past(daemon)
    for number in range(4):
        latest = rotate(daemon)
        mark(daemon, latest)
        daemon.run()
        daemon.run_for(timedelta(hours=3))
        assert not sim.live(latest), f"drill {number}"
        assert sim.ledger().history[-1].access_key
        assert count_strings(stored(sim)) <= sim.max_strings
    assert [incident.id for incident in sim.ledger().incidents[-4:]] == ["i1"] * 4
    assert len(sim.live_keys()) == 1


@pytest.mark.parametrize("most", [600, 400, 200])
def test_c1_a_server_that_takes_less_drops_history_and_never_the_mark(most: int) -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    with_a_full_past(daemon)
    sim.max_strings = most
    mark(daemon, first, second)
    assert sim.ledger().compromised_keys() == {first, second}
    assert sim.ledger().incidents[-1].closed_at is None
    daemon.run()
    daemon.run()
    assert not sim.live(first)
    assert not sim.live(second)


def test_c1_a_ledger_that_is_over_the_budget_is_read_and_the_next_write_brings_it_below() -> None:
    """A server with more generous limits took it, or an older rotator wrote it without rows."""
    sim, daemon, first = adopted()
    with_a_full_past(daemon)
    large = replace(sim.ledger(), history=sim.ledger().history[-1:] * HISTORY_LIMIT)
    data = dump_ledger(replace(large, incidents=tuple(itertools.chain(*[large.incidents] * 3))))
    assert count_strings(data) > sim.max_strings
    sim.kv["ledger:billing"][-1] = replace(sim.kv["ledger:billing"][-1], data=data)
    rotate(daemon)
    assert count_strings(stored(sim)) <= sim.max_strings
    assert sim.ledger().history[-1].event == "rotated"
    assert [entry.access_key for entry in sim.ledger().retiring] == [first]


# --- versions that expire


class ExpiringVault(SimVault):
    """A Vault whose mount deletes versions of the credential document after two days."""

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        document = super().read_document(path, access_field, secret_field)
        if document.created_time is None:
            return document
        ends = document.created_time + 2 * DAY
        if self.sim.time.now >= ends:
            return CredentialDocument(document.version, DocumentState.DELETED, document.created_time, expired=True)
        return replace(document, expires_at=ends)


def expiring() -> tuple[Sim, Actor, str]:
    sim, daemon, first = adopted()
    daemon.context = replace(daemon.context, vault=ExpiringVault(sim))
    return sim, daemon, first


def test_c3_a_document_whose_versions_expire_is_written_again_in_time_and_the_problem_is_named() -> None:
    sim, daemon, first = expiring()
    daemon.run_for(40 * DAY)
    assert sim.published_key() == first, "no rotation is claimed on it"
    assert problem(daemon) == "document_expires"
    assert len(sim.kv["doc:" + PATH]) > 20
    assert "set delete_version_after" in sim.ledger().problem.message  # type: ignore[union-attr]  # there is one
    daemon.context = replace(daemon.context, vault=SimVault(sim))
    daemon.run_for(DAY)
    assert problem(daemon) is None
    assert sim.published_key() != first, "the rotation that is due happens once the setting is gone"


def test_c3_an_emergency_does_not_wait_for_the_setting_of_a_mount() -> None:
    sim, daemon, first = expiring()
    mark(daemon)
    daemon.run()
    assert not sim.live(first)
    assert sim.published_key() != first


def test_c3_an_expired_document_is_a_named_problem_and_nothing_is_revoked() -> None:
    sim, daemon, first = expiring()
    sim.time.advance(3 * DAY)
    daemon.run()
    assert problem(daemon) == "document_expires"
    assert sim.live(first)
