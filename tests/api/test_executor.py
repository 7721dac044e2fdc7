"""The slots in which commands run, and the bounds of what the webhook may occupy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from rotator.api import webhook_slots
from rotator.api.executor import CommandExecutor
from rotator.api.webhook_slots import MAX_REPORTS, ReportSlots
from rotator.operations.refusal import OperationError
from tests.support.daemon_stage import eventually
from tests.support.simulated import EPOCH, ActorClock, Time


def said(raised: pytest.ExceptionInfo[OperationError]) -> tuple[str, int, str]:
    failure = raised.value.failure
    return failure.kind, failure.exit_code, str(raised.value)


@pytest.fixture
def free() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_command_runs_in_a_thread_of_its_own_and_its_result_or_error_is_in_the_future() -> None:
    executor = CommandExecutor(threading.Event())
    assert executor.carry_out(lambda: threading.current_thread().name).result(60) == "command"

    def odd() -> None:
        raise KeyError("odd")

    with pytest.raises(KeyError):
        executor.carry_out(odd).result(60)
    assert executor.busy == 0


def test_ordinary_commands_leave_the_reserved_slots_to_emergencies(free: threading.Event) -> None:
    executor = CommandExecutor(threading.Event(), slots=3, reserved=1)
    running = [executor.carry_out(lambda: free.wait(60)) for _ in range(2)]
    assert executor.busy == 2
    with pytest.raises(OperationError) as raised:
        executor.carry_out(lambda: None)
    assert said(raised) == ("busy", 3, "2 commands are running, which is the limit; try again in a moment")
    running.append(executor.carry_out(lambda: free.wait(60), urgent=True))
    with pytest.raises(OperationError) as raised:
        executor.carry_out(lambda: None, urgent=True)
    assert said(raised)[2] == "3 commands are running, which is the limit; try again in a moment"
    free.set()
    assert [one.result(60) for one in running] == [True, True, True]
    assert executor.busy == 0
    executor.carry_out(lambda: None).result(60)


def test_of_two_commands_with_one_key_the_second_is_refused_until_the_first_has_ended(free: threading.Event) -> None:
    executor = CommandExecutor(threading.Event())
    first = executor.carry_out(lambda: free.wait(60), exclusive_key="rotate --all")
    with pytest.raises(OperationError) as raised:
        executor.carry_out(lambda: None, exclusive_key="rotate --all")
    assert said(raised) == (
        "under_way",
        3,
        "this command is already running (rotate --all); watch it with rotator status",
    )
    executor.carry_out(lambda: None, exclusive_key="another").result(60)
    executor.carry_out(lambda: None).result(60)
    free.set()
    first.result(60)
    executor.carry_out(lambda: None, exclusive_key="rotate --all").result(60)

    def odd() -> None:
        raise KeyError("odd")

    with pytest.raises(KeyError):
        executor.carry_out(odd, exclusive_key="odd").result(60)
    executor.carry_out(lambda: None, exclusive_key="odd").result(60)


def test_a_daemon_that_stops_accepts_no_command() -> None:
    stopping = threading.Event()
    executor = CommandExecutor(stopping)
    stopping.set()
    with pytest.raises(OperationError) as raised:
        executor.carry_out(lambda: None, urgent=True)
    assert said(raised) == (
        "stopping",
        3,
        "the daemon is stopping and accepts no commands; try again after its restart",
    )


def test_a_machine_without_threads_refuses_the_command_and_frees_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = CommandExecutor(threading.Event(), slots=1, reserved=0)

    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        with pytest.raises(OperationError) as raised:
            executor.carry_out(lambda: None, exclusive_key="key")
    assert said(raised) == ("busy", 3, "the machine lets the daemon start no more threads; try again in a moment")
    executor.carry_out(lambda: None, exclusive_key="key").result(60)


def test_a_command_sleeps_until_its_clock_shows_the_time_and_is_interrupted_at_the_end() -> None:
    executor, clock = CommandExecutor(threading.Event()), ActorClock(Time())
    executor.sleep(clock, EPOCH)
    executor.sleep(clock, EPOCH - timedelta(hours=1))
    executor.sleep(clock, EPOCH + timedelta(milliseconds=20))
    sleeping = executor.carry_out(lambda: executor.sleep(clock, EPOCH + timedelta(hours=1)))
    eventually(lambda: executor.busy == 1)
    executor.give_up()
    with pytest.raises(OperationError) as raised:
        sleeping.result(60)
    assert said(raised) == (
        "stopping",
        3,
        "the daemon was stopped meanwhile; what was begun is in the ledger and continues after its restart",
    )


# --- reports ---


class Clock:
    """The monotonic clock of the slots."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(webhook_slots, "time", made)
    return made


def test_a_rate_of_reports_is_counted_over_a_minute(clock: Clock) -> None:
    slots = ReportSlots()
    for second in (0, 1):
        clock.now = 1000.0 + second
        slots.admit("", 2)
        slots.release("")
    with pytest.raises(OperationError) as raised:
        slots.admit("", 2)
    assert said(raised) == ("busy", 3, "2 reports a minute are accepted, and no more; report it again")
    clock.now = 1059.9
    with pytest.raises(OperationError):
        slots.admit("", 2)
    clock.now = 1060.0
    slots.admit("", 2)
    with pytest.raises(OperationError):
        slots.admit("", 2)


def test_a_report_of_an_application_whose_report_runs_gets_the_same_future_and_takes_no_slot(clock: Clock) -> None:
    slots = ReportSlots()
    first, is_new = slots.admit("billing", 100)
    assert is_new
    assert slots.admit("billing", 100) == (first, False)
    other, is_new = slots.admit("shop", 100)
    assert (is_new, other is first) == (True, False)
    slots.release("billing")
    again, is_new = slots.admit("billing", 100)
    assert (is_new, again is first) == (True, False)


def test_so_many_reports_run_at_once_and_no_more(clock: Clock) -> None:
    slots = ReportSlots()
    for _ in range(MAX_REPORTS):
        slots.admit("", 100)
    with pytest.raises(OperationError) as raised:
        slots.admit("", 100)
    assert said(raised) == ("busy", 3, f"{MAX_REPORTS} reports are running, which is the limit; report it again")
    slots.release("")
    slots.admit("", 100)


def test_one_report_at_a_time_contains_an_application(clock: Clock) -> None:
    slots = ReportSlots()
    with slots.containing("billing") as alone:
        assert alone
        with slots.containing("billing") as second:
            assert not second
        with slots.containing("billing") as third:
            assert not third, "the one that only added a mark has not ended the first"
        with slots.containing("shop") as other:
            assert other
    with slots.containing("billing") as later:
        assert later
