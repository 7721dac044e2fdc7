"""``rotator notify``: real messages to a real listener, and no address anywhere."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli.output.progress import _SENTENCES, Progress
from rotator.domain.secret import Secret
from rotator.observability.notifications import NotificationSettings
from tests.cli.conftest import Desk
from tests.support.listener import Listener

pytest.importorskip("apprise", reason="messages are sent with it")

TOKEN = "t0ken-that-nobody-may-see"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as found:
        yield found


def targets(**ports: int) -> NotificationSettings:
    made = {
        f"credential:{name}": (lambda port=port: Secret(f"json://127.0.0.1:{port}/{TOKEN}"))
        for name, port in ports.items()
    }
    return NotificationSettings(name="production", targets=made)


def test_without_test_the_targets_are_listed_and_nothing_is_sent(desk: Desk, listener: Listener) -> None:
    desk.alarm = targets(chat=listener.port, mail=listener.port)
    result = desk.type("notify")
    assert (result.exit_code, result.stdout) == (0, "credential:chat\ncredential:mail\n")
    assert listener.count == 0


def test_with_test_each_target_gets_one_message_and_is_reported(desk: Desk, listener: Listener) -> None:
    desk.alarm = targets(chat=listener.port, mail=1)
    result = desk.type("notify", "--test")
    assert result.exit_code == 1
    assert result.stdout == "credential:chat: the message was sent\n"
    assert result.stderr == "rotator: credential:mail: the service did not take the message, or could not be reached\n"
    (message,) = listener.messages
    assert message["title"] == "production: a test"
    assert TOKEN not in result.output


def test_as_json_there_is_one_entry_for_each_target(desk: Desk, listener: Listener) -> None:
    desk.alarm = targets(chat=listener.port, mail=1)
    answer = json.loads(desk.type("notify", "--test", "--json").stdout)
    assert [(entry["target"], entry["sent"]) for entry in answer["targets"]] == [
        ("credential:chat", True),
        ("credential:mail", False),
    ]
    assert TOKEN not in json.dumps(answer)


def test_where_nobody_is_configured_it_says_how(desk: Desk) -> None:
    result = desk.type("notify", "--test")
    assert result.exit_code == 2
    assert "notifications.targets: names no target; write targets = " in result.stderr


def test_a_containment_at_the_command_line_is_told_to_people(desk: Desk, listener: Listener) -> None:
    desk.alarm = targets(chat=listener.port)
    assert desk.type("rotate", "billing").exit_code == 0
    assert listener.count == 0
    result = desk.type("rotate", "billing", "--compromised", "--reason", "seen at host.internal")
    assert result.exit_code == 0, result.stderr
    text = json.dumps(listener.messages)
    assert "compromise: a key was marked compromised; it is replaced and revoked at once: billing" in text
    assert "recovery: every compromised key is verified as revoked: billing" in text
    assert "internal" not in text


def test_that_people_could_not_be_told_of_a_containment_is_said_and_fails_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.alarm = targets(chat=1)
    told: list[str] = []
    monkeypatch.setattr(Progress, "emit", lambda self, event, **fields: told.append(f"{event} {fields.get('target')}"))
    assert desk.type("rotate", "billing", "--compromised", "--reason", "leak").exit_code == 0
    assert "notification.failed credential:chat" in told
    assert "notification.failed" in _SENTENCES


def test_the_real_program_reads_the_address_from_its_file_and_shows_it_nowhere(
    tmp_path: Path, listener: Listener
) -> None:
    for name, text in (("token", "made-up"), ("chat", f"json://127.0.0.1:{listener.port}/{TOKEN}")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRUSR)
    (tmp_path / "rotator.toml").write_text(
        """
        [vault]
        address = "http://127.0.0.1:1"
        ledger_path = "secret/rotator"
        auth = { method = "token", token = "file:token" }
        [accounts.acme]
        organization_id = "1f0e2d3c-1111-4111-8111-111111111111"
        secret_key = "file:token"
        [applications.billing]
        application_id = "2f0e2d3c-2222-4222-8222-222222222222"
        path = "secret/apps/billing"
        [notifications]
        targets = ["file:chat"]
        """
    )
    done = subprocess.run(
        [sys.executable, "-m", "rotator", "notify", "--test", "--config", str(tmp_path / "rotator.toml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"file:{tmp_path}/chat: the message was sent\n"
    assert listener.messages[0]["title"] == "rotator: a test"
