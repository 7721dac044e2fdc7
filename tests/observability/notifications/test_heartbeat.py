"""The ping of a dead-man's switch, to a real listener."""

from __future__ import annotations

import pytest

from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings, Notifier
from tests.support.daemon_stage import eventually
from tests.support.listener import Listener
from tests.support.simulated import Recorder

TOKEN = "t0ken-that-nobody-may-see"


def alarm_at(url: str) -> tuple[Notifier, Recorder]:
    recorder = Recorder()
    return Notifier(recorder, NotificationSettings(ping=HeartbeatSettings(lambda: Secret(f"{url}/{TOKEN}")))), recorder


def test_a_ping_is_one_get_and_its_success_is_told_once() -> None:
    with Listener() as listener:
        alarm, recorder = alarm_at(listener.url)
        for _ in range(3):
            alarm.ping(wait=True)
        assert listener.heard == [(f"/{TOKEN}", b"")] * 3
        assert recorder.events == [("heartbeat.sent", {})]


def test_a_switch_that_is_away_is_told_once_and_again_when_it_is_back() -> None:
    with Listener() as listener:
        alarm, recorder = alarm_at(listener.url)
        listener.status = 503
        for _ in range(3):
            alarm.ping(wait=True)
        listener.status = 200
        alarm.ping(wait=True)
        assert recorder.events == [
            ("heartbeat.failed", {"message": "the service answered 503"}),
            ("heartbeat.sent", {}),
        ]


def test_while_a_ping_gets_no_answer_no_second_one_is_begun_and_nobody_waits() -> None:
    with Listener() as listener:
        alarm, _ = alarm_at(listener.url)
        listener.open.clear()
        alarm.ping()
        eventually(lambda: listener.count == 1)
        for _ in range(100):
            alarm.ping()
        assert listener.count == 1
        listener.open.set()
        alarm.ping(wait=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address", "http://[::1"])
def test_what_went_wrong_is_told_without_the_address(url: str) -> None:
    alarm, recorder = alarm_at(url)
    alarm.ping(wait=True)
    ((event, fields),) = recorder.events
    assert event == "heartbeat.failed"
    assert TOKEN not in str(fields)
    assert "127.0.0.1" not in str(fields)


def test_a_secret_that_cannot_be_read_is_a_word_in_the_log() -> None:
    def missing() -> Secret:
        raise ConfigurationError([ConfigurationProblem("credential:ping-url", "", "is empty; put the secret into it")])

    recorder = Recorder()
    Notifier(recorder, NotificationSettings(ping=HeartbeatSettings(missing))).ping(wait=True)
    assert recorder.events == [
        ("heartbeat.failed", {"message": "credential:ping-url: is empty; put the secret into it"})
    ]
