from __future__ import annotations

from pathlib import Path

from rotator.decision.state import ApplicationState
from tests.mutants.__main__ import Mutant
from tests.mutants.tree import CORE, ROOT, TESTS, undecorated
from tests.support.observations import observe
from tests.support.simulated import spec


def test_properties_are_written_so_that_they_can_be_mutated_and_mean_the_same() -> None:
    source = (ROOT / "rotator/decision/state.py").read_text()
    plain = undecorated(source)
    assert "@property" in source
    assert "@property" not in plain
    assert "@cached_property" not in plain
    module: dict[str, object] = {"__name__": "rotator.decision.state"}
    exec(compile(plain, "state.py", "exec"), module)  # our own source
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


def test_the_core_and_its_tests_are_there() -> None:
    missing = [name for name in (*CORE, *TESTS) if not (Path(ROOT) / name).is_file()]
    assert missing == []
