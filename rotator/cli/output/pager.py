"""A pager for output that does not fit on the terminal, as git has one."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from rotator.cli.session import Session
from rotator.util.terminal import PlainStream, styled

F = TypeVar("F", bound=Callable[..., Any])


class HeldOutput(io.StringIO):
    """Text that is meant for a terminal, kept until it is known where it goes."""

    def __init__(self, terminal: TextIO) -> None:
        super().__init__()
        self._terminal = terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]  # that of the terminal
        """The encoding of the terminal."""
        return self._terminal.encoding

    def isatty(self) -> bool:
        """What is kept looks as it does on a terminal."""
        return True


@contextmanager
def held_output() -> Iterator[HeldOutput]:
    """Keep what is written to standard output meanwhile."""
    before = sys.stdout
    held = HeldOutput(styled(before))
    sys.stdout = PlainStream(held)
    try:
        yield held
    finally:
        sys.stdout = before


def paged(command: F) -> F:
    """The command with a pager for what it prints on a terminal, where that is longer than the
    terminal. ``--json`` and pipes have none."""

    @functools.wraps(command)
    def wrapped(session: Session, *arguments: Any, **options: Any) -> Any:
        pager = pager_command(os.environ) if sys.stdout.isatty() and sys.stdin.isatty() and not session.json else None
        if pager is None or options.get("watch"):
            return command(session, *arguments, **options)
        text = ""
        try:
            with held_output() as held:
                try:
                    return command(session, *arguments, **options)
                finally:
                    text = held.getvalue()
        finally:
            _show(text, pager)

    return wrapped  # type: ignore[return-value]  # the same signature


def pager_command(environment: Mapping[str, str]) -> Sequence[str] | None:
    """The pager: ``PAGER``, else ``less``; None where ``NO_PAGER`` is set, ``PAGER`` is empty or
    ``cat``, or the terminal has no screen. Under sudo it is ``less`` alone, because another program
    might start a shell."""
    wanted = environment.get("PAGER", "less").strip()
    if environment.get("NO_PAGER") or wanted in ("", "cat") or environment.get("TERM", "dumb") == "dumb":
        return None
    import shlex  # noqa: PLC0415 - for a terminal alone
    import shutil  # noqa: PLC0415 - same

    try:
        words = ["less"] if "SUDO_UID" in environment else shlex.split(wanted)
    except ValueError:
        return None
    return words if words and shutil.which(words[0]) else None


def _show(text: str, pager: Sequence[str]) -> None:
    terminal = styled(sys.stdout)
    rows = _rows(terminal)
    if not rows or text.count("\n") < rows or not _run(text, pager):
        terminal.write(text)
        terminal.flush()


def _rows(terminal: TextIO) -> int:
    """How many lines the terminal has; 0 where it does not say, as one that no person looks at."""
    try:
        return os.get_terminal_size(terminal.fileno()).lines
    except OSError:
        return 0


def _run(text: str, pager: Sequence[str]) -> bool:
    """Show the text in the pager; False when that cannot be started."""
    import signal  # noqa: PLC0415 - for long output alone
    import subprocess  # noqa: PLC0415 - same

    environment = {"LESS": "FRX", **os.environ, "LESSSECURE": "1"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager
    try:
        with subprocess.Popen(  # noqa: S603 - the pager that the user chose
            pager, stdin=subprocess.PIPE, env=environment, text=True, errors="replace"
        ) as process:
            process.communicate(text)
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)
    return True
