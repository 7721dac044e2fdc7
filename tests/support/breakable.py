"""The program with faults that a test switches on: ``python -m tests.support.breakable DIRECTORY run --config …``.

A file in DIRECTORY named after a fault brings it about: ``busy`` blocks the event loop of the control API for good, ``no-threads``
has every start of a thread fail as at a limit, ``disk-full`` sends standard output to a full disk, ``hanging`` lets no creation of a
key come back, ``leak`` leaves a socket open.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

from rotator.api.http_server import HttpServer
from rotator.cli.main import root
from rotator.domain.keys import Key
from rotator.providers.scaleway.provider import ScalewayProvider

SERVERS: list[HttpServer] = []


def watch(directory: Path) -> None:
    """Bring each fault about when its file appears."""
    faults = {
        "busy": block_the_loop,
        "no-threads": refuse_threads,
        "disk-full": fill_the_disk,
        "hanging": hang_in_creations,
        "leak": leak,
    }
    while faults:
        for name in [name for name in faults if (directory / name).exists()]:
            faults.pop(name)()
            (directory / f"{name}.on").touch()
        time.sleep(0.05)


def block_the_loop() -> None:
    for server in SERVERS:
        server._loop.call_soon_threadsafe(time.sleep, 3600)


def refuse_threads() -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threading.Thread.start = start  # type: ignore[method-assign]


def fill_the_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def hang_in_creations() -> None:
    def create_key(self: ScalewayProvider, *_: object, **__: object) -> Key:
        time.sleep(3600)
        raise AssertionError

    ScalewayProvider.create_key = create_key  # type: ignore[method-assign,assignment]


def leak() -> None:
    socket.socket()


def main() -> None:
    directory = Path(sys.argv.pop(1))
    made = HttpServer.__init__

    def remember(self: HttpServer) -> None:
        made(self)
        SERVERS.append(self)

    HttpServer.__init__ = remember  # type: ignore[method-assign]
    threading.Thread(target=watch, args=(directory,), daemon=True).start()
    root()


if __name__ == "__main__":
    main()
