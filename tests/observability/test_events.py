"""The catalogue of events holds for the code, and docs/events.md for the catalogue."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.observability.events import CATALOGUE, COMMON
from rotator.observability.events_page import events_markdown

ROOT = Path(__file__).parents[2]
PASSED_ON = None
"""Fields that are not written where the event is named: somebody hands on what another place wrote."""


def emissions() -> Iterator[tuple[str, str, frozenset[str] | None]]:
    """Every place in the source that names an event: where, which, and the fields that it gives."""
    for file in sorted((ROOT / "rotator").rglob("*.py")):
        if "sandbox" in file.parts or file.name == "events.py":
            continue  # the sandbox logs for itself
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            where = f"{file.relative_to(ROOT)}:{node.lineno}"
            if (isinstance(node.func, ast.Attribute) and node.func.attr == "emit") or _called(node, "emit"):
                yield from ((where, name, _keywords(node)) for name in _names(node.args[0]))
            elif _called(node, "Event") and len(node.args) == 2:
                yield from ((where, name, _keys(node.args[1])) for name in _names(node.args[0]))


def _called(node: ast.Call, name: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == name


def _names(node: ast.expr) -> list[str]:
    """The names that an expression can have: a literal, or those in a table that is looked into."""
    found = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [name for name in found if "." in name]


def _keywords(node: ast.Call) -> frozenset[str] | None:
    names = [keyword.arg for keyword in node.keywords]
    return None if None in names else frozenset(name for name in names if name)


def _keys(node: ast.expr) -> frozenset[str] | None:
    if not isinstance(node, ast.Dict):
        return PASSED_ON
    return frozenset(str(ast.literal_eval(key)) for key in node.keys if key is not None)


FOUND = list(emissions())


@pytest.mark.parametrize(("where", "name", "fields"), FOUND, ids=[f"{name}@{where}" for where, name, _ in FOUND])
def test_an_event_in_the_source_is_in_the_catalogue_with_exactly_its_fields(
    where: str, name: str, fields: frozenset[str] | None
) -> None:
    assert name in CATALOGUE, f"{where} emits {name}, which rotator/observability/events.py does not have"
    if fields is not PASSED_ON:
        assert fields - set(COMMON) == set(CATALOGUE[name].fields), where


def test_the_scan_finds_what_a_reader_finds() -> None:
    assert len(FOUND) > 30
    assert {"rotation.claimed", "key.revoked", "daemon.ready", "rotation.committed"} <= {name for _, name, _ in FOUND}


# Not emitted but made in the very place where it is written; a test of the logs sees it.
CHOSEN = {"logs.dropped"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_event_of_the_catalogue_is_emitted_somewhere(name: str) -> None:
    assert name in {found for _, found, _ in FOUND} | CHOSEN, f"nobody emits {name}"


def test_docs_events_md_is_up_to_date() -> None:
    assert (ROOT / "docs" / "events.md").read_text() == events_markdown(), (
        "run: python -m rotator.observability.events_page > docs/events.md"
    )


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_every_kind_of_event_has_a_level_of_the_logs_and_a_sentence(kind: object) -> None:
    assert kind.level in ("debug", "info", "warning", "error", "critical")  # type: ignore[attr-defined]  # a parametrised Kind
    assert kind.meaning.endswith(".")  # type: ignore[attr-defined]  # same
