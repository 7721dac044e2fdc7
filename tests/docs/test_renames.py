"""The tables of docs/renames.md: what is on the right exists, and what is on the left does not any more."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from rotator.cli.main import ALIASES, COMMANDS
from rotator.config.renamed import RENAMED
from rotator.domain.status import PHASES
from rotator.observability.events import CATALOGUE as EVENTS
from rotator.observability.metrics.catalogue import CATALOGUE as METRICS
from rotator.operations.queries.key_info import STATES
from rotator.operations.registry import OPERATIONS

ROOT = Path(__file__).parents[2]
SECTIONS: dict[str, list[tuple[str, str]]] = {
    part.partition("\n")[0]: re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", part, re.MULTILINE)
    for part in (ROOT / "docs" / "renames.md").read_text().split("\n## ")[1:]
}
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "rotator").rglob("*.py")))


def test_every_module_stands_where_the_table_says_and_not_where_it_was() -> None:
    rows = SECTIONS["Modules"]
    assert len(rows) > 150
    assert [new for _, new in rows if find_spec(f"rotator.{new}") is None] == []
    kept = {new for _, new in rows}
    assert [
        old for old, _ in rows if old not in kept and (ROOT / "rotator" / f"{old.replace('.', '/')}.py").exists()
    ] == []


@pytest.mark.parametrize(("section", "catalogue"), [("Events", EVENTS), ("Metrics", METRICS)])
def test_every_event_and_metric_has_its_present_name_only(section: str, catalogue: dict[str, object]) -> None:
    for old, new in SECTIONS[section]:
        assert new in catalogue
        assert old not in catalogue


def test_every_option_of_the_table_is_translated_and_no_other() -> None:
    assert [(old.replace("NAME", "*"), new.replace("NAME", "*")) for old, new in SECTIONS["Options"]] == list(RENAMED)


def test_commands_paths_phases_and_states_have_their_present_names() -> None:
    assert ALIASES["who"] == "lookup"
    assert "lookup" in COMMANDS
    paths = {operation.path for operation in OPERATIONS.values()}
    for old, new in SECTIONS["Paths of the control API"]:
        assert new in paths
        assert old not in paths
    for old, new in SECTIONS["Phases and states"]:
        assert new in {*PHASES, *STATES}
        assert old not in {*PHASES, *STATES}


def test_every_json_field_of_the_table_is_one_of_the_program() -> None:
    for _, new in SECTIONS["JSON fields of answers, events, ledgers and account documents"]:
        assert re.search(rf"\b{new}\b", SOURCES)
