"""The alert rules, by Prometheus' own unit tests: each fires after its patience, not before, and clears."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.metrics.conftest import ROOT

RULES = ROOT / "config" / "prometheus" / "rotator.rules.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
}
BEGIN = 10
"""Minutes of peace before and after."""

ABOUT = 'account="acme", application="billing"'


@dataclass
class Case:
    """Series as they are in peace and in trouble (None: missing), what stays as it is, and what the alert is to say."""

    series: str
    well: float | None
    bad: float | None
    labels: Mapping[str, str] = field(default_factory=dict)
    value: str = ""
    beside: Mapping[str, float] = field(default_factory=dict)
    ages: bool = False
    """Whether the series tells times, and ``well`` and ``bad`` how many seconds ago these are."""


BILLING = {"account": "acme", "application": "billing"}
HERE = {"job": "rotator", "instance": "host"}

CASES: dict[str, Case] = {
    "RotatorSilent": Case("rotator_build_info", 1, None),
    "RotatorStalled": Case("rotator_healthy", 1, 0),
    "RotatorPastDue": Case(f"rotator_overdue_seconds{{{ABOUT}}}", 7200, 10800, BILLING, "3h 0m 0s"),
    "RotatorCompromisedKeyAlive": Case(
        f'rotator_keys{{{ABOUT}, state="compromised"}}', 0, 1, {**BILLING, "state": "compromised"},
        beside={f'rotator_keys{{{ABOUT}, state="current"}}': 1},
    ),
    "RotatorStuck": Case(
        f'rotator_application_problem{{{ABOUT}, reason="quota"}}', None, 1, {**BILLING, "reason": "quota"}
    ),
    "RotatorFailing": Case(f"rotator_consecutive_failures{{{ABOUT}}}", 0, 3, BILLING, "3"),
    "RotatorOverlooked": Case(
        f"rotator_last_reconcile_timestamp_seconds{{{ABOUT}}}", 3600, 4000, BILLING, "1h 6m 40s", {f"rotator_resync_interval_seconds{{{ABOUT}}}": 900}, ages=True
    ),
    "RotatorServiceDown": Case('rotator_service_up{service="vault"}', 1, 0, {"service": "vault"}),
    "RotatorQuotaLow": Case('rotator_quota_headroom_keys{account="acme"}', 5, 4, {"account": "acme"}, "4"),
    "RotatorVaultTokenDying": Case(
        "rotator_vault_token_ttl_seconds", 1800, 600, {}, "10m 0s", {"rotator_vault_token_lease_seconds": 3600}
    ),
    "RotatorVaultLoginFailing": Case("rotator_vault_login_failing", 0, 1),
    "RotatorClocksDiffer": Case(
        'rotator_clock_skew_seconds{service="vault", job="rotator", instance="host"}', -30, -45,
        {**HERE, "service": "vault"}, "45s", {'rotator_max_clock_skew_seconds{job="rotator", instance="host"}': 30},
    ),
    "RotatorReloadRefused": Case("rotator_config_reload_refused", 0, 1),
    "RotatorHoldForgotten": Case(
        f"rotator_open_hold_timestamp_seconds{{{ABOUT}}}", 6 * 86400, 8 * 86400, BILLING, "8d 0h 0m 0s", ages=True
    ),
}  # fmt: skip


def minutes(text: str) -> int:
    assert text.endswith("m"), "the tests count in minutes"
    return int(text.removesuffix("m"))


def written(text: str, case: Case) -> str:
    """A template as Prometheus fills it in."""
    text = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: case.labels[found[1]], text)
    return re.sub(r"{{ \$value( \| humanizeDuration)? }}", case.value, text)


def stretch(value: float | None, count: int) -> str:
    """So many samples, a minute apart; a series that is not scraped any more says so with the first one that is missing."""
    return f"stale _x{count - 1}" if value is None else f"{value:g}x{count - 1}"


def since(age: float, at: int, count: int) -> str:
    """So many samples, a minute apart, of a time that stays ``age`` seconds ago, from minute ``at`` on."""
    return f"{60 * at - age:g}+60x{count - 1}"


def unit_test(name: str, case: Case) -> dict[str, Any]:
    rule = ALERTS[name]
    patience = minutes(rule["for"])
    problem = patience + 5
    spans = ((case.well, 0, BEGIN), (case.bad, BEGIN, problem), (case.well, BEGIN + problem, BEGIN))
    values = " ".join(
        since(value or 0, at, count) if case.ages else stretch(value, count) for value, at, count in spans
    )
    peace = {"rotator_build_info": 1.0, 'up{job="rotator"}': 1.0, **case.beside}
    peace.pop(case.series, None)
    fires = {
        "exp_labels": {"severity": rule["labels"]["severity"], **case.labels},
        "exp_annotations": {key: written(text, case) for key, text in rule["annotations"].items()},
    }
    return {
        "interval": "1m",
        "input_series": [
            {"series": case.series, "values": values},
            *({"series": series, "values": stretch(value, 2 * BEGIN + problem)} for series, value in peace.items()),
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts}
            for minute, alerts in (
                (BEGIN - 1, []),
                (BEGIN + patience - 1, []),
                (BEGIN + patience, [fires]),
                (BEGIN + problem - 1, [fires]),
                (BEGIN + problem, []),
            )
        ],
    }


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    return found


def check(promtool: str, directory: Path, *tests: dict[str, Any]) -> str:
    file = directory / "rules.test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(tests)}))
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(ALERTS)


def test_promtool_has_nothing_to_say_against_the_rules(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_it_fires_after_its_patience_and_not_before_says_what_to_do_and_clears(
    promtool: str, tmp_path: Path, name: str
) -> None:
    assert check(promtool, tmp_path, unit_test(name, CASES[name])) == ""


def test_the_unit_tests_can_fail(promtool: str, tmp_path: Path) -> None:
    test = unit_test("RotatorPastDue", CASES["RotatorPastDue"])
    test["alert_rule_test"][2]["exp_alerts"] = []
    assert "RotatorPastDue" in check(promtool, tmp_path, test)


def test_one_of_several_daemons_that_is_down_is_named_and_nothing_is_said_twice(promtool: str, tmp_path: Path) -> None:
    rule = ALERTS["RotatorSilent"]
    down = {
        "exp_labels": {"severity": "critical", "job": "rotator", "instance": "b"},
        "exp_annotations": rule["annotations"],
    }
    for build_info in ("1x30", "_x30"):
        test = {
            "interval": "1m",
            "input_series": [
                {"series": 'up{job="rotator", instance="a"}', "values": "1x30"},
                {"series": 'up{job="rotator", instance="b"}', "values": "0x30"},
                {"series": 'rotator_build_info{job="rotator", instance="a"}', "values": build_info},
            ],
            "alert_rule_test": [{"eval_time": "10m", "alertname": "RotatorSilent", "exp_alerts": [down]}],
        }
        assert check(promtool, tmp_path, test) == ""


def test_an_application_that_a_daemon_leaves_to_another_is_overlooked_only_where_its_own_daemon_overlooks_it(
    promtool: str, tmp_path: Path
) -> None:
    def series(name: str, instance: str) -> str:
        return f'{name}{{{ABOUT}, job="rotator", instance="{instance}"}}'

    rule = ALERTS["RotatorOverlooked"]
    labels = {**BILLING, "job": "rotator", "instance": "a"}
    fires = {
        "exp_labels": {"severity": rule["labels"]["severity"], **labels},
        "exp_annotations": {
            key: written(text, Case("", 0, 0, labels, "1h 10m 0s")) for key, text in rule["annotations"].items()
        },
    }
    test = {
        "interval": "1m",
        "input_series": [
            # a looks once in 15 minutes until it hangs; b, which leaves the looks to it, saw the application five hours ago
            {"series": series("rotator_last_reconcile_timestamp_seconds", "a"), "values": "0x120"},
            {"series": series("rotator_resync_interval_seconds", "a"), "values": "900x120"},
            {"series": series("rotator_last_reconcile_timestamp_seconds", "b"), "values": "-18000x120"},
            {"series": series("rotator_resync_interval_seconds", "b"), "values": "86400x120"},
        ],
        "alert_rule_test": [
            {"eval_time": "60m", "alertname": "RotatorOverlooked", "exp_alerts": []},
            {"eval_time": "70m", "alertname": "RotatorOverlooked", "exp_alerts": [fires]},
        ],
    }
    assert check(promtool, tmp_path, test) == ""


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_how_grave_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert minutes(rule["for"]) > 0
    assert set(rule["annotations"]) == {"summary", "description"}
    assert len(rule["annotations"]["summary"]) <= 90
    assert rule["annotations"]["description"].endswith(".")


def test_every_alert_is_in_the_document() -> None:
    document = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(Rotator\w+)` \| (\w+) \| (\w+) \|", document, re.MULTILINE)
    assert {name: (severity, patience) for name, severity, patience in rows} == {
        name: (rule["labels"]["severity"], rule["for"]) for name, rule in ALERTS.items()
    }
