"""The doors themselves: opened where the configuration in force says, tried again while they cannot be, shut at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rotator.config import Control
from rotator.control.crew import Crew
from rotator.control.house import House
from rotator.sockets import SocketFile

if TYPE_CHECKING:
    from rotator.control.serving import Door, Porter

READ, CONTROL = "read.sock", "control.sock"
"""The names of the sockets: the door of questions, and that of questions and orders."""


class Doors:
    """Both doors of one house. ``remark`` is for the status: what could not be opened."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.crew = Crew(house.stopping)
        self.remark = ""
        self._settings: Control | None = None
        self._porter: Porter | None = None
        self._open: dict[str, tuple[SocketFile, Door]] = {}
        self._complained: dict[str, str] = {}
        self._closed = False
        self._tending = threading.Lock()

    def tend(self, settings: Control | None) -> None:
        """Have open what should be. That it cannot be is told once, and tried again at the next call."""
        with self._tending:
            if self._closed:
                return
            if settings != self._settings or (self._porter is not None and not self._porter.alive):
                self._shut(*self._open)
                self._complained.clear()
                self._settings = settings
            self._shut(*(name for name, (file, _) in self._open.items() if not file.there))
            for name in (READ, CONTROL) if settings else ():
                if name not in self._open:
                    self._try(name)
            self.remark = f"no control socket: {'; '.join(sorted(self._complained.values()))}" if self._complained else ""

    def close(self) -> None:
        """Nobody is let in any more, and never again. What is under way may finish within seconds."""
        with self._tending:
            self._closed = True
            self._shut(*self._open)
            if self._porter is not None:
                self._porter.close()

    # --- one door -----------------------------------------------------------------------------------------------------------

    def _try(self, name: str) -> None:
        if self._settings is None:
            raise AssertionError("only called where there are settings")
        path = self._settings.directory / name
        group = self._settings.control_group if name == CONTROL else self._settings.read_group
        try:
            self._open[name] = self._opened(SocketFile(path, group), orders=name == CONTROL)
        except OSError as error:
            reason = error.strerror or "input or output error"
            if isinstance(error, PermissionError) and group:
                reason = (
                    f"may not be made, or not given to group {group}: make the service's user a member (SupplementaryGroups=)"
                )
            if self._complained.get(name) != reason:
                self._complained[name] = f"{path} {reason}" if " " in reason else reason
                self._house.journal.emit("control.unavailable", listen=str(path), message=reason)
        else:
            self._complained.pop(name, None)
            self._house.journal.emit("control.listening", listen=str(path), orders=name == CONTROL)

    def _opened(self, file: SocketFile, *, orders: bool) -> tuple[SocketFile, Door]:
        # Here and not above: half a second and some megabytes, which only a daemon with doors pays.
        from rotator.control.api import Api  # noqa: PLC0415
        from rotator.control.serving import Door, Porter  # noqa: PLC0415

        if self._porter is None or not self._porter.alive:
            self._porter = Porter()
        door = Door(file.socket, Api(self._house, self.crew, orders=orders).app)
        self._porter.open(door)
        return file, door

    def _shut(self, *names: str) -> None:
        leaving = [self._open.pop(name) for name in names]
        for file, _ in leaving:
            file.unlink()
        if leaving and self._porter is not None:
            self._porter.shut(*(door for _, door in leaving))
        for file, _ in leaving:
            file.close()
