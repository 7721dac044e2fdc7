"""Unix sockets in directories of all kinds: opened only where no other user can put something else in their place."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.system import sockets
from rotator.system.peer_credentials import listener_problem
from rotator.system.sockets import SocketFile

NOBODY = pwd.getpwnam("nobody").pw_uid

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir(mode=0o755)
    return made


DIRECTORIES: dict[str, Callable[[Path], object]] = {
    "everybody may write": lambda folder: folder.chmod(0o777),
    "everybody may write, and it is sticky": lambda folder: folder.chmod(0o1777),
    "its group may write": lambda folder: folder.chmod(0o775),
    "it belongs to another user": lambda folder: os.chown(folder, NOBODY, -1),
}


@only_root
@pytest.mark.parametrize("directory", DIRECTORIES)
def test_c16_no_socket_is_opened_in_a_directory_where(folder: Path, directory: str) -> None:
    DIRECTORIES[directory](folder)
    with pytest.raises(OSError, match="the directory") as refused:
        SocketFile(folder / "control.sock")
    assert "run chmod go-w" in str(refused.value) or "give it to the user of the service" in str(refused.value)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", ["a file", "another socket of this user"])
def test_c16_a_link_that_takes_the_place_of_the_socket_changes_no_mode_of_its_target(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    target = folder / "target"
    if kind == "a file":
        target.write_text("private")
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(target))
    target.chmod(0o600)
    identity = sockets._identity

    def race(path: Path) -> tuple[int, int] | None:
        found = identity(path)
        if path.name == "control.sock" and not path.is_symlink():
            path.unlink()
            path.symlink_to(target)
        return found

    monkeypatch.setattr(sockets, "_identity", race)
    with pytest.raises(OSError, match="in the place of the socket"):
        SocketFile(folder / "control.sock")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_socket_is_for_owner_and_group(folder: Path) -> None:
    opened = SocketFile(folder / "control.sock")
    assert stat.S_IMODE((folder / "control.sock").lstat().st_mode) == 0o660
    opened.close()
    assert not list(folder.iterdir())


@pytest.fixture
def connection(folder: Path) -> Iterator[socket.socket]:
    opened = SocketFile(folder / "control.sock")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(folder / "control.sock"))
        yield caller
    opened.close()


def listening_as(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.system.peer_credentials.peer_uid", lambda connection: uid)


def test_c16_root_and_this_user_are_believed_wherever_they_listen(connection: socket.socket, folder: Path) -> None:
    folder.chmod(0o777)
    assert listener_problem(connection, folder / "control.sock") == ""


LISTENERS: dict[str, tuple[Callable[[Path], object], str]] = {
    # what is done to the directory, and what is found wrong
    "the owner of a directory that root made": (
        lambda folder: os.chown(folder, NOBODY, -1),
        "can be written",
    ),  # /tmp is sticky
    "another user": (lambda folder: None, "can be written"),
}


@only_root
@pytest.mark.parametrize("who", LISTENERS)
def test_c16_a_process_of_another_user_below_a_directory_of_everybody_is_not_believed(
    connection: socket.socket, folder: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    prepare, problem = LISTENERS[who]
    prepare(folder)
    listening_as(NOBODY, monkeypatch)
    assert problem in listener_problem(connection, folder / "control.sock")


@only_root
def test_c16_the_owner_of_the_directory_is_believed_and_another_user_is_not(
    connection: socket.socket, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotator.system.peer_credentials._others_write", lambda directory: False)
    listening_as(NOBODY, monkeypatch)
    assert "the directory belongs to root" in listener_problem(connection, folder / "control.sock")
    os.chown(folder, NOBODY, -1)
    assert listener_problem(connection, folder / "control.sock") == ""
