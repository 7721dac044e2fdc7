"""Where a pass looks, which keys it knows, and what one observation says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.decision.observation import Observation, RotationRequest
from rotator.domain.document import CredentialDocument
from rotator.domain.ledger import CurrentKey, HistoryEntry, Ledger, Predecessor
from rotator.domain.spec import ApplicationSpec
from rotator.errors import PermissionDenied, Unavailable
from rotator.reconciler.observer import containment_place
from rotator.reconciler.rendering import document_fields, notes
from rotator.reconciler.runner import observe
from rotator.util.formatting import format_timestamp
from tests.support.observations import CURRENT, NOW, PUBLISHED, document, key, ledger
from tests.support.observations import mark as marked
from tests.support.scenarios import DAY, HOUR, MINUTE, SECOND, adopted, change, failing, marked_key, once, rotate
from tests.support.simulated import BEARER, EPOCH, Actor, Sim, SimVault, spec

SPEC = spec()
ELSEWHERE: dict[str, Any] = {"path": "secret/former", "compromised": (marked(PUBLISHED),), "grace": 3 * HOUR}


def seen(actor: Actor, request: RotationRequest | None = None) -> Observation:
    """One observation, without any effect."""
    passing = observe(actor.spec, actor.context, actor.local_state, request)
    try:
        while True:
            next(passing)
    except StopIteration as end:
        found: Observation = end.value
        return found


# --- where a pass looks ---


@pytest.mark.parametrize(
    "held",
    [
        None,
        ledger(path="secret/former"),
        ledger(**{**ELSEWHERE, "account": "globex"}),
        ledger(compromised=(marked(PUBLISHED),)),
    ],
    ids=["no ledger", "nothing is marked", "another account", "the same place"],
)
def test_a_pass_looks_where_the_configuration_says(held: Ledger | None) -> None:
    assert containment_place(SPEC, held) is SPEC


@pytest.mark.parametrize(
    ("current", "fields"),
    [
        (CURRENT, {"id": "{access_key}", "key": "{secret_key}"}),
        (None, {SPEC.access_field: "{access_key}", SPEC.secret_field: "{secret_key}"}),
    ],
    ids=["fields of the ledger", "fields of the configuration"],
)
def test_c5_marked_keys_are_contained_where_the_ledger_says(current: CurrentKey | None, fields: dict[str, str]) -> None:
    held = ledger(**ELSEWHERE, current=current, bearer="another", access_field="id", secret_field="key")
    place = containment_place(SPEC, held)
    assert place == replace(SPEC, bearer="another", path="secret/former", fields=fields, grace=3 * HOUR)


# --- which keys it knows ---


def unmanaged(actor: Actor) -> list[object]:
    return [fields["access_key"] for name, fields in actor.sink.events if name == "key.unmanaged_found"]


def test_a_key_in_grace_that_has_no_marker_is_not_unmanaged() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    seen(daemon)
    assert [entry.access_key for entry in sim.ledger().retiring] == [first]
    assert unmanaged(daemon) == []


def test_a_key_with_the_marker_of_the_application_is_not_unmanaged_although_no_ledger_names_it() -> None:
    sim, daemon, _ = adopted()
    marked_key(sim, 1)
    seen(daemon)
    assert unmanaged(daemon) == []


def test_a_key_that_a_former_document_publishes_is_not_unmanaged() -> None:
    sim, daemon, _ = adopted()
    kept, theirs = sim.make_key()[0].access_key, sim.make_key()[0].access_key
    former = Predecessor("old", "secret/old", "a", "s", taken_over=True, access_key=kept)
    change(daemon, predecessors=(former,))
    seen(daemon)
    assert unmanaged(daemon) == [theirs]


def test_every_former_document_is_read_as_far_as_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    sim, daemon, first = adopted()
    sim.publish_by_hand(first, path="secret/a")
    sim.publish_by_hand(first, path="secret/b")
    fields = {"access_field": SPEC.access_field, "secret_field": SPEC.secret_field}
    former = [
        Predecessor(name, f"secret/{name}", **fields, taken_over=True, access_key=first) for name in ("a", "b", "c")
    ]
    change(daemon, predecessors=tuple(former))
    read = SimVault.read_document

    def denied(vault: SimVault, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        if path == "secret/c":
            raise PermissionDenied("the policy denies it", service="vault", kind="permission")
        return read(vault, path, access_field, secret_field)

    monkeypatch.setattr(SimVault, "read_document", denied)
    found = seen(daemon).former_documents
    assert set(found) == {"secret/a", "secret/b"}
    assert all(one.secret is not None for one in found.values())


# --- what stops it ---


def test_c2_a_problem_that_the_ledger_does_not_record_keeps_the_time_since_when_it_is_there() -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    sim.time.skew_provider = 5 * MINUTE
    first = daemon.run().wait.problem
    sim.time.advance(MINUTE)
    second = daemon.run().wait.problem
    assert first is not None
    assert second == first


# --- what is carried from one look to the next ---


def test_a_verification_goes_on_where_a_new_observation_interrupted_it() -> None:
    sim, daemon, _ = adopted()
    asked: list[datetime] = []
    count = daemon.spec.verification.successes

    def look_again() -> None:
        daemon.local_state.look_again = True

    sim.hook = lambda effect, phase: (
        asked.append(sim.time.now) if (effect, phase) == ("authenticate", "before") else None
    )
    began = sim.time.now
    before = len(asked)
    once(sim, "authenticate", "after", look_again)
    rotate(daemon)
    assert sim.calls.count("authenticate") - before == count
    assert sim.time.now - began < daemon.spec.verification.timeout


@pytest.mark.parametrize(
    ("step", "readings"),
    [(timedelta(0), 2), (timedelta(milliseconds=999), 2), (SECOND, 4), (-timedelta(microseconds=1), 4)],
)
def test_the_three_clocks_are_read_again_if_this_one_was_set_meanwhile(step: timedelta, readings: int) -> None:
    sim, daemon, _ = adopted()
    times = iter([NOW, NOW + step, NOW + HOUR, NOW + HOUR])
    read: list[datetime] = []

    class Clock:
        def now(self) -> datetime:
            read.append(next(times))
            return read[-1]

        def token(self) -> str:
            return "t"

    context = replace(daemon.context, clock=Clock())
    assert context.clocks().ours == (NOW if readings == 2 else NOW + HOUR)
    assert len(read) == readings


# --- what is written ---


def test_a_new_key_brings_its_own_default_project_and_an_unknown_one_is_empty() -> None:
    fields = {"access_key": "{access_key}", "secret_key": "{secret_key}", "project": "{default_project_id}"}
    wanted: ApplicationSpec = replace(SPEC, fields=fields)

    def project(default: str | None) -> object:
        made = replace(key(), bearer=BEARER, default_project_id=default)
        return document_fields(wanted, document(), made, document().secret, "r")["project"]  # type: ignore[arg-type]  # it has one

    assert (project("the-project"), project(None)) == ("the-project", "")


def test_a_new_key_that_expires_brings_its_date() -> None:
    wanted: ApplicationSpec = replace(SPEC, fields={**SPEC.fields, "until": "{expires_at}"})

    def until(expires_at: datetime | None) -> object:
        made = replace(key(), expires_at=expires_at)
        return document_fields(wanted, document(), made, document().secret, "r")["until"]  # type: ignore[arg-type]  # it has one

    assert (until(NOW), until(None)) == (format_timestamp(NOW), "")


def test_the_note_for_people_names_the_rotation_that_published_the_current_key() -> None:
    past = (
        HistoryEntry(NOW, "rotated", PUBLISHED, 3, "the-rotation", "scheduled"),
        HistoryEntry(NOW, "revoked", "SCWOTHER", 2, "another", "replaced"),
    )
    assert notes(ledger(history=past))["rotator_rotation_id"] == "the-rotation"
    assert notes(ledger())["rotator_rotation_id"] == "none"


# --- a pass that ends early ---

VAULT_AWAY = Unavailable("Vault is away", service="vault", kind="sealed")


def test_a_pass_that_ends_because_vault_is_away_leaves_its_note_for_later() -> None:
    sim, daemon, _ = adopted()
    made = sim.make_key(created=EPOCH - 31 * DAY)[0].access_key
    sim.publish_by_hand(made)
    failing(sim, "write_ledger", VAULT_AWAY, after=1)  # that of the claim, after the ledger has followed the document
    assert daemon.run().error is VAULT_AWAY
    assert "annotate" not in sim.calls


def test_a_pass_that_was_cut_short_knows_what_is_next_from_the_ledger_and_nothing_without_one() -> None:
    sim, daemon, _ = adopted()
    sim.time.advance(31 * DAY)
    failing(sim, "write_ledger", VAULT_AWAY)
    cut = daemon.run()
    assert cut.error is VAULT_AWAY
    assert cut.wait.next is not None
    assert cut.wait.next.action == "rotate"
    fresh = Sim()
    failing(fresh, "write_ledger", VAULT_AWAY)
    assert Actor(fresh, spec()).run().wait.next is None


def test_a_verification_that_observations_interrupt_ends_at_its_timeout_all_the_same() -> None:
    sim, daemon, _ = adopted()
    began, timeout = sim.time.now, daemon.spec.verification.timeout

    def look_again(effect: str, phase: str) -> None:
        if (effect, phase) == ("create_key", "after"):
            made = max(sim.keys)
            sim.keys[made].alive_from = began + 10 * timeout
        if (effect, phase) == ("authenticate", "after"):
            daemon.local_state.look_again = True

    sim.hook = look_again
    daemon.run(RotationRequest("asked", sim.published_key()))
    daemon.run_for(2 * timeout)
    failed = [fields for name, fields in daemon.sink.events if name == "rotation.verification_failed"]
    assert len(failed) == 1
    assert sim.calls.count("authenticate") <= timeout / daemon.spec.verification.interval + 10


def test_people_are_told_of_another_current_key_once_and_of_nothing_else() -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    assert sim.calls.count("annotate") == 1
    sim.calls.clear()
    daemon.run_for(daemon.spec.grace + HOUR)
    assert "key.revoked" in daemon.sink.names()
    assert "annotate" not in sim.calls
