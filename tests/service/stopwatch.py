"""The first hour by a stopwatch: from the clone on a fresh Debian to the first rotated key, as the README and docs/first-hour.md say.

``python -m tests.service.stopwatch`` (as root) boots a machine, answers the questions of ``rotator init`` at a pseudo-terminal, pastes
what it prints, rotates a key, and prints a transcript with the seconds of each step and of a person who types it.
"""

from __future__ import annotations

import os
import pty
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.service.conftest import ROOT, build
from tests.service.first_hour import ENVIRONMENT, first_keys_are_there, lay_out, scripts_to_paste
from tests.service.machine import Machine, machine, why_not

TYPED = 4.0
"""Characters that a person types in a second."""

PASTE = 4.0
"""Seconds to look at a block of commands and paste it, or to copy a value of the account."""

LIMIT = 600.0
"""Seconds of typing that the first hour may need."""


def say(text: str) -> None:
    """One part of the transcript."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Transcript:
    """What was typed and pasted, and how long each step took."""

    def __init__(self) -> None:
        self.person = self.computer = 0.0

    def step(self, title: str, person: float, work: Callable[[], str]) -> str:
        """Carry out one step and print it."""
        begun = time.monotonic()
        shown = work()
        took = time.monotonic() - begun
        self.person += person
        self.computer += took
        say(f"\n## {title}  ({person:.0f} s of a person, {took:.0f} s of the computer)\n{shown.strip()}")
        return shown


def at_terminal(booted: Machine, command: str, answers: list[tuple[str, str]]) -> str:
    """What the command shows at a pseudo-terminal in the machine, each question answered once it is asked."""
    pid, descriptor = pty.fork()
    if not pid:
        words = booted.enter(*shlex.split(command))
        os.execvpe(words[0], words, {"PATH": os.environ["PATH"], "HOME": "/root", "TERM": "xterm", "LANG": "C.UTF-8"})
    os.set_blocking(descriptor, False)
    shown = ""

    def read() -> str:
        nonlocal shown
        try:
            while chunk := os.read(descriptor, 65536):
                shown += chunk.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass  # nothing more for now, or the end
        return shown

    for question, text in answers:
        before = len(shown)
        wait_until(lambda question=question, before=before: question in read()[before:], f"{question} is asked")  # type: ignore[misc]  # bound on purpose
        os.write(descriptor, f"{text}\n".encode())
    code: list[int] = []

    def ended() -> bool:
        read()
        done, status = os.waitpid(pid, os.WNOHANG)
        code.extend([os.waitstatus_to_exitcode(status)] if done else [])
        return bool(done)

    wait_until(ended, f"{command} ends")
    read()
    os.close(descriptor)
    assert code == [0], f"{command}: {shown}"
    return shown


def walk(booted: Machine, vault: OpenBao, scaleway: ScalewaySandbox, package: Path) -> Transcript:
    """The whole way, from the package to the first rotated key."""
    lay_out(booted, vault, scaleway, package)

    def shell(script: str) -> Callable[[], str]:
        def work() -> str:
            done = booted.run("bash", "-euo", "pipefail", stdin=script, env=ENVIRONMENT)
            return f"{script.strip()}\n{done.stdout}{done.stderr}"

        return work

    watch = Transcript()

    def typed(title: str, line: str) -> str:
        return watch.step(title, len(line) / TYPED, shell(line))

    typed("install the package", f"apt-get install --yes --quiet /srv/{package.name}")
    typed("put the example aside", "mv /etc/rotator/rotator.toml /etc/rotator/rotator.toml.example")
    answers = [
        ("Address", vault.address),
        ("How to log in", ""),
        ("Where the ledgers are", ""),
        ("Name of the account", "acme"),
        ("Organisation id", scaleway.organization_id),
        ("Access key", scaleway.management_access_key),
        ("Address of the API", scaleway.url),
        ("Secret key", scaleway.management_secret),
        ("Path of each", ""),
        ("Which of them", "all"),
        ("is replaced at the age of", ""),
        ("stays valid for", ""),
    ]
    copied = {scaleway.organization_id, scaleway.management_access_key, scaleway.management_secret}
    person = sum(PASTE if text in copied else 2 + len(text) / TYPED for _, text in answers)
    printed = watch.step("rotator init", person, lambda: at_terminal(booted, "rotator init", answers))
    for title, script in scripts_to_paste(printed).items():
        watch.step(f"pasted: {title}", PASTE, shell(script))

    def first_keys() -> str:
        wait_until(lambda: first_keys_are_there(vault), "each application has its first key")
        return "billing and shop have their first keys"

    watch.step("wait for the first keys", 0, first_keys)
    assert "billing: rotated" in typed("rotate", "rotator rotate billing")
    typed("look", "rotator status")
    return watch


def main() -> int:
    """Print the transcript; 1 if a person needs more than ten minutes."""
    if reason := why_not():
        say(reason)
        return 3
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        package = build(ROOT, Path(folder), "2.0")
        made = time.monotonic() - begun
        say(f"## make deb  ({len('make deb') / TYPED:.0f} s of a person, {made:.0f} s of the computer)")
        with machine() as booted, OpenBao() as vault, ScalewaySandbox() as scaleway:
            watch = walk(booted, vault, scaleway, package)
    total = watch.person + watch.computer + made
    say(
        f"\na person types for {watch.person:.0f} s, the computer works for {watch.computer + made:.0f} s: {total:.0f} s"
    )
    return int(total > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
