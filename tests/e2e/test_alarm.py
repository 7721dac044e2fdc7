"""The alarm of the real program: a dead-man's switch and a service that are real listeners, a Vault that is sealed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from rotator.domain.secret import Secret
from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Rig
from tests.support.listener import Listener

pytest.importorskip("apprise", reason="messages are sent with it")

ALARM = """
[heartbeat]
url = "file:ping"
interval = "1s"
[notifications]
name = "production"
targets = ["file:chat"]
min_interval = "1s"
"""


@pytest.fixture
def switch() -> Iterator[Listener]:
    with Listener() as found:
        yield found


@pytest.fixture
def chat() -> Iterator[Listener]:
    with Listener() as found:
        yield found


def test_a6_silence_and_messages_tell_of_a_sealed_vault_and_hold_no_address(switch: Listener, chat: Listener) -> None:
    with Rig() as rig:
        for name in ("billing", "shop"):
            rig.application(name)
        rig.keep("ping", Secret(f"{switch.url}/t0ken-of-the-switch"))
        rig.keep("chat", Secret(f"json://127.0.0.1:{chat.port}/t0ken-of-the-chat"))
        rig.configure(FAST.format(every="30d", grace="24h"), daemon=ALARM)
        daemon = rig.daemon()

        def heard(words: str) -> None:
            wait_until(lambda: words in json.dumps(chat.messages), f"people hear: {words}")

        wait_until(lambda: switch.count >= 2, "pings come")
        assert daemon.said("heartbeat.sent")
        rig.vault.seal()
        heard("a service cannot be used (sealed): vault")
        wait_until(
            lambda: daemon.said("heartbeat.unhealthy", reason="service_away", subject="vault"), "the round is not sound"
        )
        rig.vault.unseal()
        heard("recovery: back: vault")
        before = switch.count
        wait_until(lambda: switch.count >= before + 2, "pings come again")
        assert daemon.said("heartbeat.healthy")

        sound = rig.configuration.read_text()
        rig.configuration.write_text(sound + "\n[nonsense]\n")
        daemon.send(signal.SIGHUP)
        heard("the new configuration is not valid; the old one stays in force")
        rig.configuration.write_text(sound.replace('"production"', '"elsewhere"'))
        daemon.send(signal.SIGHUP)
        heard("elsewhere: recovery")

        done = rig.command("rotate", "billing", "--compromised", "--reason", f"seen at {rig.vault.address}")
        heard("every compromised key is verified as revoked: billing")
        daemon.end(signal.SIGTERM)
        assert daemon.said("daemon.stopped")

        messages = json.dumps(chat.messages)
        secrets = [*rig.all_secrets(), "t0ken-of-the-switch", "t0ken-of-the-chat"]
        internal = ["127.0.0.1", "http", "/", rig.published("billing"), rig.ledger("shop")["bearer"]]
        for text in [*secrets, *internal]:
            assert text not in messages, text
        everything = daemon.log.read_text() + done.stdout + done.stderr
        for text in secrets:
            assert text not in everything
        assert not daemon.said("notification.failed")
        assert not daemon.said("heartbeat.failed")
        assert not daemon.said("daemon.crashed")
