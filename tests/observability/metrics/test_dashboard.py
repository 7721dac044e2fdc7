"""The dashboard fits Grafana's own types, and every expression in it is one that Prometheus understands, of metrics that exist.

What is checked: the file survives a round trip through the types that Grafana publishes (grafana-foundation-sdk, generated from the
schema of Grafana itself), so that it has no field and no panel option that Grafana does not know; panels do not overlap; promtool
parses every expression. It is not loaded into a running Grafana: none is to be had from the package indexes.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from rotator.observability.metrics.catalogue import CATALOGUE
from tests.observability.metrics.conftest import ROOT

FILE = ROOT / "config" / "grafana" / "rotator.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OURS = {"job", "instance", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from (("annotation", annotation["expr"]) for annotation in DASHBOARD["annotations"]["list"])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is neither a table nor a list, by its path; empty ones count as such."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def test_grafanas_own_types_know_everything_that_is_in_it() -> None:
    register_default_plugins()
    understood = json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))
    known = dict(leaves(understood))
    for path, value in leaves(DASHBOARD):
        assert known.get(path, "is not known to Grafana") == value, path


@pytest.mark.parametrize(
    "where", [(), ("panels", 1, "options"), ("panels", 1, "fieldConfig", "defaults"), ("templating", "list", 1)]
)
def test_that_check_finds_a_field_that_grafana_does_not_know(where: tuple[str | int, ...]) -> None:
    register_default_plugins()
    changed = copy.deepcopy(DASHBOARD)
    table: Any = changed
    for step in where:
        table = table[step]
    table["grafMode"] = "x"
    understood = json.loads(json.dumps(Dashboard.from_json(changed), cls=JSONEncoder))
    assert set(dict(leaves(changed))) - set(dict(leaves(understood))) == {
        "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in (*where, "grafMode"))
    }


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    return found


def test_prometheus_understands_every_expression(promtool: str, tmp_path: Path) -> None:
    filled = [
        expression.replace("$__rate_interval", "5m").replace("$application", ".*") for _, expression in expressions()
    ]
    assert len(filled) > 25
    assert not [expression for expression in filled if "$" in expression]
    rules = [{"record": f"dashboard:{number}", "expr": expression} for number, expression in enumerate(filled)]
    file = tmp_path / "expressions.yml"
    file.write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}).replace("dashboard:", "dashboard:e")
    )
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("title", "expression"), list(expressions()))
def test_an_expression_asks_for_labels_that_its_metrics_have(title: str, expression: str) -> None:
    names = [name for name in CATALOGUE if re.search(rf"\b{name}(_bucket|_count|_sum)?\b", expression)]
    assert names, "it asks for no metric of ours"
    has = OURS | {label for name in names for label in CATALOGUE[name].labels}
    asked = set(re.findall(r'(\w+)=~?"', expression))
    for grouping in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        asked |= {label.strip() for label in grouping.split(",")}
    assert asked <= has


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_names_labels_that_are_left_in_the_result(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        grouped = re.search(r"by \(([^)]*)\)", target["expr"])
        if grouped:
            assert named <= {label.strip() for label in grouped[1].split(",")}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
        1 + len(panel["targets"])
    )


def test_no_panels_overlap_and_none_leaves_the_page() -> None:
    seen: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x, y in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert (x, y) not in seen, f"{panel['title']} lies on {seen.get((x, y))}"
            seen[x, y] = panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_metric_of_an_application_or_a_service_is_on_it() -> None:
    shown = " ".join(expression for _, expression in expressions())
    about = {name for name, metric in CATALOGUE.items() if {"application", "service", "account"} & set(metric.labels)}
    hidden = {
        "rotator_resync_interval_seconds",
        "rotator_key_published_timestamp_seconds",
        "rotator_last_success_timestamp_seconds",
    }
    assert {name for name in about if name not in shown} == hidden
