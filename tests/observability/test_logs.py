"""The logs: what a line looks like, what never stands in it, and that trouble with them troubles nobody."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from rotator.domain.ledger import RotationMode
from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from rotator.observability.line_buffer import LineBuffer
from rotator.observability.logs import LogSink, capture_libraries
from rotator.observability.serialization import to_json_value
from rotator.util.crash import crash_site


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue


def lines(read: int) -> list[str]:
    data = b""
    try:
        while chunk := os.read(read, 65536):
            data += chunk
    except BlockingIOError:
        pass
    return data.decode().splitlines()


def test_a_line_is_json_with_the_level_of_the_catalogue_and_a_time_in_utc(pipe: tuple[int, int]) -> None:
    LogSink(descriptor=pipe[1]).emit(
        "key.revoked", application="billing", account="acme", access_key="SCW1", reason="r", verification="p"
    )
    (line,) = lines(pipe[0])
    found = json.loads(line)
    at = datetime.fromisoformat(found.pop("timestamp"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    assert line.startswith('{"timestamp": ')
    assert found == {
        "level": "info",
        "event": "key.revoked",
        "application": "billing",
        "account": "acme",
        "access_key": "SCW1",
        "reason": "r",
        "verification": "p",
    }


def test_the_console_form_has_colours_only_on_a_terminal(pipe: tuple[int, int]) -> None:
    LogSink("console", descriptor=pipe[1]).emit("service.up", service="vault")
    (line,) = lines(pipe[0])
    assert "service.up" in line
    assert "service=vault" in line
    assert "\x1b" not in line
    controller, terminal = os.openpty()
    try:
        LogSink(descriptor=terminal).emit("service.up", service="vault")
        assert b"\x1b[" in os.read(controller, 4096)
    finally:
        os.close(controller)
        os.close(terminal)


def test_events_below_the_level_are_left_out(pipe: tuple[int, int]) -> None:
    LogSink(descriptor=pipe[1]).emit("pass.decided", reason="r", message="m", until=None)
    assert lines(pipe[0]) == []
    LogSink(descriptor=pipe[1], level="debug").emit("pass.decided", reason="r", message="m", until=None)
    assert len(lines(pipe[0])) == 1


def test_an_event_that_is_not_in_the_catalogue_is_still_logged(pipe: tuple[int, int]) -> None:
    LogSink(descriptor=pipe[1]).emit("never.heard_of", what=1)
    (line,) = lines(pipe[0])
    assert json.loads(line)["level"] == "warning"


def test_a16_no_way_of_passing_a_secret_shows_it(pipe: tuple[int, int]) -> None:
    value = 'a"secret\\with-ünusual'
    secret = Secret(value)
    journal = LogSink(descriptor=pipe[1])
    journal.emit("service.down", service=secret, kind=[secret], message=f"it was {value}")
    journal.emit("service.down", service={value: {"deep": value}}, kind=(secret, {secret}), message=ValueError(value))
    journal.emit(
        "service.down", service=Unavailable(f"no {value}", service="v", kind="k"), kind=value.encode(), message=""
    )
    text = "\n".join(lines(pipe[0]))
    assert text.count("[secret]") == 8
    assert value not in text
    assert json.dumps(value)[1:-1] not in text
    assert "nusual" not in text


def test_c14_a_secret_is_masked_in_values_and_the_line_stays_json(pipe: tuple[int, int]) -> None:
    held = [Secret(text) for text in ('"', "e", ": ", "application", 'timestamp": "20')]
    LogSink(descriptor=pipe[1]).emit("service.up", service='the application "e"')
    (line,) = lines(pipe[0])
    found = json.loads(line)
    assert (found["event"], found["service"]) == ("service.up", 'the application "e"')
    assert len(line) < 200
    assert len(held) == 5


def test_times_durations_and_words_of_our_own_are_plain() -> None:
    east = timezone(timedelta(hours=2))
    assert to_json_value(datetime(2025, 7, 1, 12, 0, tzinfo=east)) == "2025-07-01T10:00:00Z"
    assert to_json_value(datetime(2025, 7, 1, 12, 0, 0, 5000, tzinfo=UTC)) == "2025-07-01T12:00:00.005000Z"
    assert to_json_value(timedelta(minutes=1)) == 60.0
    assert to_json_value(RotationMode.RECOVERY) == "recovery"
    assert to_json_value({"b", "a"}) == ["a", "b"]
    assert to_json_value(object()) == "<object>"


def test_a_field_that_cannot_be_written_does_not_end_the_pass(pipe: tuple[int, int]) -> None:
    LogSink(descriptor=pipe[1]).emit("service.up", service=float("nan"))
    assert json.loads(lines(pipe[0])[0])["unprintable"] == "ValueError"


def test_b_log_pipe_closed_and_back_the_lost_lines_are_counted_and_told(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write = os.open(fifo, os.O_WRONLY)
    journal = LogSink(descriptor=write)
    os.close(read)
    for _ in range(3):
        journal.emit("service.up", service="vault")
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    journal.emit("service.up", service="vault")
    journal.emit("service.up", service="vault")
    found = [json.loads(line) for line in lines(read)]
    assert [line["event"] for line in found] == ["logs.dropped", "service.up", "service.up"]
    assert found[0]["lines"] == 3
    assert found[0]["level"] == "error"
    os.close(read)
    os.close(write)


def test_b_disk_full_and_then_not_the_lost_lines_are_counted_and_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    journal = LogSink(descriptor=descriptor)
    journal.emit("service.up", service="vault")
    with (tmp_path / "log").open("wb") as disk:
        os.dup2(disk.fileno(), descriptor)
    journal.emit("service.up", service="vault")
    os.close(descriptor)
    found = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert found == ["logs.dropped", "service.up"]


def test_b_a_reader_who_does_not_read_stops_nobody(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.observability.line_buffer.READER_TIMEOUT", 0.01)
    journal = LogSink(descriptor=pipe[1])
    for _ in range(2000):  # far more than a pipe holds
        journal.emit("service.up", service="v" * 200)
    first = lines(pipe[0])
    journal.emit("service.up", service="vault")
    found = [json.loads(line)["event"] for line in lines(pipe[0]) if line.startswith("{")]
    assert 0 < len(first) < 2000
    assert found == ["logs.dropped", "service.up"]


def test_b_a_closed_descriptor_is_survived() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    LogSink(descriptor=write).emit("service.up", service="vault")


def test_lines_of_many_threads_do_not_mix(pipe: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        journal = LogSink(descriptor=file.fileno())

        def talk() -> None:
            for _ in range(50):
                journal.emit("service.up", service="x" * 3000)

        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()] == ["service.up"] * 200


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_no_thread_waits_for_one_whose_line_is_being_written() -> None:
    entered, gate, written = threading.Event(), threading.Event(), list[str]()

    def put(line: str, patience: float) -> None:
        entered.set()
        assert gate.wait(60)
        written.append(line)

    buffer = LineBuffer(put, lambda lost: f"{lost} lost")
    first = threading.Thread(target=buffer.write, args=("first",))
    first.start()
    assert entered.wait(60)
    second = threading.Thread(target=buffer.write, args=("second",), daemon=True)
    second.start()
    second.join(20)
    waits = second.is_alive()
    gate.set()
    first.join()
    assert not waits
    assert written == ["first", "second"]


def test_lines_that_pile_up_behind_a_slow_reader_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.observability.line_buffer.MAX_WAITING", 3)
    written: list[str] = []

    def put(line: str, patience: float) -> None:
        if line == "0":
            for number in range(1, 11):
                buffer.write(str(number))
        written.append(line)

    buffer = LineBuffer(put, lambda lost: f"{lost} lost")
    buffer.write("0")
    assert written == ["0", "7 lost", "8", "9", "10"]


@pytest.mark.usefixtures("root_logger")
def test_a16_warnings_of_libraries_become_events_without_their_words(
    pipe: tuple[int, int], library_complaints: list[str]
) -> None:
    capture_libraries(LogSink(descriptor=pipe[1]))
    try:
        int("token-in-an-exception")
    except ValueError:
        logging.getLogger("apscheduler.executors").exception("Job %s failed", "token-in-an-argument")
    logging.getLogger("httpx").info("not worth a line")
    (line,) = lines(pipe[0])
    assert json.loads(line)["event"] == "library.warning"
    assert json.loads(line)["library"] == "apscheduler.executors"
    assert "token" not in line
    assert library_complaints.pop() == "apscheduler.executors: Job token-in-an-argument failed"


def test_a_crash_is_told_by_its_type_and_the_deepest_place_of_ours() -> None:
    try:
        to_json_value(Boom())
    except RuntimeError as error:
        kind, where = crash_site(error)
    assert kind == "RuntimeError"
    assert where.startswith("rotator.observability.serialization:")
    assert where.endswith("in _to_json")


class Boom(dict[str, object]):
    def items(self) -> object:  # type: ignore[override]  # it only raises
        raise RuntimeError("a text that may hold anything")
