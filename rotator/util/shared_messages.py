"""Messages that differ by the name of an application only: said once, with the names and their
number."""

from __future__ import annotations

import re
from collections.abc import Iterable

FEWEST_SHARED = 3
"""The fewest applications with a common message that are one line."""

MOST_NAMED = 5
"""Names that stand in one line; of more, the number."""


def without_name(message: str, name: str) -> str:
    """The message with ``NAME`` in place of the name, wherever it stands as a word or as a part of
    a path."""
    return re.sub(rf"(?<![A-Za-z0-9_-]){re.escape(name)}(?![A-Za-z0-9_-])", "NAME", message) if name else message


def grouped(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of a name and its message, with one pair in place of those that share a message, in the
    order of the first of each."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, message in found:
        groups.setdefault(without_name(message, name), []).append((name, message))
    said: list[tuple[str, str]] = []
    for shared, members in groups.items():
        said += members if len(members) < FEWEST_SHARED else [(name_some([name for name, _ in members]), shared)]
    return said


def name_some(names: list[str]) -> str:
    """How many applications, and the first of them."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{len(names)} applications ({', '.join(names[:MOST_NAMED])}{more})"
