"""`[alarm]`: addresses are secrets, so they are references; what is wrong with them is told without them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Reference
from rotator.config import loader as reading
from tests.config.test_loader import SECRET, credentials, keep, problems, sound, write  # noqa: F401 - credentials is a fixture

TOKEN = "t0ken-that-nobody-may-see"


def kept(folder: Path, name: str, text: str) -> str:
    keep(folder / name, text)
    return f"credential:{name}"


def test_without_it_nobody_is_told(tmp_path: Path) -> None:
    alarm = sound(tmp_path).alarm
    assert (alarm.ping, alarm.notify, alarm.name) == (None, (), "rotator")
    assert (alarm.ping_every, alarm.notify_every, alarm.deadline_notice) == (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(days=3),
    )


def test_references_are_kept_and_files_begin_at_the_folder_of_the_configuration(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    keep(tmp_path / "chat", "json://127.0.0.1/")
    ping = kept(credentials, "ping", f"https://ping.example.com/{TOKEN}?x=1\n")
    alarm = sound(tmp_path, alarm={"ping": ping, "notify": ["file:chat", "credential:secret"], "name": "production"}).alarm
    assert alarm.ping == Reference("credential", "ping")
    assert alarm.notify == (Reference("file", str(tmp_path / "chat")), Reference("credential", "secret"))
    assert alarm.name == "production"


def test_an_address_without_tls_is_good_on_this_machine_and_where_it_is_allowed(tmp_path: Path, credentials: Path) -> None:  # noqa: F811 - a fixture
    assert sound(tmp_path, alarm={"ping": kept(credentials, "local", "http://127.0.0.1:8080/x")}).alarm.ping
    assert sound(tmp_path, alarm={"ping": kept(credentials, "far", "http://ping.example.com/x"), "allow_http": True}).alarm.ping


@pytest.mark.parametrize(
    ("alarm", "path", "words"),
    {
        "a ping in the open": ({"ping": f"https://ping.example.com/{TOKEN}"}, "alarm.ping", "is written in the open"),
        "a service in the open": ({"notify": [f"json://{TOKEN}"]}, "alarm.notify", "is written in the open"),
        "no list": ({"notify": "credential:secret"}, "alarm.notify", "is not a list of references"),
        "one twice": ({"notify": ["credential:secret", "credential:secret"]}, "alarm.notify", "names one reference twice"),
        "a ping in Vault": ({"ping": "vault:secret/x#y"}, "alarm.ping", "an alarm must get out when Vault is away"),
        "a service in Vault": ({"notify": ["vault:secret/x#y"]}, "alarm.notify", "an alarm must get out when Vault is away"),
        "a file that is not there": ({"notify": ["credential:nowhere"]}, "alarm.notify", "is not in $CREDENTIALS_DIRECTORY"),
        "a ping that is not there": ({"ping": "credential:nowhere"}, "alarm.ping", "is not in $CREDENTIALS_DIRECTORY"),
        "no address": ({"ping": "credential:secret"}, "alarm.ping", "holds no web address"),
        "a broken address": ({"ping": "credential:broken"}, "alarm.ping", "holds no web address"),
        "an address without TLS": ({"ping": "credential:far"}, "alarm.ping", "holds an address without TLS"),
        "a name with spaces": ({"name": "my rotator"}, "alarm.name", "is not an identifier"),
        "a mistyped option": ({"pings": "x"}, "alarm.pings", "did you mean ping"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_with_its_place_and_without_the_address(
    tmp_path: Path,
    credentials: Path,  # noqa: F811 - a fixture
    alarm: dict[str, Any],
    path: str,
    words: str,
) -> None:
    kept(credentials, "far", f"http://ping.example.com/{TOKEN}")
    kept(credentials, "broken", f"https://[::1/{TOKEN}")
    told = problems(write(tmp_path / "rotator.toml", {"alarm": alarm}))
    assert list(told) == [path]
    assert words in told[path]
    assert TOKEN not in told[path]
    assert SECRET not in told[path]


def test_services_need_the_extra_and_it_is_said_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    told = problems(write(tmp_path / "rotator.toml", {"alarm": {"notify": ["credential:secret"]}}))
    assert "install rotator[notify]" in told["alarm.notify"]
