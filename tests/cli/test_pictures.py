"""What commands leave on a real terminal of 60, 80 and 200 columns, for 3 and for 500 applications: nothing is wider than the
terminal, and what matters is not cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.api.conftest import Front
from tests.cli.fleets import LONG, SMALL, at_work, fleet, served
from tests.support.daemon_stage import eventually
from tests.support.terminal import Picture, picture, without_control

WIDTHS = (60, 80, 200)
MANY = (*SMALL, *(f"shop-{number:03d}" for number in range(497)))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("small")
    with served(fleet(SMALL, folder / "rotator.toml"), folder) as front:
        yield front


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("many")
    with served(fleet(MANY, folder / "rotator.toml"), folder) as front:
        yield front


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("working")
    with served(at_work(folder), folder) as front:
        yield front


def shown(front: Front, words: str, columns: int, **env: str) -> Picture:
    where = {"ROTATOR_CONTROL": str(front.folder), "ROTATOR_CONFIG": str(front.config), "TZ": "Europe/Paris"}
    found = picture(words.split(), columns=columns, env={**where, **env})
    assert max(map(len, re.split(r"[\r\n]", without_control(found.raw)))) <= columns, found.text
    assert "\\x1b" not in found.text, "a colour of ours is shown and not obeyed"
    return found


def words_of(found: Picture) -> str:
    """The text as if no line had been wrapped."""
    return " ".join(found.text.split())


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_small_status_names_each_application_its_state_and_what_comes_next(small: Front, columns: int) -> None:
    found = shown(small, "status", columns)
    text = words_of(found)
    assert "3 applications: 1 held, 1 grace, 1 idle" in text
    assert re.search(r"UTC / (\d+ \w{3} )?\d\d:\d\d CES?T", text), "local time stands beside UTC"
    for part in ("billing", "mailer", LONG[:20], "revoke in 4h59m", "rotate in 23h59m", "10d"):
        assert part in text
    assert "held by" in text
    assert "without" in text, "a hold without an end says so"
    assert ("━" in text) == (columns >= 80), "keys are drawn where there is room"


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_large_status_begins_with_the_worst_and_counts_the_rest(many: Front, columns: int) -> None:
    found = shown(many, "status", columns)
    lines, text = found.lines, words_of(found)
    assert found.exit_code == 5
    assert "500 applications: 20 compromised, 20 overdue, 20 blocked, 40 held, 20 grace, 380 idle" in text
    first = next(number for number, line in enumerate(lines) if "●" in line)
    assert "compromised" in lines[first]
    assert "--match or --phase shows them" in text
    assert len([line for line in lines if "●" in line]) == 40
    assert "20 applications (shop-000, shop-025, shop-050, shop-075, shop-100 and 15 more)" in text, (
        "one line for what many share"
    )
    assert text.count("has no room for another key") == 1


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_agenda_is_read_day_by_day(many: Front, columns: int) -> None:
    found = shown(many, "agenda", columns)
    text = words_of(found)
    assert "20 keys to contain, 40 rotations, 20 revocations, 20 ends of holds; times in CE" in text
    headings = [line for line in found.lines if line and not line.startswith(" ")]
    assert headings[1] == "Overdue"
    assert headings[2].startswith(("Today, ", "Tomorrow, ")), "what comes next is some hours from now"
    assert "contain shop-001 SCWC0000000000000004" in text
    assert text.index("contain shop-001") < text.index("rotate shop-002")


@pytest.mark.parametrize("columns", WIDTHS)
def test_plan_lookup_coverage_and_an_incident_keep_every_name(working: Front, columns: int) -> None:
    key = working.daemon_handle.runtime.stages["acme"].live_keys()[0]
    plan = shown(working, "plan", columns)
    assert all(name in plan.text for name in ("billing", "mailer", LONG))
    assert key in shown(working, f"lookup {key}", columns).text
    coverage = shown(working, "coverage --created-before 0s", columns)
    assert key in coverage.text
    assert "coverage not proven" in words_of(coverage)
    emergency = shown(working, f"rotate {LONG} --compromised --reason leaked", columns)
    assert "marked compromised" in words_of(emergency)
    incident = re.search(r"incident (\w+); next:", emergency.text)
    assert incident is not None, "an emergency ends with its incident and the next steps"
    report = shown(working, f"incident show {incident[1]}", columns)
    assert all(part in report.text for part in ("✕", "━", LONG))
    assert "revoked after" in words_of(report)
    assert incident[1] in shown(working, "incident list", columns).text


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_progress_of_a_mass_rotation_keeps_to_its_line(working: Front, columns: int) -> None:
    stage = working.daemon_handle.runtime.stages["acme"]
    newest = max(true.key.created_at for true in stage.keys.values())
    # A mass rotation is of the keys from before its second.
    eventually(lambda: datetime.now(UTC).replace(microsecond=0) > newest)
    found = shown(working, "rotate --all", columns)
    assert "3 applications rotated" in words_of(found)
    assert "3/3" in found.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_doctor_has_each_check_with_its_remedy_and_warnings_in_a_colour(working: Front, columns: int) -> None:
    found = shown(working, "doctor", columns)
    assert re.search(r"^ok +vault state +unsealed", found.text, re.MULTILINE)
    assert "set [notifications] targets" in words_of(found)
    assert re.search(r"\x1b\[33mwarning +notifications", found.raw)


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize(
    "words", ["--help", "status --help", "rotate --help", "agenda --help", "incident --help", "policy --help"]
)
def test_help_fits(small: Front, words: str, columns: int) -> None:
    found = shown(small, words, columns)
    assert found.exit_code == 0
    assert "Usage: rotator" in found.text


@pytest.mark.parametrize("columns", WIDTHS)
def test_an_error_fits(small: Front, columns: int) -> None:
    found = shown(small, f"hold {LONG} --reason x --until yesterday", columns)
    assert found.exit_code == 2
    assert "is no time: write 2026-05-04T12:00:00Z" in words_of(found)


def test_without_colours_the_words_are_the_same(small: Front) -> None:
    plain = shown(small, "status", 80, NO_COLOR="1")
    coloured = shown(small, "status", 80)
    assert "\x1b[3" in coloured.raw
    assert "\x1b[3" not in plain.raw
    assert without_control(plain.raw).split("\n")[2:5] == without_control(coloured.raw).split("\n")[2:5]


def test_a_forgotten_hold_is_red_and_one_with_an_end_is_not(many: Front) -> None:
    found = shown(many, "status --phase held", 200).raw.split("\r\n")
    forgotten = next(line for line in found if "without an end" in line)
    ending = next(line for line in found if "ends in" in line)
    assert "\x1b[1;31mheld by" in forgotten
    assert "\x1b[1;31mheld by" not in ending
