"""How commands say something to a person: on a terminal with local time, no line wider than it."""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime
from typing import Any

import click

from rotator.util.terminal import styled, visible

_UTC_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC(?! / )")

NARROWEST = 40
"""Columns below which no line is made to fit."""


def say(text: str = "", *, err: bool = False, **style: Any) -> None:
    """Print the text: as it is in a pipe; on a terminal with local times, wrapped, and in that
    style of ``click.style``."""
    stream = sys.stderr if err else sys.stdout
    if not stream.isatty():
        click.echo(text, err=err)
        return
    text = visible(fitted(beside_utc(text), columns()))
    shown = click.style(text, **style) if style else text
    click.echo(shown, file=styled(stream), color=False if os.environ.get("NO_COLOR") else None)


def beside_utc(text: str) -> str:
    """The text with the local time beside each time in UTC, where that is another one."""
    return _UTC_TIME.sub(_with_local, text)


def _with_local(found: re.Match[str]) -> str:
    utc = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    local = utc.astimezone()
    if not local.utcoffset():
        return found[0]
    day = "" if local.date() == utc.date() else f"{local:%d %b} "
    return f"{found[0]} / {day}{local:%H:%M} {local.tzname()}"


def zone_now(now: datetime) -> str:
    """The name of the local zone and how far it is from UTC, such as ``CET (UTC+01:00)``."""
    local = now.astimezone()
    offset = f"{local:%z}"
    return "UTC" if not local.utcoffset() else f"{local.tzname()} (UTC{offset[:3]}:{offset[3:5]})"


def columns() -> int:
    """How wide the terminal is."""
    import shutil  # noqa: PLC0415 - for a terminal alone

    return shutil.get_terminal_size().columns


def fitted(text: str, width: int) -> str:
    """The text with each line that is wider than ``width`` wrapped between words; what follows its
    first line is indented more than that."""
    if width < NARROWEST or all(len(line) <= width for line in text.split("\n")):
        return text
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    import textwrap  # noqa: PLC0415 - for lines that are too long

    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, width, subsequent_indent=indent, replace_whitespace=False, break_on_hyphens=False)


def beside(head: str, text: str, width: int) -> str:
    """The text as it follows ``head`` on its line, or below it where little room is left."""
    if len(head) + 2 > width // 2:
        return "\n" + fitted(" " * 6 + text, width)
    return "  " + fitted(f"{head}  {text}", width)[len(head) + 2 :]
