"""Messages to a real listener through the real library: they arrive, they are few, and nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.observability.notifications import NotificationSettings, Notifier
from rotator.observability.notifications import notifier as module
from rotator.observability.notifications.digest import Message
from rotator.observability.notifications.transport import DeliveryFailed, send
from tests.support.daemon_stage import eventually
from tests.support.listener import Listener
from tests.support.simulated import Recorder

pytest.importorskip("apprise", reason="messages are sent with it")

SOON = timedelta(milliseconds=100)
TOKEN = "t0ken-that-nobody-may-see"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as found:
        yield found


def address(listener: Listener) -> Callable[[], Secret]:
    return lambda: Secret(f"json://127.0.0.1:{listener.port}/{TOKEN}")


def settings(*listeners: Listener, every: timedelta = SOON) -> NotificationSettings:
    return NotificationSettings(
        targets={f"credential:{number}": address(found) for number, found in enumerate(listeners)}, notify_every=every
    )


def block(alarm: Notifier, name: str) -> None:
    alarm.emit("application.blocked", application=name, account="acme", reason="quota", message="…")


def names(recorder: Recorder) -> list[str]:
    return [event for event, _ in list(recorder.events)]


def test_an_event_becomes_a_message_and_is_still_recorded(listener: Listener) -> None:
    recorder = Recorder()
    with closing(Notifier(recorder, settings(listener))) as alarm:
        block(alarm, "billing")
        eventually(lambda: listener.messages)
    assert names(recorder) == ["application.blocked"]
    (message,) = listener.messages
    assert message["title"] == "rotator: failure"
    assert message["type"] == "failure"
    assert (
        "blocked until the reason clears; delete keys that nothing uses, or have the quota of account ACCOUNT raised (quota): billing"
        in message["message"]
    )
    assert listener.heard[0][0].startswith(f"/{TOKEN}")


def test_a_burst_over_a_hundred_applications_is_one_message_at_each_service(listener: Listener) -> None:
    with Listener() as other:
        alarm = Notifier(Recorder(), settings(listener, other, every=timedelta(hours=1)))
        for number in range(100):
            block(alarm, f"app-{number}")
        alarm.close()
        for found in (listener, other):
            (message,) = found.messages
            assert message["title"] == "rotator: 100 failures"


def test_events_go_on_while_a_service_does_not_answer(listener: Listener) -> None:
    recorder = Recorder()
    alarm = Notifier(recorder, settings(listener))
    listener.open.clear()
    block(alarm, "billing")
    eventually(lambda: listener.count, "the listener was reached and keeps silent")
    for number in range(1000):
        block(alarm, f"app-{number}")
    assert len(recorder.events) == 1001
    listener.open.set()
    eventually(lambda: any("1000 failures" in message["title"] for message in listener.messages))
    alarm.close()


def test_a_message_is_tried_again_and_then_dropped_with_a_word_in_the_log(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.01, 0.01))
    listener.status = 500
    recorder = Recorder()
    with Listener() as sound, closing(Notifier(recorder, settings(listener, sound))) as alarm:
        block(alarm, "billing")
        eventually(lambda: "notification.failed" in names(recorder))
        assert (listener.count, sound.count) == (3, 1)
        (failed,) = [fields for event, fields in recorder.events if event == "notification.failed"]
        assert failed == {
            "target": "credential:0",
            "message": "the service did not take the message, or could not be reached",
        }
        listener.status = 200
        block(alarm, "shop")
        eventually(lambda: listener.count == 4 and sound.count == 2)
        assert listener.messages[-1]["message"].startswith("1 earlier message could not be delivered.\nfailure: ")
        assert "earlier" not in sound.messages[-1]["message"]


def test_the_end_sends_what_is_still_to_be_told_and_does_not_wait_for_a_silent_service(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    monkeypatch.setattr(module, "SHUTDOWN_TIMEOUT", 0.2)
    alarm = Notifier(Recorder(), settings(listener, every=timedelta(hours=1)))
    listener.open.clear()
    block(alarm, "billing")
    alarm.close()
    eventually(lambda: listener.count == 1)


def test_nobody_to_tell_means_no_thread() -> None:
    recorder = Recorder()
    before = threading.active_count()
    alarm = Notifier(recorder)
    block(alarm, "billing")
    alarm.ping()
    alarm.close()
    assert threading.active_count() == before
    assert names(recorder) == ["application.blocked"]


def test_a_reload_brings_other_targets_into_force(listener: Listener) -> None:
    with Listener() as other, closing(Notifier(Recorder(), settings(listener))) as alarm:
        block(alarm, "billing")
        eventually(lambda: listener.messages)
        alarm.apply_runtime(settings(other))
        block(alarm, "shop")
        eventually(lambda: other.messages)
        assert len(listener.messages) == 1


def test_an_address_is_read_anew_for_every_message(listener: Listener) -> None:
    addresses = ["json://127.0.0.1:1/", f"json://127.0.0.1:{listener.port}/"]
    read = iter(addresses)
    one = NotificationSettings(targets={"file:x": lambda: Secret(next(read))}, notify_every=SOON)
    with closing(Notifier(Recorder(), one)) as alarm:
        monkey = pytest.MonkeyPatch()
        monkey.setattr(module, "RETRY_DELAYS", (0.0, 0.01))
        block(alarm, "billing")
        eventually(lambda: listener.messages)
        monkey.undo()


def nothing_there() -> Secret:
    raise ConfigurationError([ConfigurationProblem("credential:notify", "", "is empty; put the secret into it")])


@pytest.mark.parametrize(
    ("supply", "words"),
    [
        (lambda: Secret("json://127.0.0.1:1/" + TOKEN), "could not be reached"),
        (lambda: Secret(TOKEN), "no address that Apprise understands"),
        (nothing_there, "is empty"),
    ],
    ids=["nobody there", "no address", "no secret"],
)
def test_what_went_wrong_is_told_without_the_address(
    supply: Callable[[], Secret], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((DeliveryFailed, ConfigurationError), match=words) as caught:
        send(supply, Message("title", "body", "failure"))
    text = "".join(capfd.readouterr()) + str(caught.value) + repr(caught.value.__context__)
    assert TOKEN not in text
    assert "127.0.0.1" not in text


def test_a_redirect_does_not_take_the_message_elsewhere(listener: Listener) -> None:
    with Listener() as elsewhere:
        listener.status, listener.location = 307, elsewhere.url
        with pytest.raises(DeliveryFailed):
            send(address(listener), Message("title", "body", "failure"))
        assert (listener.count, elsewhere.count) == (1, 0)
