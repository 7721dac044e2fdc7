"""``rotator incident`` on the simulated world."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

from rotator.domain.audit import AuditEvent
from rotator.errors import Unavailable
from tests.cli.conftest import Desk
from tests.support.simulated import BEARER

OLD = "SCW00000000000000001"


def leak(desk: Desk) -> str:
    """Billing's key leaked and was contained; the incident's id."""
    desk.sim.time.advance(timedelta(days=3))
    assert desk.type("rotate", "billing", "--compromised", "--reason", "found in a public repository").exit_code == 0
    return desk.sim.ledger().incidents[-1].id


def test_it_tells_of_the_time_line_the_coverage_and_the_calls_by_address_and_client(desk: Desk) -> None:
    name = leak(desk)
    at = desk.sim.time.now - timedelta(hours=2)
    desk.sim.audit_events += [
        (BEARER, AuditEvent(at, "203.0.113.9", "evil/1", "instance", "DeleteServer", 403)),
        ("another", AuditEvent(at, "x", "y", "z", "Q", 200)),
    ]
    result = desk.type("incident", name)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"incident {name}: contained after ")
    for said in (
        "found in a public repository",
        f"marked  billing  {OLD}",
        f"revoked  billing  {OLD}",
        "coverage proven",
        "━",
    ):
        assert said in result.stdout
    assert "203.0.113.9  evil/1: 1 call, 1 refused" in result.stdout
    assert "names no access key" in result.stdout
    assert "  x  y" not in result.stdout


def test_since_says_from_when_calls_are_told(desk: Desk) -> None:
    name = leak(desk)
    desk.sim.audit_events.append(
        (BEARER, AuditEvent(desk.sim.time.now - timedelta(days=2), "203.0.113.9", "evil/1", "instance", "Q", 200))
    )
    assert desk.json("incident", name)["trail"]["billing"]["sources"] == []
    told = desk.json("incident", name, "--since", "3d")
    assert [source["address"] for source in told["trail"]["billing"]["sources"]] == ["203.0.113.9"]
    assert desk.json("incident", name, "--no-trail")["trail"] == {}


def test_the_file_is_for_its_owner_alone(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "incident.html"
    file.touch(mode=0o644)  # it is there already, for everybody
    result = desk.type("incident", leak(desk), "--html", str(file))
    assert result.exit_code == 0
    assert f"written to {file}" in result.stdout
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = desk.type("incident", desk.sim.ledger().incidents[-1].id, "--html", str(tmp_path / "nowhere" / "x.html"))
    assert (refused.exit_code, "cannot be written" in refused.stderr) == (4, True)


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(desk: Desk, tmp_path: Path) -> None:
    other, file = tmp_path / "other", tmp_path / "incident.html"
    other.write_text("of another")
    file.symlink_to(other)
    assert desk.type("incident", leak(desk), "--html", str(file)).exit_code == 0
    assert other.read_text() == "of another"
    assert not file.is_symlink()
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert sorted(tmp_path.iterdir()) == [file, other]


def test_what_is_not_a_plain_file_is_not_replaced(desk: Desk, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = desk.type("incident", leak(desk), "--html", str(tmp_path / "pipe"))
    assert (refused.exit_code, "is not a plain file" in refused.stderr) == (4, True)


def test_i6_no_secret_is_in_a_report(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "incident.html"
    result = desk.type("incident", leak(desk), "--html", str(file), "--json")
    for true in desk.sim.keys.values():
        assert true.secret not in file.read_text() + result.stdout


def test_all_incidents_are_listed_also_while_the_provider_is_away(desk: Desk) -> None:
    assert desk.type("incident", "list").stdout == "no incident is remembered\n"
    name = leak(desk)

    def hook(effect: str, phase: str) -> None:
        if effect == "list_all_keys":
            raise Unavailable("away", service="acme", kind="unreachable")

    desk.sim.hook = hook
    result = desk.type("incident", "list")
    assert result.stdout.startswith(f"{name}  2026-01-0")
    assert "contained after" in result.stdout
    assert "billing: found in a public repository" in result.stdout
    assert [one["id"] for one in desk.json("incident", "list")["incidents"]] == [name]
    assert desk.type("incident", name).exit_code == 3


def test_an_incident_that_nobody_remembers_is_refused(desk: Desk) -> None:
    result = desk.type("incident", "0123456789abcdef")
    assert result.exit_code == 4
    assert "no ledger remembers an incident 0123456789abcdef: see rotator incident list" in result.stderr


def test_one_that_is_under_way_says_so(desk: Desk) -> None:
    desk.sim.time.advance(timedelta(days=3))
    desk.sim.lingering = timedelta(days=9)
    desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    name = desk.sim.ledger().incidents[-1].id
    result = desk.type("incident", name)
    assert f"incident {name}: NOT CONTAINED" in result.stdout
    assert "▶  valid" in result.stdout
