"""The journal of systemd: what an entry looks like to it, and that the work goes on where there is none, or none that reads.

The other end is a socket that understands the native protocol as systemd documents it; tests/service asks a real journal.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rotator.domain.secret import Secret
from rotator.observability.logs import LogSink
from rotator.system.journald import Journald, message


class Listening:
    """A socket like the one of the journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def entries(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(1 << 20, 64)
            except BlockingIOError:
                return found
            for _, _, packed in ancillary:
                (descriptor,) = array.array("i", packed)
                with os.fdopen(descriptor, "rb") as file:
                    file.seek(0)
                    data = file.read()
                self.files += 1
            found.append(unpacked(data))

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)


def unpacked(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        head, _, data = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:  # the long form: the length in eight bytes, the value, a newline
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        found[name.decode()] = value.decode()
    return found


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    found = Listening(tmp_path / "journal")
    yield found
    found.close()


@pytest.fixture
def journal(listening: Listening) -> Iterator[LogSink]:
    with closing(Journald(listening.path)) as journald:
        yield LogSink("journal", journald=lambda: journald)


def test_an_entry_has_the_priority_of_its_level_and_every_field_under_a_name_to_filter_by(
    journal: LogSink, listening: Listening
) -> None:
    journal.emit("service.down", service="vault", kind="sealed", message="Vault is sealed.")
    journal.emit("daemon.ready", applications=2, down=["vault"], application=None)
    first, second = listening.entries()
    assert first == {
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "rotator",
        "MESSAGE": 'service.down service=vault kind=sealed message="Vault is sealed."',
        "ROTATOR_EVENT": "service.down",
        "ROTATOR_SERVICE": "vault",
        "ROTATOR_KIND": "sealed",
        "ROTATOR_MESSAGE": "Vault is sealed.",
    }
    assert (second["PRIORITY"], second["ROTATOR_APPLICATIONS"], second["ROTATOR_DOWN"]) == ("6", "2", '["vault"]')
    assert "ROTATOR_APPLICATION" not in second


def test_whatever_stands_in_a_field_can_neither_end_it_nor_begin_another(
    journal: LogSink, listening: Listening
) -> None:
    journal.emit("service.up", service="vault\nPRIORITY=0\nROTATOR_APPLICATION=forged", **{"a-b=c": "é\udcff"})
    (entry,) = listening.entries()
    assert entry["PRIORITY"] == "6"
    assert entry["ROTATOR_SERVICE"] == "vault\nPRIORITY=0\nROTATOR_APPLICATION=forged"
    assert "ROTATOR_APPLICATION" not in entry
    assert entry["ROTATOR_A_B_C"] == "é\\udcff"
    assert "\n" not in entry["MESSAGE"]


def test_an_entry_too_large_for_a_datagram_goes_through_a_sealed_file_in_memory(
    journal: LogSink, listening: Listening
) -> None:
    large = "x" * 1_000_000
    journal.emit("daemon.reload_refused", problems=[large])
    (entry,) = listening.entries()
    assert json.loads(entry["ROTATOR_PROBLEMS"]) == [large]
    assert listening.files == 1


def test_a16_no_secret_reaches_the_journal(journal: LogSink, listening: Listening) -> None:
    secret = Secret('a"secret\\ünusual')
    journal.emit("service.down", service=secret, kind=[secret], message=f"it was {secret.reveal()}")
    (entry,) = listening.entries()
    assert "nusual" not in "".join(entry.values())
    assert entry["ROTATOR_SERVICE"] == "[secret]"
    assert entry["ROTATOR_KIND"] == '["[secret]"]'
    assert entry["ROTATOR_MESSAGE"] == "it was [secret]"


def test_b_journald_restarting_the_lost_entries_are_counted_and_told(journal: LogSink, listening: Listening) -> None:
    listening.close()
    for _ in range(3):
        journal.emit("service.up", service="vault")
    again = Listening(listening.path)
    journal.emit("service.up", service="vault")
    lost, found = again.entries()
    again.close()
    assert (lost["ROTATOR_EVENT"], lost["ROTATOR_LINES"], lost["PRIORITY"]) == ("logs.dropped", "3", "3")
    assert found["ROTATOR_EVENT"] == "service.up"


def test_b_a_journal_that_does_not_read_stops_nobody(
    journal: LogSink, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotator.observability.line_buffer.READER_TIMEOUT", 0.01)
    for _ in range(2000):  # far more than wait in a socket
        journal.emit("service.up", service="vault")
    assert 0 < len(listening.entries()) < 2000
    journal.emit("service.up", service="vault")
    assert [entry["ROTATOR_EVENT"] for entry in listening.entries()] == ["logs.dropped", "service.up"]


def nothing_there(path: Path) -> None:
    """No file at all."""


def nobody_listens(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))


@pytest.mark.parametrize(
    ("furnish", "reason"), [(nothing_there, "No such file or directory"), (nobody_listens, "Connection refused")]
)
def test_where_there_is_no_journal_it_says_so_and_writes_json_lines(
    furnish: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    furnish(tmp_path / "journal")
    with (tmp_path / "out").open("wb") as out:
        journal = LogSink("journal", descriptor=out.fileno(), journald=lambda: Journald(tmp_path / "journal"))
        journal.emit("service.up", service="vault")
    first, second = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert (first["event"], first["level"], first["message"]) == ("logs.journal_unavailable", "warning", reason)
    assert second["event"] == "service.up"


def test_a_message_is_one_line_that_a_person_can_read() -> None:
    event = {
        "event": "key.revoked",
        "level": "info",
        "timestamp": "2026",
        "application": "billing",
        "n": 3,
        "why": "a b",
        "is": "",
    }
    assert message(event) == 'key.revoked application=billing n=3 why="a b" is=""'
