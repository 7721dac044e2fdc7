"""The rate limit: never above it, first come first served, and a share for emergencies."""

from __future__ import annotations

import threading

import pytest

from rotator.providers.rate_limiter import RateLimiter

FOREVER = 1e9


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(rate: float, time: Time) -> RateLimiter:
    return RateLimiter(rate, now=lambda: time.now, sleep=time.sleep)


@pytest.mark.parametrize("rate", [0.5, 2.0, 8.0, 100.0])
@pytest.mark.parametrize("urgent", [False, True])
def test_no_more_than_the_rate_after_the_first_second(rate: float, urgent: bool, time: Time) -> None:
    limit = limiter(rate, time)
    start = time.now
    for number in range(400):
        assert limit.wait(until=FOREVER, urgent=urgent)
        assert number + 1 <= rate * (time.now - start + 1) + 2


@pytest.mark.parametrize("rate", [2.0, 8.0, 100.0])
def test_ordinary_requests_get_three_quarters_of_it(rate: float, time: Time) -> None:
    limit = limiter(rate, time)
    start = time.now
    for _ in range(300):
        limit.wait(until=FOREVER, urgent=False)
    assert 300 / (time.now - start + 1) == pytest.approx(rate * 0.75, rel=0.05)


def test_b_429_emergencies_have_a_reserved_share(time: Time) -> None:
    """However long the queue of ordinary requests is, an urgent one goes at once."""
    limit = RateLimiter(8.0, now=lambda: time.now, sleep=lambda _: None)
    for _ in range(1000):
        limit.wait(until=FOREVER, urgent=False)
    assert not limit.wait(until=time.now + 100, urgent=False)
    assert limit.wait(until=time.now, urgent=True)
    assert limit.wait(until=time.now, urgent=True)
    assert not limit.wait(until=time.now, urgent=True), "the reserve is a share, not a hole in the limit"


def test_a_turn_that_comes_too_late_is_not_waited_for_and_not_taken(time: Time) -> None:
    limit = limiter(1.0, time)
    limit.wait(until=FOREVER, urgent=False)
    before = time.now
    for _ in range(100):
        assert not limit.wait(until=time.now + 0.5, urgent=False)
    assert time.now == before
    assert limit.wait(until=time.now + 2, urgent=False), "none of the hundred is in the queue"


def test_after_no_burst_nothing_goes_at_once(time: Time) -> None:
    limit = limiter(100.0, time)
    limit.no_burst()
    assert not limit.wait(until=time.now, urgent=False)
    assert limit.wait(until=time.now, urgent=True)


def test_threads_share_the_limit() -> None:
    time = Time()
    limit = RateLimiter(10.0, now=lambda: time.now, sleep=lambda _: None)
    granted: list[bool] = []

    def ask() -> None:
        granted.extend(limit.wait(until=time.now, urgent=False) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 7
