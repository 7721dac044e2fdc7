"""Calls a function for several items at once; the failure of one does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_concurrently(
    function: Callable[[T], R], items: Iterable[T], *, at_once: int = 16, lane: Callable[[T], Hashable] = lambda _: None
) -> Sequence[R | Exception]:
    """What the function returned or raised for each item, in their order."""
    found = list(items)
    results: dict[int, R | Exception] = dict(as_completed(function, found, at_once=at_once, lane=lane))
    return [results[number] for number in range(len(found))]


def as_completed(
    function: Callable[[T], R], items: Iterable[T], *, at_once: int = 16, lane: Callable[[T], Hashable] = lambda _: None
) -> Iterator[tuple[int, R | Exception]]:
    """The index of each item and what the function returned or raised for it, as they complete.

    Each lane has ``at_once`` threads of its own: with the account as the lane, a blocked account
    delays no item of another. The caller may stop early. The threads are daemons: Ctrl-C ends the
    command at once.
    """
    lanes: dict[Hashable, SimpleQueue[tuple[int, T]]] = {}
    done: SimpleQueue[tuple[int, R | Exception]] = SimpleQueue()
    count = 0
    for number, item in enumerate(items):
        lanes.setdefault(lane(item), SimpleQueue()).put((number, item))
        count += 1

    def work(waiting: SimpleQueue[tuple[int, T]]) -> None:
        while True:
            try:
                number, item = waiting.get_nowait()
            except Empty:
                return
            try:
                done.put((number, function(item)))
            except Exception as error:  # noqa: BLE001 - handed to the caller as this item's result
                done.put((number, error))

    if count == 1:
        work(next(iter(lanes.values())))
    else:
        for waiting in lanes.values():
            for _ in range(min(at_once, waiting.qsize())):
                threading.Thread(target=work, args=(waiting,), daemon=True).start()
    for _ in range(count):
        yield done.get()
