"""A picture that is drawn again whenever something happens."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from rotator.cli.following import follow
from rotator.cli.output.pager import held_output
from rotator.cli.session import Session
from rotator.errors import RotatorError
from rotator.operations.failures import explain
from rotator.util.terminal import styled, visible_line

MIN_INTERVAL = 0.5
"""Seconds between two pictures, at least."""

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(session: Session, draw: Callable[[], object]) -> None:
    """Draw at the beginning, after events of the daemon, and every few seconds, until Ctrl-C.
    Raises what keeps it from the daemon at first."""
    remarks: deque[str] = deque(maxlen=1)
    events, terminal = follow(session, remarks.append), styled(sys.stdout)
    next(events)
    terminal.write(ENTER)
    try:
        drawn = 0.0
        while True:
            if time.monotonic() - drawn >= MIN_INTERVAL:
                _redraw(terminal.write, draw, remarks)
                terminal.flush()
                drawn = time.monotonic()
            next(events)
    except KeyboardInterrupt:
        return
    finally:
        terminal.write(LEAVE)
        terminal.flush()


def _redraw(write: Callable[[str], object], draw: Callable[[], object], remarks: Sequence[str]) -> None:
    rows = shutil.get_terminal_size().lines
    footer = remarks[-1] if remarks else "Ctrl-C ends this"
    with held_output() as held:
        try:
            draw()
        except RotatorError as error:
            footer = "; ".join(explain(error).sentences)
    lines = held.getvalue().rstrip("\n").split("\n")
    shown = lines[: rows - 2]
    if len(lines) > len(shown):
        footer = f"{len(lines) - len(shown)} more lines do not fit; {footer}"
    write(
        HOME
        + "".join(f"{line}{END_OF_LINE}\n" for line in [*shown, ""])
        + visible_line(footer)[: shutil.get_terminal_size().columns - 1]
    )
    write(END_OF_LINE + END_OF_SCREEN)
