"""`[control]` and `[webhook]`: when there are doors, where, and what a webhook must not lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rotator.config import Control, Listener, Reference
from tests.config.test_loader import credentials, problems, sound, write  # noqa: F401 - credentials is a fixture

pytestmark = pytest.mark.usefixtures("credentials")


@pytest.fixture(autouse=True)
def no_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


def test_without_the_table_and_without_a_runtime_directory_there_are_no_sockets(tmp_path: Path) -> None:
    assert sound(tmp_path).control is None


def test_an_empty_table_is_enough(tmp_path: Path) -> None:
    assert sound(tmp_path, control={}).control == Control(Path("/run/rotator"))


def test_a_runtime_directory_of_systemd_is_enough_and_is_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/rotator-two:/run/more")
    assert sound(tmp_path).control == Control(Path("/run/rotator-two"))
    assert sound(tmp_path, control={"enabled": False}).control is None


def test_directory_and_groups_are_taken_as_they_are_written(tmp_path: Path) -> None:
    written = {"directory": "/srv/rotator", "read_group": "readers", "control_group": "operators"}
    assert sound(tmp_path, control=written).control == Control(Path("/srv/rotator"), "readers", "operators")


def test_a_relative_directory_is_a_mistake(tmp_path: Path) -> None:
    told = problems(write(tmp_path / "rotator.toml", {"control": {"directory": "run"}}))
    assert told == {"control.directory": 'is not an absolute path; write one such as "/run/rotator"'}


def test_c8_a_directory_that_is_too_long_for_a_socket_is_told_as_such(tmp_path: Path) -> None:
    directory = "/" + "d" * (107 - len("//control.sock"))
    assert sound(tmp_path, control={"directory": directory}).control == Control(Path(directory))
    told = problems(write(tmp_path / "rotator.toml", {"control": {"directory": f"{directory}d"}}))
    assert "is too long" in told["control.directory"]
    told = problems(write(tmp_path / "rotator.toml", {"metrics": {"listen": f"unix:{directory}/metrics-socket"}}))
    assert "is too long" in told["metrics.listen"]


def test_a_webhook_is_off_unless_it_is_said_where_to_listen(tmp_path: Path) -> None:
    assert sound(tmp_path).webhook is None
    assert sound(tmp_path, webhook={"token": "credential:secret"}).webhook is None


def test_on_this_machine_a_webhook_needs_a_key_and_a_token(tmp_path: Path) -> None:
    found = sound(
        tmp_path,
        webhook={"listen": "127.0.0.1:9465", "signing_key": "credential:secret", "token": "credential:role-id"},
    )
    assert found.webhook
    assert (found.webhook.at, found.webhook.rate_limit) == (Listener("127.0.0.1", 9465), 6)
    assert (found.webhook.signing_key, found.webhook.token) == (
        Reference("credential", "secret"),
        Reference("credential", "role-id"),
    )


HERE = {"listen": "127.0.0.1:9465", "signing_key": "credential:secret", "token": "credential:role-id"}
MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no signing key": ({"signing_key": None}, "webhook.signing_key", "is missing: callers could not be authenticated"),
    "neither token nor authority": ({"token": None}, "webhook.token", "is missing"),
    "reached by others without TLS": (
        {"listen": "0.0.0.0:9465"},
        "webhook.certificate",
        "without TLS the token would cross",
    ),
    "a certificate without its key": ({"certificate": "credential:secret"}, "webhook.certificate", "belong together"),
    "a socket": ({"listen": "unix:/run/x"}, "webhook.listen", "is a socket of this machine"),
    "a token in the open": ({"token": "abc"}, "webhook.token", "is written in the open"),
    "a signing key in the open": ({"signing_key": "abc"}, "webhook.signing_key", "is written in the open"),
    "a key in Vault": ({"signing_key": "vault:secret/x#y"}, "webhook.signing_key", "an emergency must get in"),
    "no reports at all": ({"rate_limit": 0}, "webhook.rate_limit", "is too small"),
}


@pytest.mark.parametrize(("changes", "path", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_a_webhook_must_not_be_is_told(tmp_path: Path, changes: dict[str, Any], path: str, words: str) -> None:
    options = {name: value for name, value in {**HERE, **changes}.items() if value is not None}
    assert words in problems(write(tmp_path / "rotator.toml", {"webhook": options}))[path]
