"""A property is computed once for each object, and objects of one class do not wait for each other."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from rotator.util.cached import cached_property


@dataclass(frozen=True)
class Thing:
    name: str
    computed: list[str] = field(default_factory=list)
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def length(self) -> int:
        """The length of the name."""
        self.computed.append(self.name)
        self.entered.set()
        if self.gate:
            assert self.gate.wait(60)
        return len(self.name)


def test_it_is_computed_once_for_each_object() -> None:
    one, other = Thing("one"), Thing("other")
    assert (one.length, one.length, other.length, other.length) == (3, 3, 5, 5)
    assert (one.computed, other.computed) == (["one"], ["other"])
    assert Thing.length.__doc__ == "The length of the name."


def test_an_object_does_not_wait_for_another_of_its_class() -> None:
    slow, quick = Thing("slow", gate=threading.Event()), Thing("quick")
    thread = threading.Thread(target=lambda: slow.length)
    thread.start()
    assert slow.entered.wait(60)
    found: list[int] = []
    second = threading.Thread(target=lambda: found.append(quick.length), daemon=True)
    second.start()
    second.join(20)
    assert slow.gate
    slow.gate.set()
    thread.join()
    assert found == [5]
