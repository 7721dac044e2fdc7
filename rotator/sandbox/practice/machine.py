"""A machine of the playground: a configuration, its credentials, and the daemon that uses them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from rotator.domain.secret import Secret
from rotator.errors import Refused, Unavailable
from rotator.sandbox.process import Process, wait_until


class Machine:
    """One directory. ``start``, ``stop`` and ``reload`` do what systemd does with the unit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "rotator.toml"
        self.log = directory / "daemon.log"
        self.frozen = False
        self._daemon: Process | None = None
        (directory / "run").mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def state(self) -> str:
        """``running``, ``frozen`` or ``stopped``."""
        if self._daemon is None or not self._daemon.alive():
            return "stopped"
        return "frozen" if self.frozen else "running"

    def configure(self, text: str) -> None:
        """Replace the configuration as a whole."""
        fresh = self.configuration.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.configuration)

    def keep(self, name: str, secret: Secret) -> None:
        """Store a credential in a file that only this user reads."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(secret.reveal())

    def start(self) -> None:
        """Start the daemon and return when it listens; nothing when it runs.

        Raises ``Refused`` when it ends instead.
        """
        if self.state != "stopped":
            return
        command = [sys.executable, "-m", "rotator", "run", "--log-format", "json", "--config", str(self.configuration)]
        begin = self.log.stat().st_size if self.log.exists() else 0
        socket = self.directory / "run" / "control.sock"
        socket.unlink(missing_ok=True)  # that of a daemon that was killed
        self._daemon, self.frozen = Process(command, self.log), False
        daemon = self._daemon

        def listens() -> bool:
            if not daemon.alive():
                raise Refused(
                    "the daemon ended instead of starting: "
                    f"{self.log.read_text(errors='replace')[begin:][-500:].strip()}"
                )
            if not socket.exists():
                raise Unavailable("not yet", service="sandbox", kind="starting")
            return True

        wait_until(listens, f"the daemon listens (its log is {self.log})")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the daemon: in good order, or as a crash does with SIGKILL."""
        if self._daemon is not None:
            self._daemon.end(number)

    def reload(self) -> None:
        """Have the daemon read its configuration again."""
        if self._daemon is not None:
            self._daemon.send(signal.SIGHUP)

    def freeze(self) -> None:
        """Stop the daemon in the middle of its work (SIGSTOP)."""
        if self._daemon is not None:
            self._daemon.send(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """Let a frozen daemon go on."""
        if self._daemon is not None and self.frozen:
            self._daemon.send(signal.SIGCONT)
            self.frozen = False
