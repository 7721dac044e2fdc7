"""Files that are believed: configuration, CA certificates and secrets, judged by owner and mode as sshd does."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.api.webhook_tls import tls_context
from rotator.config import Listener, Reference, Webhook, load
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError
from rotator.http import HttpClient
from rotator.providers import AccountSettings
from rotator.providers.scaleway.client import ScalewayClient
from rotator.sandbox.certificates import Authority
from rotator.vault import TokenAuth, VaultSettings, build
from tests.support.provider_building import WallClock

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


def theirs(path: Path) -> None:
    """Another user puts a file of their own there, in a directory that everybody may write."""
    path.parent.chmod(0o777)
    (path.parent / "theirs").write_bytes(path.read_bytes())
    os.chown(path.parent / "theirs", NOBODY, -1)
    (path.parent / "theirs").replace(path)


def their_folder(path: Path) -> None:
    """The directory is another user's, and so is what they put there."""
    os.chown(path.parent, NOBODY, -1)
    os.chown(path, NOBODY, -1)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


RENEWED: dict[str, tuple[Callable[[Path], object], str]] = {
    "another user's file": (theirs, "belongs to nobody"),
    "a link to it": (link_to_theirs, "belongs to nobody"),
    "another user's file in their own directory": (their_folder, "belongs to nobody"),
    "a file that its group may write": (lambda path: path.chmod(0o664), "can be written by other users"),
    "a pipe": (pipe, "is not a plain file"),
}


def clients(folder: Path) -> dict[str, tuple[HttpClient, Path]]:
    """A client of each service, and the file that it reads again when it changes."""
    authority = Authority(folder)
    certificate, key = authority.issue("rotator")
    account = AccountSettings("acme", "scaleway", "org", lambda: Secret("s"), ca_cert=authority.certificate)
    vault = VaultSettings(
        "https://vault.test", TokenAuth(lambda: Secret("t")), "secret/rotator", ca_cert=authority.certificate
    )
    presenting = replace(vault, ca_cert=None, client_cert=certificate, client_key=key)
    return {
        "provider": (ScalewayClient(account, clock=WallClock()).http, authority.certificate),
        "vault": (http_of(vault), authority.certificate),
        "certificate at vault": (http_of(presenting), certificate),
        "key at vault": (http_of(presenting), key),
    }


def http_of(settings: VaultSettings) -> HttpClient:
    return build(settings)._connection._transport.http


@pytest.mark.parametrize("which", ["provider", "vault", "certificate at vault", "key at vault"])
@pytest.mark.parametrize("how", RENEWED)
def test_c16_what_replaces_a_file_of_tls_while_the_program_runs_is_refused_and_the_earlier_one_stays(
    folder: Path, how: str, which: str
) -> None:
    client, file = clients(folder)[which]
    assert not client.tls.problem
    before = client.tls.generation
    change, problem = RENEWED[how]
    change(file)
    os.utime(file, (1, 1))
    client.tls.refresh()
    assert problem in client.tls.problem
    assert "the files read before are in use" in client.tls.problem
    assert client.tls.generation == before
    client.close()


def test_a_certificate_that_systemd_gave_to_the_user_of_the_service_is_read_again_by_root(folder: Path) -> None:
    certificate, key = Authority(folder).issue("rotator")
    auth = TokenAuth(lambda: Secret("t"))
    settings = VaultSettings("https://vault.test", auth, "secret/rotator", client_cert=certificate, client_key=key)
    client = http_of(replace(settings, credentials=folder))
    before = client.tls.generation
    their_folder(certificate)
    os.utime(certificate, (1, 1))
    client.tls.refresh()
    assert (client.tls.problem, client.tls.generation) == ("", before + 1)
    client.close()


@pytest.mark.parametrize("which", ["ca.pem", "rotator.pem", "rotator.key"])
@pytest.mark.parametrize("how", RENEWED)
def test_c16_what_replaces_a_file_of_the_webhook_is_refused(folder: Path, how: str, which: str) -> None:
    authority = Authority(folder)
    certificate, key = (Reference("file", str(file)) for file in authority.issue("rotator"))
    settings = Webhook(
        Listener("127.0.0.1", 8443),
        Reference("file", "unread"),
        client_ca=authority.certificate,
        certificate=certificate,
        key=key,
    )
    assert tls_context(settings)
    change, problem = RENEWED[how]
    change(folder / which)
    with pytest.raises(OSError, match=problem):
        tls_context(settings)
