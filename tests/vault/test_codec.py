"""The stored form of a ledger: what is not exactly what we would write is damaged, and damaged is not empty."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.domain.ledger import (
    HISTORY_LIMIT,
    CurrentKey,
    HistoryEntry,
    Hold,
    Intent,
    Ledger,
    Problem,
    RetiringKey,
    RevocationRecord,
    RevokingKey,
    RotationMode,
)
from rotator.errors import LedgerUnreadable
from rotator.util.durations import MAX_DURATION
from rotator.vault.codec import dump_account, dump_ledger, load_account, load_ledger
from tests.support.simulated import spec

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)


def full() -> Ledger:
    ledger = mark_compromised(
        new_ledger(spec()), {"SCWA"}, reason="leak", by="ops", at=NOW, incident="i1", mode="replace_first"
    )
    return replace(
        ledger,
        current=CurrentKey("SCWA", 4, NOW, NOW, NOW + timedelta(days=90)),
        intent=Intent("1" * 16, 4, "2" * 16, "asked", RotationMode.REQUESTED, "owner", NOW),
        retiring=(RetiringKey("SCWB", 3, NOW, "replaced"),),
        revoking=(RevokingKey("SCWC", 2, "leftover", republished=True, not_before=NOW),),
        hold=Hold("migration", "ops", NOW),
        problem=Problem("quota", "no room", NOW),
        failures=2,
        not_before=NOW,
        history=(HistoryEntry(NOW, "rotated", "SCWA", 4, "1" * 16, "every 30d"),),
    )


def test_a_ledger_survives_json_unchanged() -> None:
    assert load_ledger(json.loads(json.dumps(dump_ledger(full())))) == full()


def change(path: str, value: Any) -> dict[str, Any]:
    data = dump_ledger(full())
    *parents, last = path.split(".")
    place: Any = data
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("current.surprise", 1),
        ("retiring.0.revoke_after", "2026-05-04T03:02:01"),
        ("retiring.0.revoke_after", "2026-05-04T05:02:01+02:00"),
        ("retiring.0.revoke_after", "tomorrow"),
        ("retiring.0.revoke_after", 17),
        ("retiring.0.revoke_after", "9999-12-31T23:59:59Z"),
        ("current.created_at", "0001-01-01T00:00:00Z"),
        ("not_before", "9000-01-01T00:00:00.000001Z"),
        ("not_before", "1969-12-31T23:59:59Z"),
        ("grace", "P36501D"),
        ("grace", "-P1D"),
        ("verification.timeout", "P999999999D"),
        ("retiring.0.access_key", None),
        ("retiring.0.access_key", ...),
        ("retiring", {}),
        ("revoking", None),
        ("current.version", "4"),
        ("current.version", 4.5),
        ("failures", True),
        ("intent.mode", "whenever"),
        ("verification.interval", "soon"),
        ("application", ...),
        ("schema", "1"),
        ("schema", 0),
        ("schema", True),
        ("schema", None),
        ("schema", ...),
        ("schema", 5),
        ("schema", 6),
        ("hold.until", None),
        ("hold.until", "2026-05-04T03:02:01Z"),
    ],
)
def test_r11_whatever_is_not_exactly_what_we_write_is_damaged(path: str, value: Any) -> None:
    with pytest.raises(LedgerUnreadable):
        load_ledger(change(path, value))


def test_r11_a_newer_schema_says_so_and_names_the_remedy() -> None:
    with pytest.raises(LedgerUnreadable, match=r"billing.*newer rotator.*upgrade"):
        load_ledger(change("schema", 6), "billing")


def test_a_damaged_ledger_is_reported_by_the_name_of_the_field_and_never_by_its_content() -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        load_ledger(change("retiring.0.access_key", {"secret": "11111111-1111-1111-1111-111111111111"}))
    assert "retiring.0.access_key" in str(caught.value)
    assert "11111111" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_the_history_is_bounded() -> None:
    ledger = full().with_history(*(HistoryEntry(NOW, "rotated", f"SCW{n}") for n in range(200)))
    assert len(ledger.history) == HISTORY_LIMIT
    assert ledger.history[-1].access_key == "SCW199"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", 0, "damaged: it has no schema number; restore an earlier version of it in Vault"),
        ("schema", 6, "written by a newer rotator (schema 6, this one knows 5); upgrade this rotator"),
        ("retiring.0.version", "x", "damaged at retiring.0.version; restore an earlier version of it in Vault"),
        (
            "surprise",
            1,
            "damaged: it says more, or says it otherwise, than schema 5 allows; restore an earlier version of it in Vault",
        ),
    ],
)
def test_what_is_said_of_an_unreadable_ledger_names_it_and_the_remedy(path: str, value: Any, said: str) -> None:
    for name in ("billing", "?"):
        with pytest.raises(LedgerUnreadable) as caught:
            load_ledger(change(path, value), *([name] if name != "?" else []))
        assert str(caught.value) in {f"the ledger of {name} is {said}", f"the ledger of {name} was {said}"}


def test_r11_the_number_of_a_newer_schema_is_shown_within_bounds() -> None:
    with pytest.raises(LedgerUnreadable, match=r"\(schema 1000000000, this one knows 5\)"):
        load_ledger(change("schema", 10**12))


@pytest.mark.parametrize("schema", [1, 2])
def test_r11_true_is_no_schema_number_of_an_older_document(schema: int) -> None:
    stored = json.loads((DATA / f"account-schema-{schema}.json").read_text())
    for load in (
        lambda: load_ledger({**of_schema_1(), "schema": True}),
        lambda: load_account({**stored, "schema": True}, "acme"),
    ):
        with pytest.raises(LedgerUnreadable, match="it has no schema number"):
            load()


def test_r11_an_account_of_schema_1_without_mass_rotations_is_damaged() -> None:
    stored = json.loads((DATA / "account-schema-1.json").read_text())
    del stored["mass_rotations"]
    with pytest.raises(LedgerUnreadable, match="damaged at mass_rotations"):
        load_account(stored, "acme")


def test_r11_a_ledger_of_schema_3_without_a_current_key_is_read_as_it_is() -> None:
    stored = json.loads((DATA / "ledger-schema-3.json").read_text())
    assert load_ledger({**stored, "current": None}).current is None


@pytest.mark.parametrize("grace", [timedelta(0), MAX_DURATION])
def test_the_bounds_of_a_duration_are_sound_themselves(grace: timedelta) -> None:
    ledger = replace(full(), grace=grace)
    assert load_ledger(json.loads(json.dumps(dump_ledger(ledger)))) == ledger


def test_the_revocations_of_an_incident_are_stored_as_rows() -> None:
    [incident] = full().incidents
    ledger = replace(
        full(), incidents=(replace(incident, revocations=(RevocationRecord("SCWA", NOW, "refused", (1,)),)),)
    )
    assert dump_ledger(ledger)["incidents"][0][-1] == [["SCWA", "2026-05-04T03:02:01.123456Z", "refused", [1], ""]]
    assert load_ledger(json.loads(json.dumps(dump_ledger(ledger)))) == ledger


def test_every_damaged_field_is_named() -> None:
    data = change("current.version", "x")
    data["failures"] = "y"
    with pytest.raises(LedgerUnreadable, match=r"damaged at current\.version, failures;"):
        load_ledger(data)


# --- older schemas


DATA = Path(__file__).with_name("data")
"""Documents as the program wrote them whose schema is in their names: the same values as ``full()`` and ``account()``."""


def of_schema_2() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / "ledger-schema-2.json").read_text())
    return data


def of_schema_1() -> dict[str, Any]:
    """The ledger as the first version of this program wrote it."""
    data = of_schema_2()
    for mark in data["compromised"]:
        del mark["through_hold"]
    for incident in data["incidents"]:
        del incident["mode"], incident["through_hold"], incident["deaths"]
    return {**data, "schema": 1}


def test_r11_a_ledger_of_schema_2_is_read_as_it_is_and_written_as_schema_4() -> None:
    assert load_ledger(of_schema_2()) == full()
    assert dump_ledger(load_ledger(of_schema_2()))["schema"] == 4


def test_r11_a_ledger_of_schema_4_is_read_as_it_is_and_written_back_unchanged() -> None:
    stored = json.loads((DATA / "ledger-schema-4.json").read_text())
    assert load_ledger(stored) == full()
    assert dump_ledger(load_ledger(stored)) == stored


def test_r11_only_a_hold_with_an_end_takes_schema_5_so_that_the_former_program_reads_every_other_ledger() -> None:
    hold = full().hold
    assert hold is not None
    assert dump_ledger(replace(full(), hold=None))["schema"] == 4
    ending = replace(full(), hold=replace(hold, until=NOW + timedelta(days=3)))
    stored = json.loads(json.dumps(dump_ledger(ending)))
    assert (stored["schema"], stored["hold"]["until"]) == (5, "2026-05-07T03:02:01.123456Z")
    assert load_ledger(stored) == ending
    assert dump_ledger(replace(load_ledger(stored), hold=None))["schema"] == 4, (
        "the next write after the end is of schema 4"
    )


@pytest.mark.parametrize("until", [..., "soon", "2026-05-07T03:02:01", 17])
def test_r11_a_ledger_of_schema_5_whose_hold_has_a_damaged_end_is_damaged(until: Any) -> None:
    hold = full().hold
    assert hold is not None
    stored = dump_ledger(replace(full(), hold=replace(hold, until=NOW)))
    stored["hold"] = {name: value for name, value in stored["hold"].items() if name != "until"}
    if until is not ...:
        stored["hold"]["until"] = until
    with pytest.raises(LedgerUnreadable):
        load_ledger(stored)


def test_r11_a_ledger_of_schema_3_is_read_as_it_is_and_written_as_schema_4() -> None:
    stored = json.loads((DATA / "ledger-schema-3.json").read_text())
    ended = RevocationRecord("SCWA", NOW, "refused", (1,))
    known = full()
    assert load_ledger(stored) == replace(known, incidents=(replace(known.incidents[0], revocations=(ended,)),))
    assert load_ledger(dump_ledger(load_ledger(stored))) == load_ledger(stored)


@pytest.mark.parametrize(
    "damage",
    [
        {"history": [["2026-05-04T03:02:01Z", "rotated", "SCWA", 4, "1"]]},
        {"history": [{"at": "2026-05-04T03:02:01Z", "event": "rotated", "access_key": "SCWA"}]},
        {"incidents": [["i1"]]},
        {"history": {}},
    ],
)
def test_r11_a_row_of_another_length_or_with_names_is_damaged(damage: dict[str, Any]) -> None:
    with pytest.raises(LedgerUnreadable):
        load_ledger({**dump_ledger(full()), **damage})


def test_r11_a_rotation_of_schema_2_that_replaces_an_invalid_key_keeps_its_mode() -> None:
    data = of_schema_2()
    data["intent"]["mode"] = "dead"
    assert load_ledger(data).intent == replace(full().intent or pytest.fail("no intent"), mode=RotationMode.RECOVERY)


def test_r11_a_problem_of_schema_2_has_its_present_reason() -> None:
    data = of_schema_2()
    data["trouble"]["reason"] = "clocks_differ"
    found = load_ledger(data).problem
    assert found is not None
    assert found.reason == "clock_skew"


def test_r11_an_incident_of_schema_2_that_lacks_a_field_is_damaged() -> None:
    data = of_schema_2()
    del data["incidents"][0]["deaths"]
    with pytest.raises(LedgerUnreadable):
        load_ledger(data)


def test_r11_how_a_compromised_key_of_schema_2_ended_is_kept() -> None:
    data = of_schema_2()
    ended = {"access_key": "SCWA", "at": data["incidents"][0]["opened_at"], "destroyed": [1], "remark": ""}
    data["incidents"][0]["deaths"] = [{**ended, "proof": "refused"}]
    assert load_ledger(data).incidents[0].revocations == (RevocationRecord("SCWA", NOW, "refused", (1,)),)


@pytest.mark.parametrize("name", ["problem", "verification", "emergency_verification"])
def test_r11_a_ledger_of_schema_2_with_a_field_under_both_names_is_damaged(name: str) -> None:
    with pytest.raises(LedgerUnreadable):
        load_ledger({**of_schema_2(), name: dump_ledger(full())[name]})


@pytest.mark.parametrize("schema", [1, 2])
def test_r11_the_document_of_an_account_of_an_older_schema_is_read_as_it_is_and_written_as_schema_3(
    schema: int,
) -> None:
    stored = json.loads((DATA / f"account-schema-{schema}.json").read_text())
    assert load_account(stored, "acme") == account()
    assert dump_account(load_account(stored, "acme"))["schema"] == 3


def test_r11_a_ledger_of_schema_1_is_read_as_it_is_and_written_as_schema_4() -> None:
    assert load_ledger(of_schema_1()) == full()
    assert dump_ledger(load_ledger(of_schema_1()))["schema"] == 4


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("compromised", {}, "compromised"),
        ("incidents", ["i1"], "incidents.0"),
        ("incidents", [{"id": 1}], "incidents.0.access_keys, incidents.0.by, incidents.0.id, "),
        ("surprise", 1, None),
    ],
)
def test_r11_a_damaged_ledger_of_schema_1_is_damaged(name: str, value: Any, where: str | None) -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        load_ledger({**of_schema_1(), name: value}, "billing")
    assert f"the ledger of billing is damaged{f' at {where}' if where else ''}" in str(caught.value)


# --- the document of an account


def account() -> AccountDocument:
    return AccountDocument(
        "acme",
        waivers=(Waiver("SCWA", "break glass", "ops", NOW, NOW + timedelta(days=90)),),
        mass_rotations=(MassRotation("i1", "--all", NOW, compromised=True, reason="breach", by="ops", begun_at=NOW),),
    )


def test_the_document_of_an_account_survives_json_unchanged() -> None:
    assert load_account(json.loads(json.dumps(dump_account(account()))), "acme") == account()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 4}, "the document of account acme was written by a newer rotator (schema 4, this one knows 3)"),
        ({"schema": 0}, "the document of account acme is damaged: it has no schema number"),
        ({"waivers": [{}]}, "the document of account acme is damaged at waivers.0.access_key, waivers.0.at"),
        ({"waivers": [["SCWA", "why", "ops"]]}, "the document of account acme is damaged at waivers.0"),
        ({"surprise": 1}, "the document of account acme is damaged: it says more, or says it otherwise"),
    ],
)
def test_r11_the_document_of_an_account_is_read_as_strictly_as_a_ledger(change: dict[str, Any], said: str) -> None:
    with pytest.raises(LedgerUnreadable) as caught:
        load_account({**dump_account(account()), **change}, "acme")
    assert str(caught.value).startswith(said)


def test_c18_a_date_that_nothing_can_be_computed_with_is_damage_and_is_told_by_its_place() -> None:
    said = r"^the ledger of billing is damaged at retiring\.0\.revoke_after: a time outside of the years 1970 to 9000"
    with pytest.raises(LedgerUnreadable, match=said):
        load_ledger(change("retiring.0.revoke_after", "9999-12-31T23:59:59Z"), "billing")
    data = change("retiring.0.revoke_after", "9999-12-31T23:59:59Z")
    data["grace"] = "-P1D"
    with pytest.raises(LedgerUnreadable) as caught:
        load_ledger(data, "billing")
    assert str(caught.value) == (
        "the ledger of billing is damaged at grace, retiring.0.revoke_after: a time outside of the years 1970 to 9000, or a "
        "duration that is negative or above a hundred years; restore an earlier version of it in Vault"
    )
    for bound in ("1970-01-01T00:00:00Z", "9000-01-01T00:00:00Z"):
        assert load_ledger(change("not_before", bound)).not_before == datetime.fromisoformat(bound)
