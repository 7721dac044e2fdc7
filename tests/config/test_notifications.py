"""`[heartbeat]` and `[notifications]`: addresses are secrets, so they are references; what is wrong with them is told without them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Reference
from rotator.config import sections as reading
from tests.config.test_loader import SECRET, credentials, keep, problems, sound, write  # noqa: F401 - credentials is a fixture

TOKEN = "t0ken-that-nobody-may-see"


def kept(folder: Path, name: str, text: str) -> str:
    keep(folder / name, text)
    return f"credential:{name}"


def test_by_default_nothing_is_sent(tmp_path: Path) -> None:
    heartbeat, notifications = sound(tmp_path).heartbeat, sound(tmp_path).notifications
    assert (heartbeat.url, notifications.targets, notifications.name) == (None, (), "rotator")
    assert (heartbeat.interval, notifications.min_interval, notifications.deadline_warning) == (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(days=3),
    )


def test_references_are_kept_and_files_begin_at_the_folder_of_the_configuration(
    tmp_path: Path,
    credentials: Path,  # noqa: F811 - a fixture
) -> None:
    keep(tmp_path / "chat", "json://127.0.0.1/")
    url = kept(credentials, "ping", f"https://ping.acme.test/{TOKEN}?x=1\n")
    wanted = {"targets": ["file:chat", "credential:secret"], "name": "production"}
    configuration = sound(tmp_path, heartbeat={"url": url}, notifications=wanted)
    assert configuration.heartbeat.url == Reference("credential", "ping")
    assert configuration.notifications.targets == (
        Reference("file", str(tmp_path / "chat")),
        Reference("credential", "secret"),
    )
    assert configuration.notifications.name == "production"


def test_an_address_without_tls_is_good_on_this_machine_and_where_it_is_allowed(
    tmp_path: Path,
    credentials: Path,  # noqa: F811 - a fixture
) -> None:
    assert sound(tmp_path, heartbeat={"url": kept(credentials, "local", "http://127.0.0.1:8080/x")}).heartbeat.url
    far = kept(credentials, "far", "http://ping.acme.test/x")
    assert sound(tmp_path, heartbeat={"url": far, "allow_http": True}).heartbeat.url


def test_an_address_of_this_machine_without_tls_goes_through_no_other_machine(
    tmp_path: Path,
    credentials: Path,  # noqa: F811 - a fixture
) -> None:
    heartbeat = {
        "url": kept(credentials, "local", f"http://127.0.0.1:8080/{TOKEN}"),
        "proxy": "http://proxy.acme.test:3128",
    }
    told = problems(write(tmp_path / "rotator.toml", {"heartbeat": heartbeat}))
    assert list(told) == ["heartbeat.proxy"]
    assert "leave out proxy" in told["heartbeat.proxy"]
    assert sound(tmp_path, heartbeat=heartbeat | {"proxy": "http://127.0.0.1:3128"}).heartbeat.proxy


@pytest.mark.parametrize(
    ("table", "options", "option", "words"),
    {
        "a ping in the open": (
            "heartbeat",
            {"url": f"https://ping.acme.test/{TOKEN}"},
            "url",
            "is written in the open",
        ),
        "a service in the open": (
            "notifications",
            {"targets": [f"json://{TOKEN}"]},
            "targets",
            "is written in the open",
        ),
        "no list": ("notifications", {"targets": "credential:secret"}, "targets", "is not a list of references"),
        "one twice": (
            "notifications",
            {"targets": ["credential:secret", "credential:secret"]},
            "targets",
            "names one reference twice",
        ),
        "a ping in Vault": (
            "heartbeat",
            {"url": "vault:secret/x#y"},
            "url",
            "is in Vault, which may be the service that fails",
        ),
        "a service in Vault": (
            "notifications",
            {"targets": ["vault:secret/x#y"]},
            "targets",
            "is in Vault, which may be the service that fails",
        ),
        "a file that is not there": (
            "notifications",
            {"targets": ["credential:nowhere"]},
            "targets",
            "is not in $CREDENTIALS_DIRECTORY",
        ),
        "a ping that is not there": (
            "heartbeat",
            {"url": "credential:nowhere"},
            "url",
            "is not in $CREDENTIALS_DIRECTORY",
        ),
        "no address": ("heartbeat", {"url": "credential:secret"}, "url", "holds no web address"),
        "a broken address": ("heartbeat", {"url": "credential:broken"}, "url", "holds no web address"),
        "an address without TLS": ("heartbeat", {"url": "credential:far"}, "url", "holds an address without TLS"),
        "a name with spaces": ("notifications", {"name": "my rotator"}, "name", "is not an identifier"),
        "a mistyped option": ("heartbeat", {"urls": "x"}, "urls", "did you mean url"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_told_with_its_place_and_without_the_address(
    tmp_path: Path,
    credentials: Path,  # noqa: F811 - a fixture
    table: str,
    options: dict[str, Any],
    option: str,
    words: str,
) -> None:
    kept(credentials, "far", f"http://ping.acme.test/{TOKEN}")
    kept(credentials, "broken", f"https://[::1/{TOKEN}")
    told = problems(write(tmp_path / "rotator.toml", {table: options}))
    path = f"{table}.{option}"
    assert list(told) == [path]
    assert words in told[path]
    assert TOKEN not in told[path]
    assert SECRET not in told[path]


def test_services_need_the_extra_and_it_is_said_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    told = problems(write(tmp_path / "rotator.toml", {"notifications": {"targets": ["credential:secret"]}}))
    assert "pip install 'apprise" in told["notifications.targets"]
