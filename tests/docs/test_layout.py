"""The structure of the package: small modules, one meaning for each class name, a root with the way in only, nothing set afterwards."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "rotator"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350
ROOT_MODULES = {"__init__.py", "__main__.py", "errors.py"}
GIVEN_AT_CONSTRUCTION = {"sink", "notifier", "alarm", "broadcast", "counters", "observe", "runtime"}
"""Attributes that an object has from its constructor or not at all."""


def test_no_module_of_the_product_is_longer_than_350_lines() -> None:
    lengths = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in MODULES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_at_the_root_stand_the_ways_in_and_the_errors_only() -> None:
    assert {file.name for file in PACKAGE.glob("*.py")} <= ROOT_MODULES


def set_from_outside(file: Path) -> Iterator[str]:
    """Where the file sets one of these attributes on an object that is not its own."""
    for node in ast.walk(ast.parse(file.read_text())):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Attribute) and target.attr in GIVEN_AT_CONSTRUCTION:
                owner = target.value
                if not (isinstance(owner, ast.Name) and owner.id == "self"):
                    yield f"{file.relative_to(PACKAGE)}:{target.lineno}"


def test_what_an_object_reports_to_is_given_to_its_constructor() -> None:
    assert [place for file in MODULES for place in set_from_outside(file)] == []
