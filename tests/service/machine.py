"""A machine of its own for a test: this one's files under an overlay, a really booted systemd, and the network of this one.

Nothing that happens in there outlives it. It needs root, namespaces and ``systemd-nspawn``; ``why_not`` says what is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from rotator.errors import Unavailable
from rotator.sandbox.process import wait_until

TOOLS = (
    "systemd-nspawn",
    "systemd-analyze",
    "systemd-creds",
    "nsenter",
    "mount",
    "dpkg-deb",
    "sudo",
    "/usr/bin/python3",
)
SUITS = ("/usr/bin/python3", "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))")
BOOT_PATIENCE = 60.0
NSPAWN = (
    *("systemd-nspawn", "--console=pipe", "--register=no", "--keep-unit"),
    *("--capability=all", "--system-call-filter=bpf"),  # what filters of addresses need
)


class CannotBoot(Exception):
    """Machines cannot be had here; the text is the reason."""


def why_not() -> str:
    """Why there can be no machine here; empty when there can."""
    if os.geteuid() != 0:
        return "a machine of its own needs root"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"this machine has no {', '.join(missing)} (Debian: systemd-container, sudo, python3)"
    suits = subprocess.run([*SUITS], capture_output=True, check=False).returncode == 0
    return (
        "" if suits else "the machine's own Python is older than 3.11, or makes no environments (Debian: python3-venv)"
    )


@dataclass
class Machine:
    """Enter it to boot. ``run`` is a command in it, ``root`` are its files as they are seen from here."""

    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rotator-machine-")))
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _init: int = 0

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def __enter__(self) -> Self:
        try:
            self._furnish()
            self._boot()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _furnish(self) -> None:
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        upper = self.directory / "upper"
        for place in (upper, self.root):
            place.mkdir()
        self._mount("-t", "tmpfs", "tmpfs", str(upper))
        for place in (upper / "files", upper / "work"):
            place.mkdir()
        self._mount(
            "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper}/files,workdir={upper}/work", str(self.root)
        )
        machine_id = self.root / "etc" / "machine-id"
        machine_id.unlink(missing_ok=True)
        machine_id.write_text(os.urandom(16).hex() + "\n")

    def _mount(self, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBoot(f"this machine cannot mount: {done.stderr.strip()}")
        self._stack.callback(subprocess.run, ["umount", "--lazy", arguments[-1]], check=False)

    def _boot(self) -> None:
        log = self.directory / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [
                    *NSPAWN,
                    f"--directory={self.root}",
                    f"--machine=rotator-{os.getpid()}-{id(self)}",
                    "--boot",
                    "--",
                    "--unit=basic.target",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        self._stack.callback(_end, child)

        def booted() -> bool:
            if child.poll() is not None:
                raise CannotBoot(f"systemd does not boot here: {log.read_text(errors='replace')[-300:].strip()}")
            found = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
            self._init = int(found[0]) if found else 0
            return bool(found) and self.run("systemctl", "is-system-running", check=False).stdout.strip() in (
                "running",
                "degraded",
            )

        try:
            wait_until(booted, "systemd has booted", timeout=BOOT_PATIENCE)
        except Unavailable as error:
            raise CannotBoot(str(error)) from None

    # --- what can be done in it ---

    def enter(self, *command: str) -> list[str]:
        """The command as it has to be called from here to run in there."""
        return ["nsenter", f"--target={self._init}", "--all", "--", *command]

    def run(
        self,
        *command: str,
        check: bool = True,
        stdin: str = "",
        env: dict[str, str] | None = None,
        patience: float = 300,
    ) -> Any:
        """Run a command in there to its end. (A ``CompletedProcess[str]``.)"""
        done = subprocess.run(
            self.enter(*command),
            capture_output=True,
            text=True,
            input=stdin,
            timeout=patience,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **(env or {})},
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file in there."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=mode)
        file.write_text(text)

    # --- the service in it ---

    def systemctl(self, *arguments: str, check: bool = True) -> Any:
        return self.run("systemctl", *arguments, check=check)

    def show(self, name: str) -> str:
        """A property of the service."""
        return str(self.systemctl("show", "rotator", "--property", name, "--value").stdout).strip()

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """Entries of the journal that match."""
        done = self.run("journalctl", "--no-pager", "--output=json", "--output-fields=", *arguments, check=False)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def said(self, event: str, *matches: str) -> bool:
        """Whether the service has logged that event."""
        return bool(self.journal(f"ROTATOR_EVENT={event}", *matches))

    def complaints(self) -> list[str]:
        """What the service logged of its libraries, and of errors of the program."""
        events = ("library.warned", "pass.crashed", "daemon.crashed")
        return [str(entry.get("MESSAGE")) for event in events for entry in self.journal(f"ROTATOR_EVENT={event}")]

    def pid(self) -> int:
        """The main process of the service, as it is numbered here."""
        inside = self.show("MainPID")
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError, StopIteration):
                if process.name.isdecimal() and self._is(process, inside):
                    return int(process.name)
        raise AssertionError("the service has no process")

    def _is(self, process: Path, inside: str) -> bool:
        numbers = next(
            line for line in (process / "status").read_text().splitlines() if line.startswith("NSpid:")
        ).split()[1:]
        same = (process / "ns" / "pid").readlink() == Path(f"/proc/{self._init}/ns/pid").readlink()
        return same and numbers[-1] == inside


def _end(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A booted machine, or a test that is skipped with the reason."""
    import pytest

    if reason := why_not():
        pytest.skip(reason)
    found = Machine()
    try:
        found.__enter__()
    except CannotBoot as error:
        pytest.skip(str(error))
    with found._stack:
        yield found
        assert found.complaints() == []
