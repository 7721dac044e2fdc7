"""What goes through a port: events, on their way to the sink."""

from __future__ import annotations

from rotator.domain.ports import TapSink


class Receiver:
    """An event sink that keeps what it receives, with its name."""

    def __init__(self, name: str, received: list[tuple[str, str, object]]) -> None:
        self._name, self._received = name, received

    def emit(self, event: str, **fields: object) -> None:
        self._received.append((self._name, event, fields))


def test_an_event_that_is_tapped_is_seen_and_then_recorded_with_all_of_its_fields() -> None:
    received: list[tuple[str, str, object]] = []
    tapped = TapSink(Receiver("sink", received), lambda event, fields: received.append(("tap", event, fields)))
    tapped.emit("key.created", application="billing", version=3)
    fields = {"application": "billing", "version": 3}
    assert received == [("tap", "key.created", fields), ("sink", "key.created", fields)]
