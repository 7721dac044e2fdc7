"""Files that are believed: configuration, CA certificates and secrets, judged by owner and mode as sshd does."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.config import Reference, load
from rotator.errors import ConfigurationError

NOBODY = pwd.getpwnam("nobody").pw_uid

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")

CONFIGURATION = """
[vault]
address = "https://vault.acme.test:8200"
ledger = "secret/rotator"
ca_cert = "ca.pem"
auth = { method = "token", token = "file:token" }
[alarm]
ca_cert = "ca.pem"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text, mode in (
        ("rotator.toml", CONFIGURATION, 0o644),
        ("ca.pem", "-", 0o644),
        ("token", "token-of-this-test-1", 0o600),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


def problems(folder: Path) -> list[str]:
    """What is found wrong with owners and modes; the configuration has other gaps, of no interest here."""
    with pytest.raises(ConfigurationError) as found:
        load(folder / "rotator.toml")
    return [str(one) for one in found.value.problems if "chown" in str(one) or "chmod" in str(one)]


def through_a_link(path: Path) -> None:
    """As Kubernetes mounts what is in a ConfigMap: the directory is for everybody, the file is root's, links lead to it."""
    data = path.parent / "..data"
    data.mkdir(exist_ok=True)
    path.rename(data / path.name)
    path.symlink_to(Path("..data") / path.name)
    path.parent.chmod(0o777)


def link_to_theirs(path: Path) -> None:
    through_a_link(path)
    os.chown(path, NOBODY, -1)


def link_of_theirs(path: Path) -> None:
    through_a_link(path)
    os.chown(path, NOBODY, -1, follow_symlinks=False)


def for_a_group(path: Path) -> None:
    os.chown(path, 0, 12345)
    path.chmod(0o440)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "belongs to another user": (lambda path: os.chown(path, NOBODY, -1), "belongs to nobody"),
    "its group may write": (lambda path: path.chmod(0o620), "can be written by other users"),
    "everybody may write": (lambda path: path.chmod(0o602), "chmod"),
    "is a link to what another user owns": (link_to_theirs, "belongs to nobody"),
}


@pytest.mark.parametrize("name", ["rotator.toml", "ca.pem", "token"])
@pytest.mark.parametrize("how", HOSTILE)
def test_c16_a_file_is_refused_with_what_to_do_that(folder: Path, name: str, how: str) -> None:
    change, problem = HOSTILE[how]
    change(folder / name)
    found = problems(folder)
    assert found
    assert all(problem in one for one in found), found
    assert len(found) == (2 if name == "ca.pem" else 1)


SOUND: dict[str, Callable[[Path], object]] = {
    "root's, for a group to read": for_a_group,
    "a link, as Kubernetes mounts it": through_a_link,
    "a link of another user": link_of_theirs,
}


@pytest.mark.parametrize("name", ["rotator.toml", "ca.pem", "token"])
@pytest.mark.parametrize("how", SOUND)
def test_a_file_is_taken_that_is(folder: Path, name: str, how: str) -> None:
    SOUND[how](folder / name)
    assert problems(folder) == []


def test_a_credential_of_systemd_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    (folder / "token").chmod(0o440)  # root's, with an entry for the service's user that shows in the bits of the group
    assert Reference.parse("credential:token").resolve().reveal() == "token-of-this-test-1"
