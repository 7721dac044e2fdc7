"""Every rule of the protocol and every hazard that this version answers is held by a test of that name."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

RULES = [f"r{n}" for n in range(1, 15)]

HAZARDS = [f"a{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17)]
"""Rows of HAZARDS.md, part A. Not answered yet: A1 (evidence that consumers took a key), A13 (rotation of
the daemon's own key)."""


FOUND = [f"c{n}" for n in range(1, 21)]
"""Rows of HAZARDS.md, part C: found on this program itself."""


@cache
def _names() -> list[str]:
    nodes = [node for file in TESTS.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


@pytest.mark.parametrize("promise", [*RULES, *HAZARDS, *FOUND])
def test_every_rule_and_hazard_is_named_by_a_test(promise: str) -> None:
    assert any(promise in _promises(name) for name in _names()), f"no test is named after {promise}"


def _promises(name: str) -> set[str]:
    words = name.split("_")
    single = {word for word in words if re.fullmatch(r"[raic]\d+", word)}
    ranges = re.findall(r"r(\d+)_to_r(\d+)", name)
    return single | {f"r{n}" for first, last in ranges for n in range(int(first), int(last) + 1)}
