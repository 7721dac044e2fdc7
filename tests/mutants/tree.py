"""The tree that is mutated: a copy of the project in ``build/mutants``, so that nothing of ours is ever edited.

mutmut leaves decorated functions alone, and half of the questions that the rules ask are properties. In the copy they are written
in the way that means the same and that mutmut does see: a plain method, and below it ``name = property(name)``.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import libcst as cst

ROOT = Path(__file__).parents[2]
TREE = ROOT / "build" / "mutants"
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
CORE: list[str] = SETTINGS["only_mutate"]
"""The modules that are mutated and whose branches must all be covered."""

TESTS: list[str] = SETTINGS["pytest_add_cli_args_test_selection"]
"""The tests that judge the core: fast, and the same at every run."""

ENVIRONMENT = {**os.environ, "ROTATOR_HISTORIES": "20", "CI": "1"}
"""What these tests run with: few random histories, and hypothesis (which looks for ``CI``) without chance."""

WRAPPERS = {"property", "cached_property"}


class _Undecorated(cst.CSTTransformer):
    """Writes ``@property`` as an assignment below the method."""

    def leave_FunctionDef(  # noqa: N802  # libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.BaseStatement]:
        names = [node.decorator.value for node in updated_node.decorators if isinstance(node.decorator, cst.Name)]
        if len(names) != 1 or len(updated_node.decorators) != 1 or names[0] not in WRAPPERS:
            return updated_node
        name = updated_node.name.value
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.parse_statement(f"{name} = {names[0]}({name})")]
        )


def undecorated(source: str) -> str:
    """The source with its properties written as plain methods and assignments."""
    return cst.parse_module(source).visit(_Undecorated()).code


def prepare() -> None:
    """Bring the tree up to date. What did not change keeps its time, by which mutmut knows that it need not look again."""
    wanted = {
        path.relative_to(ROOT): path
        for pattern in ("rotator/**/*.py", "tests/**/*.py", "rotator/py.typed")
        for path in sorted(ROOT.glob(pattern))
    }
    for old in sorted(path for folder in ("rotator", "tests") for path in (TREE / folder).rglob("*.py")):
        if old.relative_to(TREE) not in wanted:
            old.unlink()
            (TREE / "mutants" / old.relative_to(TREE)).unlink(missing_ok=True)
    for name, path in wanted.items():
        text = path.read_text()
        target = TREE / name
        text = undecorated(text) if str(name) in CORE else text
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    shutil.copy2(ROOT / "pyproject.toml", TREE / "pyproject.toml")
