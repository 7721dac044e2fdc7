"""Unknown is never zero: what could not be read is named as such in every answer, and no count stands in its place."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.cli.output.nagios import line
from rotator.decision.status import unreadable_status
from rotator.domain.account import MassRotation
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.keys import Key
from rotator.errors import PermissionDenied, TooManyKeys
from rotator.operations.coverage import CoverageReport, StaleKey
from rotator.operations.incidents.html import render_html
from rotator.operations.incidents.report import IncidentReport
from tests.cli.conftest import Desk, SimApp
from tests.cli.test_incident import leak
from tests.support.simulated import BEARER, EPOCH, SimProvider, Version, spec

OLD = "SCW00000000000000001"
DAMAGED = [Version({"schema": 99}, EPOCH)]


def with_mailer(desk: Desk) -> None:
    """A second application, whose ledger is of a newer program and cannot be read."""
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="mailer-bearer")
    desk.sim.bearers.add("mailer-bearer")
    desk.sim.kv["ledger:mailer"] = DAMAGED


def trail_of(desk: Desk, monkeypatch: pytest.MonkeyPatch, trail: AuditTrail) -> None:
    monkeypatch.setattr(SimProvider, "trail", lambda *_: trail)


CALL = AuditEvent(EPOCH + timedelta(days=3), "203.0.113.9", "evil/1", "instance", "DeleteServer", 200)
TRAILS: dict[str, tuple[AuditTrail, str, Any]] = {
    "no region answers": (
        AuditTrail(unavailable=("fr-par: not allowed", "nl-ams: no answer")),
        "calls unknown: the audit trail could not be read (fr-par: not allowed; nl-ams: no answer)",
        None,
    ),
    "one region answers and knows no call": (
        AuditTrail(asked=("fr-par",), unavailable=("nl-ams: no answer",)),
        "at least 0 calls on the audit trail of fr-par; the rest could not be read (nl-ams: no answer)",
        0,
    ),
    "one region answers": (
        AuditTrail((CALL,), asked=("fr-par",), unavailable=("nl-ams: no answer",)),
        "at least 1 call on the audit trail of fr-par; the rest could not be read (nl-ams: no answer)",
        1,
    ),
    "more calls than were read": (
        AuditTrail((CALL,), asked=("fr-par",), truncated=True),
        "at least 1 call on the audit trail of fr-par; it has more calls than were read",
        1,
    ),
    "every region answers": (AuditTrail(asked=("fr-par", "nl-ams")), "0 calls on the audit trail of fr-par, nl-ams", 0),
}


@pytest.mark.parametrize("name", TRAILS)
def test_c13_a_trail_that_was_not_read_has_no_number_of_calls(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    trail, said, calls = TRAILS[name]
    incident, page = leak(desk), tmp_path / "incident.html"
    trail_of(desk, monkeypatch, trail)
    result = desk.type("incident", incident, "--html", str(page))
    assert f"billing: {said}\n" in result.stdout
    assert f">{said}<" in page.read_text()
    told = desk.json("incident", incident)["trail"]["billing"]
    assert (told["calls"], told["complete"]) == (calls, name == "every region answers")
    assert told["sources"] is None if calls is None else len(told["sources"]) == calls


def test_c13_without_a_ledger_that_cannot_be_read_no_incident_is_called_the_only_one(desk: Desk) -> None:
    with_mailer(desk)
    listed = desk.type("incident", "list")
    assert listed.stdout == "no ledger that could be read remembers an incident\n"
    assert "the ledger of mailer could not be read, so its incidents are not in the list: " in listed.stderr
    assert [one["application"] for one in desk.json("incident", "list")["not_read"]] == ["mailer"]
    assert "the ledger of mailer could not be read" in desk.type("incident", "0123456789abcdef").stderr


def test_c13_an_incident_is_not_called_contained_while_a_ledger_that_may_belong_to_it_is_unread(desk: Desk) -> None:
    incident = leak(desk)
    assert desk.json("incident", incident)["closed_at"]
    with_mailer(desk)
    told = desk.json("incident", incident)
    assert told["closed_at"] is None
    assert any("The ledger of mailer could not be read" in limit for limit in told["limits"])
    said = desk.type("incident", incident).stdout
    assert f"incident {incident}: NOT KNOWN TO BE CONTAINED, 1 ledger could not be read" in said


def stale(kind: str = "unmanaged") -> StaleKey:
    return StaleKey(Key("SCWOLD", BEARER, "", EPOCH), kind)


PROOFS = {
    "a list that lacks keys": (CoverageReport("acme", EPOCH, EPOCH, 1, missing=("SCWGONE",)), "the list lacks SCWGONE"),
    "a list that lacks keys and has an old one": (
        CoverageReport("acme", EPOCH, EPOCH, 1, rows=(stale(),), missing=("SCWGONE",)),
        "the list lacks SCWGONE",
    ),
    "too many keys for a list": (
        CoverageReport("acme", EPOCH, EPOCH, 1, unlisted="the list has 12000 keys"),
        "not every key was listed: the list has 12000 keys",
    ),
}


@pytest.mark.parametrize("name", PROOFS)
def test_c13_a_coverage_from_half_a_list_gives_no_number_of_keys_as_the_whole(name: str) -> None:
    proof, said = PROOFS[name]
    mass = MassRotation("i1", "--all", EPOCH, compromised=True, reason="breach", by="bob", begun_at=EPOCH)
    page = render_html(IncidentReport("i1", EPOCH, EPOCH, (), coverage=(proof,), masses=(mass,)))
    assert said in page
    assert f"<b>{'at least 1 valid' if proof.rows else 'not complete'}</b>coverage" in page


def test_c13_coverage_of_too_many_keys_says_at_least(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise TooManyKeys("12000 keys", service="acme", kind="too_many_keys")

    monkeypatch.setattr(SimProvider, "list_all_keys", refuse)
    desk.sim.time.advance(timedelta(days=3))
    said = desk.type("coverage", "--created-before", "2020-01-01T00:00:00Z").stdout
    assert said.startswith("coverage not proven: not every key was listed; of those that were, 0 keys from before")
    before = desk.type("rotate", "--all", "--dry-run").stdout
    assert "afterwards in grace or untouched: at least 1 key from before that time" in before


def test_c13_keys_of_an_application_whose_ledger_was_not_read_are_not_called_unmanaged(desk: Desk) -> None:
    with_mailer(desk)
    key, _ = desk.sim.make_key(bearer="mailer-bearer")
    desk.sim.time.advance(timedelta(days=1))
    rows = {row["access_key"]: row["kind"] for row in desk.json("coverage", "--created-before", "1h")["keys"]}
    assert rows[key.access_key] == "unknown"
    said = desk.type("coverage", "--created-before", "1h").stdout
    assert f"{key.access_key}  made 2026-01-01 00:00:00 UTC  mailer   not known: the ledger of its application" in said


def test_c13_what_an_unreadable_ledger_holds_is_null_and_not_empty(desk: Desk) -> None:
    with_mailer(desk)
    told = next(one for one in desk.json("status")["applications"] if one["name"] == "mailer")
    unknown = ("current", "retiring", "revoking", "compromised", "hold", "overdue_seconds")
    assert {name: told[name] for name in unknown} == dict.fromkeys(unknown)
    said = next(line for line in desk.type("status").stdout.splitlines() if line.startswith("mailer"))
    assert "keys unknown" in said
    assert "no key known yet" not in said


def test_c13_an_application_without_a_ledger_has_none_and_that_is_known(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="mailer-bearer")
    told = next(one for one in desk.json("status")["applications"] if one["name"] == "mailer")
    assert (told["retiring"], told["overdue_seconds"]) == ([], 0)


def test_c13_a_monitoring_plugin_is_given_an_undetermined_value() -> None:
    view = unreadable_status(spec(), "ledger_unreadable", "damaged", EPOCH)
    data = line([view], [], EPOCH)[1].partition(" | ")[2]
    assert data == "applications=1;;;0 with_problem=1;0;;0 overdue=U;;0;0 grace=U;;;0"


def test_c13_versions_that_vault_did_not_list_are_named_in_json_too(desk: Desk) -> None:
    def hook(effect: str, phase: str) -> None:
        if effect == "list_versions":
            raise PermissionDenied("the policy does not allow it", service="vault", kind="permission_denied")

    assert desk.json("history", "billing")["versions_not_read"] is None
    desk.sim.hook = hook
    assert "the policy does not allow it" in desk.json("history", "billing")["versions_not_read"]


def test_c13_applications_that_could_not_be_listed_are_named_in_json_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:

    assert desk.json("status")["not_shown"] == []

    def refuse(*_: object) -> None:
        raise PermissionDenied("the policy does not allow it", service="vault", kind="permission_denied")

    monkeypatch.setattr(SimApp, "removed_applications", refuse)
    (said,) = json.loads(desk.type("status", "--json").stdout)["not_shown"]
    assert "applications that left the configuration are not shown" in said


def test_c13_a_key_is_not_called_unknown_to_every_ledger_when_one_was_not_read(desk: Desk) -> None:
    with_mailer(desk)
    (told,) = desk.json("lookup", "SCW00000000000000999")["keys"]
    assert told["state"] == "unknown"
    assert told["ledgers_not_read"] == ["mailer"]
    said = desk.type("lookup", "SCW00000000000000999").stdout
    assert "unknown: no account has it, and no ledger that could be read names it (not read: mailer)" in said
    assert "not read: mailer" not in desk.type("lookup", OLD).stdout
