"""What the main loop reports of all applications takes a share of a core that does not grow with their number."""

from __future__ import annotations

import pytest

from rotator.daemon.report_cadence import LONGEST, SHARE, BoundedShare


class Work:
    """A clock of processor time, and work that takes so much of it."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.used = 0.0

    def processor(self) -> float:
        return self.used

    def done_by(self, seconds: float) -> int:
        """How often the work is done within so many seconds when a loop asks ten times a second."""
        report, times = BoundedShare(1.0, self.processor), 0
        for tenth in range(round(seconds * 10)):
            if report.due(tenth / 10):
                with report.measured(tenth / 10):
                    self.used += self.cost
                    times += 1
        return times


def test_what_costs_little_is_reported_every_second() -> None:
    assert Work(0.0005).done_by(600) == 600


@pytest.mark.parametrize("cost", [0.01, 0.04, 0.09])
def test_what_costs_much_takes_no_more_than_its_share_of_a_core(cost: float) -> None:
    work = Work(cost)
    assert work.done_by(600) > 1
    assert work.used <= SHARE * 600 + cost


def test_what_costs_ever_more_is_still_reported_twice_a_minute() -> None:
    assert Work(5.0).done_by(600) == pytest.approx(600 / LONGEST, abs=1)


def test_a_report_that_fails_is_not_repeated_at_once() -> None:
    report = BoundedShare(1.0, lambda: 0.0)
    with pytest.raises(ValueError, match="broken"), report.measured(5.0):
        raise ValueError("broken")
    assert not report.due(5.5)
    assert report.due(6.0)
