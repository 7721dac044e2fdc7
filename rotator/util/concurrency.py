"""The same thing for several applications at once: the failure of one does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_concurrently(function: Callable[[T], R], items: Iterable[T], *, at_once: int = 16) -> Sequence[R | Exception]:
    """What the function returned, or raised, for each item, in their order.

    The threads are daemons: Ctrl-C ends the command at once, whatever they wait for, as any kill may.
    """
    tasks = list(enumerate(items))
    results: dict[int, R | Exception] = {}
    waiting: SimpleQueue[tuple[int, T]] = SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def work() -> None:
        while True:
            try:
                number, item = waiting.get_nowait()
            except Empty:
                return
            try:
                results[number] = function(item)
            except Exception as error:  # noqa: BLE001 - handed to the caller as this item's result
                results[number] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(tasks)))]
    if len(threads) == 1:
        work()
    else:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [results[number] for number, _ in tasks]
