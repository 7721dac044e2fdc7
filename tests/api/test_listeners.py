"""The listeners of a daemon: what is opened, what is reported, and what is tried again."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotator.api import listeners as module
from rotator.api.listeners import Listeners, ListenerSettings
from rotator.config import Control, Listener, Webhook
from rotator.config.secret_reference import Reference
from rotator.sandbox.process import free_port
from tests.api.conftest import FakeHouse
from tests.support.daemon_stage import runtime


@pytest.fixture
def house(tmp_path: Path) -> FakeHouse:
    return FakeHouse(runtime("billing", source=str(tmp_path / "rotator.toml")))


def told(house: FakeHouse, *names: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, fields) for name, fields in house.events.events if name in names]


CONTROL = ("control.listening", "control.unavailable")
WEBHOOK = ("webhook.listening", "webhook.unavailable")


def hook_of(folder: Path, port: int | None = None) -> Webhook:
    key = folder / "key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    return Webhook(Listener("127.0.0.1", port or free_port()), signing_key=Reference("file", str(key)))


def test_a_listener_has_an_address_and_a_socket_the_group_that_may_use_it(tmp_path: Path) -> None:
    settings = ListenerSettings(Control(tmp_path, "readers", "operators"), hook_of(tmp_path, 8443))
    assert settings.where() == {
        "read.sock": str(tmp_path / "read.sock"),
        "control.sock": str(tmp_path / "control.sock"),
        "webhook": "127.0.0.1:8443",
    }
    assert [settings.group(name) for name in ("read.sock", "control.sock")] == ["readers", "operators"]
    assert ListenerSettings().where() == {}
    assert ListenerSettings().group("control.sock") == ""


def test_what_is_opened_is_reported_once_and_closed_when_it_is_configured_no_more(
    house: FakeHouse, tmp_path: Path
) -> None:
    listeners, hook = Listeners(house), hook_of(tmp_path)
    assert listeners.idle() == 0.0
    for _ in range(2):
        listeners.maintain(Control(tmp_path), hook)
    assert told(house, *CONTROL, *WEBHOOK) == [
        ("control.listening", {"listen": str(tmp_path / "read.sock"), "orders": False}),
        ("control.listening", {"listen": str(tmp_path / "control.sock"), "orders": True}),
        ("webhook.listening", {"listen": str(hook.at)}),
    ]
    assert listeners.remark == ""
    assert listeners.idle() < 60
    listeners.maintain(None, None)
    assert not (tmp_path / "control.sock").exists()
    listeners.close()
    assert listeners.idle() == 0.0
    listeners.maintain(Control(tmp_path), hook)
    assert not (tmp_path / "control.sock").exists(), "after the end nothing is opened"


def test_a_socket_that_was_removed_is_opened_again(house: FakeHouse, tmp_path: Path) -> None:
    listeners = Listeners(house)
    listeners.maintain(Control(tmp_path))
    (tmp_path / "control.sock").unlink()
    listeners.maintain(Control(tmp_path))
    assert (tmp_path / "control.sock").is_socket()
    assert len(told(house, "control.listening")) == 3
    listeners.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied"),
            (
                "may not be made, or not be given to group operators: make the service's user a member "
                "(SupplementaryGroups=)"
            ),
        ),
        (OSError(98, "Address already in use"), "address already in use"),
        (OSError("x"), "input or output error"),
    ],
)
def test_a_socket_that_cannot_be_made_is_reported_once_with_the_reason_and_tried_again(
    house: FakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    listeners, control = Listeners(house), Control(tmp_path, "operators", "operators")

    def refused(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "SocketFile", refused)
        for _ in range(2):
            listeners.maintain(control)
        assert told(house, *CONTROL) == [
            ("control.unavailable", {"listen": str(tmp_path / name), "message": message})
            for name in ("read.sock", "control.sock")
        ]
        assert listeners.remark == (
            f"cannot listen at {tmp_path / 'read.sock'}; cannot listen at {tmp_path / 'control.sock'}"
        )
    listeners.maintain(replace(control, read_group="", control_group=""))
    assert listeners.remark == ""
    assert len(told(house, "control.listening")) == 2
    listeners.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (ssl.SSLError(1, "odd"), "the certificate or the key is unusable, or they do not belong together"),
        (OSError(98, "Address already in use"), "address already in use"),
    ],
)
def test_a_port_that_cannot_be_opened_is_reported_by_its_reason(
    house: FakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    listeners, hook = Listeners(house), hook_of(tmp_path)

    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "Port", refused)
    for _ in range(2):
        listeners.maintain(None, hook)
    assert told(house, *WEBHOOK) == [("webhook.unavailable", {"listen": str(hook.at), "message": message})]
    other = replace(hook, at=Listener("127.0.0.1", free_port()))
    listeners.maintain(None, other)
    assert [fields["listen"] for _, fields in told(house, *WEBHOOK)] == [str(hook.at), str(other.at)]
    assert listeners.remark == f"cannot listen at {other.at}"
    listeners.close()
