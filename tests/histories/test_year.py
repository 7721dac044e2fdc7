"""Forty applications with every default, for some weeks: each is rotated on time, whoever restarts what how often.

``python -m tests.histories.year`` plays a whole year of both kinds, in a few minutes.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.histories.year import HOUR, KINDS, MINUTE, SPREAD, TAKES, Year
from tests.support.simulated import EPOCH

DAYS = 61
"""Every application is rotated in that time: the oldest interval is 45 days, and a month for cron."""


@pytest.fixture(scope="module")
def restarted() -> Year:
    year = Year(days=DAYS)
    year.daemon(20 * MINUTE)
    return year


def test_i7_a_daemon_that_is_restarted_every_20_minutes_rotates_every_application_on_time_and_none_twice(
    restarted: Year,
) -> None:
    restarted.check(SPREAD)
    assert set(restarted.counts()) == set(restarted.fleet.applications)
    assert len(restarted.fleet.applications) == 4 * len(KINDS) == 40


def test_c10_what_was_overdue_at_the_start_is_spread_although_the_daemon_is_restarted_meanwhile(
    restarted: Year,
) -> None:
    waits = restarted.first_hour()
    assert len(waits) >= 10
    assert waits[-1] <= SPREAD + TAKES
    assert sum(wait <= 2 * MINUTE for wait in waits) <= len(waits) / 3
    assert waits[len(waits) // 2] > 10 * MINUTE


def test_c10_what_waited_for_a_window_is_spread_from_its_opening(restarted: Year) -> None:
    waits = restarted.after_openings()
    assert len(waits) >= 8
    assert max(waits) > 20 * MINUTE
    assert sum(wait <= 2 * MINUTE for wait in waits) <= len(waits) / 3


def test_i7_a_daemon_that_runs_for_a_short_while_in_every_hour_gets_to_every_application() -> None:
    year = Year(seed=2, days=20)
    end = EPOCH + timedelta(days=20)
    while year.now < end:
        begun = year.now
        year.play(year.begin({}), begun + 20 * MINUTE)
        year.stage.time.now = max(year.now, begun + HOUR)
    year.check(20 * HOUR)


def test_i7_rounds_of_run_once_every_hour_rotate_every_application_on_time_and_none_twice() -> None:
    year = Year(days=DAYS)
    year.rounds(HOUR)
    year.check(HOUR)
    assert set(year.counts()) == set(year.fleet.applications)
    assert max(year.first_hour()) <= 40 * TAKES, "all that was overdue went in the first round"
