"""Cells of real processes, really killed with SIGKILL at the moment that the director knows."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from rotator.domain.marker import parse_marker
from rotator.errors import Unavailable
from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon
from tests.proof.cell import Bound, Cell
from tests.proof.faults import KILLS_ALONE, READING, Call, Fault, Kill, Row

DAEMON = ("run", "--log-format", "json")


class Processes(Cell):
    """A process that is killed, and a daemon that takes its place."""

    rows = (*KILLS_ALONE, Row(Fault.CUT, Kill.NEXT))
    grace = timedelta(seconds=2)
    speed = FAST.format(every="30d", grace="2s")
    arguments: tuple[str, ...] = DAEMON
    """How it begins."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.director.kill = self.kill
        self.seen: list[str] = []

    @classmethod
    def concerns(cls, call: Call) -> bool:
        """A kill at a call that only asks is as good as one at the next that changes something."""
        return call.method not in READING

    def play(self) -> None:
        self.director.arm()
        self.process = Daemon(self.rig, self.name, self.file, arguments=self.arguments).start()
        try:
            while not self.at_rest():
                wait_until(lambda: self.over() or self.at_rest(), f"{self.name} comes to rest")
                if self.over():
                    self.replace()
        except Unavailable as error:
            raise Bound(str(error)) from None
        if self.process.process and self.process.alive():
            self.seen += [
                Path(f"/proc/{self.process.process.pid}/{what}")
                .read_bytes()
                .replace(b"\0", b" ")
                .decode(errors="replace")
                for what in ("cmdline", "environ")
            ]

    def over(self) -> bool:
        """Whether the process was killed, or the command has come to its end."""
        return self.director.dead or not self.process.alive()

    def replace(self) -> None:
        """A daemon takes the place of what is over."""
        assert self.director.dead or self.process.arguments[0] != "run", "the daemon ended by itself"
        self.process.end(signal.SIGKILL)
        self.director.revived()
        self.process = Daemon(self.rig, self.name, self.file, arguments=DAEMON).start()

    def kill(self) -> None:
        self.process.end(signal.SIGKILL)

    def at_rest(self) -> bool:
        rig, name = self.rig, self.name
        if self.director.dead or self.director.kill_is_due() or not rig.at_rest(name):
            return False
        if self.process.arguments[0] != "run" and self.process.alive():
            return False  # it still has to log out
        # A ledger with no open end may still have to hear of a leftover.
        ours = [key.access_key for key in rig.scaleway.keys(rig.bearers[name]) if parse_marker(key.description)]
        return ours == [rig.published(name)] and not rig.scaleway.accepts(self.first)

    def end(self) -> None:
        self.director.kill = lambda: None
        self.process.end(signal.SIGKILL)

    def lines(self) -> list[str]:
        return [*self.seen, *self.process.log.read_text().splitlines()]


class KilledDaemon(Processes):
    """`rotator run` is killed; the same as a rotation, with real processes"""


class KilledCommand(Processes):
    """`rotator rotate --compromised` is killed, and a daemon finds what it left"""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.arguments = ("rotate", self.name, "--compromised", "--reason", "leaked")

    def furnish(self, vault: str, scaleway: str) -> None:
        super().furnish(vault, scaleway)
        self.marked = frozenset({self.first})

    def judge(self) -> None:
        super().judge()
        if self.plan is None:
            assert any(line.startswith(f"{self.name}: contained: ") for line in self.lines()), (
                "the command did not say so"
            )
            self.check_contained()
