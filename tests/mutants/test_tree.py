from __future__ import annotations

import ast
from fnmatch import fnmatch

import pytest

from rotator.decision.state import ApplicationState
from tests.mutants.__main__ import Mutant, explanations
from tests.mutants.tree import AREAS, CORE, ROOT, UNTOUCHED, Area, undecorated
from tests.support.observations import observe
from tests.support.simulated import spec


def test_properties_are_written_so_that_they_can_be_mutated_and_mean_the_same() -> None:
    source = (ROOT / "rotator/decision/state.py").read_text()
    plain = undecorated(source)
    assert "@property" in source
    assert "@property" not in plain
    assert "@cached_property" not in plain
    module: dict[str, object] = {"__name__": "rotator.decision.state"}
    exec(compile(plain, "state.py", "exec"), module)  # the project's own source
    written: type[ApplicationState] = module["ApplicationState"]  # type: ignore[assignment]  # the class of that name
    names = [
        name
        for name, value in vars(ApplicationState).items()
        if hasattr(value, "__get__") and not callable(value) and not name.startswith("_")
    ]
    assert len(names) > 20
    for name in names:
        assert getattr(written(spec(), observe()), name) == getattr(ApplicationState(spec(), observe()), name)


def test_other_decorators_are_left_as_they_are() -> None:
    source = "class A:\n    @staticmethod\n    def f() -> int:\n        return 1\n\n    @a\n    @property\n    def g(self) -> int:\n        return 1\n"
    assert undecorated(source) == source


def test_a_survivor_is_known_by_its_function() -> None:
    named = [
        Mutant(f"rotator.decision.state.{name}__mutmut_7", "rotator/decision/state.py", "survived").function
        for name in ("xǁApplicationStateǁledger_in_sync", "x__private")
    ]
    assert named == ["rotator.decision.state.ApplicationState.ledger_in_sync", "rotator.decision.state._private"]


@pytest.mark.parametrize("area", AREAS.values(), ids=AREAS)
def test_the_modules_and_the_tests_of_every_area_are_there(area: Area) -> None:
    assert area.modules
    assert [pattern for pattern in area.patterns if not any(fnmatch(name, pattern) for name in area.modules)] == []
    assert [name for name in area.tests if not (ROOT / name).exists()] == []
    deselected = [option for option in area.options if "::" in option]
    unknown = [
        name
        for name in deselected
        if f"def {name.partition('::')[2]}(" not in (ROOT / name.partition("::")[0]).read_text()
    ]
    assert unknown == []


def test_no_module_is_in_two_areas() -> None:
    modules = [module for area in AREAS.values() for module in area.modules]
    assert len(modules) == len(set(modules))


def _lines(function: str) -> set[str]:
    """The lines of a function, each without its indentation; empty when there is no such function."""
    module, parts = next(
        (name, function.removeprefix(name[:-3].replace("/", ".") + ".").split("."))
        for name in sorted(CORE.modules, key=len, reverse=True)
        if function.startswith(name[:-3].replace("/", ".") + ".")
    )
    source = (ROOT / module).read_text()
    node: ast.AST | None = ast.parse(source)
    for part in parts:
        node = next(
            (
                child
                for child in ast.iter_child_nodes(node or ast.Pass())
                if isinstance(child, ast.ClassDef | ast.FunctionDef) and child.name == part
            ),
            None,
        )
    return {line.strip() for line in (ast.get_source_segment(source, node) or "").split("\n")} - {""} if node else set()


@pytest.mark.parametrize("function", explanations())
def test_every_explained_survivor_quotes_lines_that_its_function_has(function: str) -> None:
    lines = _lines(function)
    assert lines, f"{function} is gone: remove it from explained.toml"
    foreign = [
        change for change in explanations()[function] if not any(change.startswith(f"- {line} ") for line in lines)
    ]
    assert foreign == []


def test_functions_that_are_left_alone_are_there() -> None:
    sources = [(ROOT / name).read_text() for name in AREAS["api"].modules]
    assert [line for line in UNTOUCHED if not any(f"{line}\n" in source for source in sources)] == []
    assert all("# pragma: no mutate block" in undecorated(f"class A:\n{line}\n        pass\n") for line in UNTOUCHED)
