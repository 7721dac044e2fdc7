"""One call for all threads that want its answer: C11, no lock over a call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from rotator.util.single_flight import SingleFlight
from tests.support.daemon_stage import eventually


class Call:
    """A call that hangs until it is let go; counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0
        self.let_go = threading.Event()
        self.answer: Any = "answer"

    def __call__(self) -> Any:
        self.made += 1
        number = self.made
        assert self.let_go.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return f"{self.answer} {number}"


def waiting(pool: ThreadPoolExecutor, count: int, ask: Callable[[], Any]) -> list[Future[Any]]:
    return [pool.submit(ask) for _ in range(count)]


def test_c11_sixteen_threads_make_one_call_and_share_its_answer() -> None:
    call, flight = Call(), SingleFlight[str]()
    with ThreadPoolExecutor(16) as pool:
        asked = waiting(pool, 16, lambda: flight.ask(call))
        eventually(lambda: flight._flight and len(flight._flight[1]._condition._waiters) == 15)  # type: ignore[attr-defined]  # who waits in a Future
        call.let_go.set()
        assert {one.result(60) for one in asked} == {"answer 1"}
    assert flight.ask(call) == "answer 2", "an answer is shared, not remembered"


def test_c11_a_failure_is_shared_by_all_who_wait_and_remembered_for_seconds() -> None:
    time = [100.0]
    call, flight = Call(), SingleFlight[str](failure_ttl=15.0, now=lambda: time[0])
    call.answer = OSError("no answer")
    with ThreadPoolExecutor(16) as pool:
        asked = waiting(pool, 16, lambda: flight.ask(call))
        eventually(lambda: call.made)
        call.let_go.set()
        assert all(isinstance(one.exception(60), OSError) for one in asked)
    assert call.made == 1, "the hanging call costs all of them one wait"
    time[0] += 14.9
    with pytest.raises(OSError, match="no answer"):
        flight.ask(call)
    assert call.made == 1
    time[0] += 0.2
    call.answer = "back"
    assert flight.ask(call) == "back 2"


def test_c11_a_caller_that_needs_a_fresh_answer_does_not_take_one_from_a_call_that_began_before() -> None:
    time = [100.0]
    call, flight = Call(), SingleFlight[str](now=lambda: time[0])
    with ThreadPoolExecutor(2) as pool:
        old = pool.submit(lambda: flight.ask(call))
        eventually(lambda: call.made)
        time[0] += 1
        fresh = pool.submit(lambda: flight.ask(call, since=time[0]))
        call.let_go.set()
        assert (old.result(60), fresh.result(60)) == ("answer 1", "answer 2")


def test_c11_a_call_that_ends_the_thread_lets_the_next_one_call() -> None:
    flight = SingleFlight[str]()

    def ends() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flight.ask(ends)
    assert flight.ask(lambda: "next") == "next"


def test_c11_a_call_that_began_at_the_same_instant_is_fresh_enough() -> None:
    call, flight = Call(), SingleFlight[str](now=lambda: 100.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: flight.ask(call))
        eventually(lambda: call.made)
        second = pool.submit(lambda: flight.ask(call, since=100.0))
        eventually(lambda: flight._flight and flight._flight[1]._condition._waiters)  # type: ignore[attr-defined]  # who waits in a Future
        call.let_go.set()
        assert (first.result(60), second.result(60)) == ("answer 1", "answer 1")


def test_a_failure_is_not_remembered_unless_it_is_asked_for() -> None:
    flight = SingleFlight[str](now=lambda: 100.0)

    def fails() -> str:
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        flight.ask(fails)
    assert flight.ask(lambda: "next") == "next"
