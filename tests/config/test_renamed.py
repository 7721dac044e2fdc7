"""Options by their former names are understood for one version, each with a warning that names the new one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Configuration, load
from rotator.config.renamed import RENAMED
from tests.config.test_loader import credentials, keep, problems, write  # noqa: F401 - credentials is a fixture

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"

FORMER: dict[str, Any] = {
    "vault": {
        "address": "https://vault.acme.test:8200",
        "auth": {"method": "token", "token": "credential:secret"},
        "ledger": "secret/rotator",
    },
    "defaults": {
        "every": "30d",
        "grace": "24h",
        "prove": {"successes": 4, "interval": "10s", "timeout": "5m"},
        "prove_emergency": {"successes": 1, "interval": "1s", "timeout": "1m"},
        "observe_every": "20m",
        "takeover_after": "11m",
        "refresh": "6m",
    },
    "daemon": {"catch_up": "2h", "clock_tolerance": "40s", "stop_timeout": "20s"},
    "alarm": {
        "name": "production",
        "ping": "credential:ping",
        "ping_every": "2m",
        "notify": ["credential:secret"],
        "notify_every": "6m",
        "deadline_notice": "4d",
        "allow_http": True,
    },
}


def former(tmp_path: Path, credentials: Path, **more: Any) -> Configuration:  # noqa: F811 - the fixture's value
    keep(credentials / "ping", "http://ping.acme.test/x")
    return load(write(tmp_path / "rotator.toml", {**FORMER, **more}))


def test_a_configuration_by_former_names_means_what_it_meant(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    found = former(tmp_path, credentials)
    spec = found.specs["billing"]
    assert found.vault.ledger_path == "secret/rotator"
    assert (spec.verification.successes, spec.emergency_verification.successes) == (4, 1)
    assert (spec.resync_interval, spec.stale_claim_timeout) == (timedelta(minutes=20), timedelta(minutes=11))
    assert (found.daemon.startup_spread, found.daemon.max_clock_skew) == (timedelta(hours=2), timedelta(seconds=40))
    assert found.daemon.shutdown_timeout == timedelta(seconds=20)
    assert str(found.heartbeat.url) == "credential:ping"
    assert found.heartbeat.interval == timedelta(minutes=2)
    assert (found.notifications.name, found.notifications.min_interval) == ("production", timedelta(minutes=6))
    assert found.notifications.deadline_warning == timedelta(days=4)


def test_each_former_name_is_a_warning_with_the_new_one(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    warnings = {warning.path: warning.message for warning in former(tmp_path, credentials).warnings}
    written = {f"{table}.{name}" for table, options in FORMER.items() for name in options}
    assert set(warnings) == {old for old, _ in RENAMED} & written
    assert warnings["alarm.ping"] == "is now called heartbeat.url; rename it before the next version"


def test_a_former_name_of_one_application_is_named_with_it(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    options = {"application_id": "2f0e2d3c-2222-4222-8222-222222222222", "path": "secret/apps/b", "observe_every": "5m"}
    found = former(tmp_path, credentials, applications={"billing": options})
    assert found.specs["billing"].resync_interval == timedelta(minutes=5)
    assert "applications.billing.observe_every" in {warning.path for warning in found.warnings}


def test_present_names_are_no_warning(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    assert load(write(tmp_path / "rotator.toml", {})).warnings == ()


def test_an_option_under_both_names_is_a_problem(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    told = problems(write(tmp_path / "rotator.toml", {"daemon": {"catch_up": "1h", "startup_spread": "1h"}}))
    assert told["daemon.catch_up"] == "is the former name of daemon.startup_spread, which is set too; remove it"


@pytest.mark.parametrize("value", [1, "text", [], [{}]])
def test_a_table_that_is_no_table_is_told_as_such(tmp_path: Path, credentials: Path, value: object) -> None:  # noqa: F811 - a fixture
    for table in ("daemon", "alarm", "applications"):
        assert problems(write(tmp_path / "rotator.toml", {table: value}))


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_the_changelog_says_what_became_of_each(old: str, new: str) -> None:
    assert f"| `{old.rsplit('.', maxsplit=1)[-1]}` | `{new.rsplit('.', maxsplit=1)[-1]}` |" in CHANGELOG.read_text()
