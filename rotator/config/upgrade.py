"""Rewrites a configuration with the present names of its options, line by line, preserving comments
and order.

The result is parsed and compared with what the loader makes of the former names. Text in another
form than a line for each option in its table is not changed: the error lists the names to change by
hand.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

from rotator.config.problems import Problems
from rotator.config.renamed import RENAMED, translate
from rotator.errors import ConfigurationProblem, Refused

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_OPTION = re.compile(r"(\s*)([A-Za-z0-9_-]+)(\s*=)")


@dataclass
class _Section:
    """A table of the file: its header and its lines. The first has no header."""

    path: tuple[str, ...]
    lines: list[str] = field(default_factory=list)


def upgrade(text: str, file: str) -> tuple[str, tuple[ConfigurationProblem, ...]]:
    """The configuration with present names, and a warning for each change. Raises
    ``ConfigurationError`` if an option is set under both names, and ``Refused`` if the text cannot
    be changed without loss."""
    problems = Problems(file)
    wanted = tomllib.loads(text)
    warnings = translate(wanted, problems)
    problems.stop()
    if not warnings:
        return text, ()
    changed = _rewritten(text)
    try:
        same = tomllib.loads(changed) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        names = "; ".join(f"{one.path} {one.message}" for one in warnings)
        raise Refused(f"{file} is written in a way that cannot be changed without loss; change by hand: {names}")
    return changed, warnings


def _rewritten(text: str) -> str:
    sections = _sections(text)
    for old, new in RENAMED:
        *table, name = old.split(".")
        *target, option = new.split(".")
        for section in list(sections):
            if _fits(section.path, table):
                _rename(sections, section, name, option, None if target == table else tuple(target))
    kept = [section for section in sections if section.path != ("alarm",) or any(map(_says, section.lines[1:]))]
    return "\n".join(line for section in kept for line in section.lines)


def _says(line: str) -> bool:
    return bool(line.strip())


def _fits(path: tuple[str, ...], table: list[str]) -> bool:
    return len(path) == len(table) and all(wanted in ("*", part) for part, wanted in zip(path, table, strict=True))


def _sections(text: str) -> list[_Section]:
    found = [_Section(())]
    for line in text.split("\n"):
        if (match := _HEADER.fullmatch(line)) and (path := _path(match[1])):
            found.append(_Section(path))
        found[-1].lines.append(line)
    return found


def _path(header: str) -> tuple[str, ...]:
    try:
        table = tomllib.loads(f"[{header}]")
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while table:
        ((name, table),) = table.items()
        path.append(name)
    return tuple(path)


def _rename(
    sections: list[_Section], section: _Section, name: str, option: str, target: tuple[str, ...] | None
) -> None:
    for number, line in enumerate(section.lines):
        match = _OPTION.match(line)
        if match is None or match[2] != name:
            continue
        section.lines[number] = f"{match[1]}{option}{match[3]}{line[match.end() :]}"
        if target is not None:
            _move(sections, section, number, target)
        return


def _move(sections: list[_Section], section: _Section, number: int, target: tuple[str, ...]) -> None:
    """Moves the option at this line, with the comment above it, to another table."""
    end = number + 1
    while end < len(section.lines) and not _whole("\n".join(section.lines[number:end])):
        end += 1
    start = number
    while start > 1 and section.lines[start - 1].lstrip().startswith("#"):
        start -= 1
    taken = section.lines[start:end]
    del section.lines[start:end]
    place = next((one for one in sections if one.path == target), None)
    if place is None:
        place = _Section(target, [f"[{'.'.join(target)}]", ""])
        sections.insert(sections.index(section), place)
    last = max(index for index, line in enumerate(place.lines) if line.strip())
    place.lines[last + 1 : last + 1] = taken


def _whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
