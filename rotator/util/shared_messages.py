"""Combines messages that differ only in the name of an application."""

from __future__ import annotations

import re
from collections.abc import Iterable

FEWEST_SHARED = 3
"""The fewest applications with a common message that become one line."""

MOST_NAMED = 5
"""Names in one line; above it, their number."""


def without_name(message: str, name: str) -> str:
    """The message with ``NAME`` for the name, wherever it is a word or a part of a path."""
    return re.sub(rf"(?<![A-Za-z0-9_-]){re.escape(name)}(?![A-Za-z0-9_-])", "NAME", message) if name else message


def grouped(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of a name and its message, with one pair for those that share a message, in the order
    of their first occurrence."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, message in found:
        groups.setdefault(without_name(message, name), []).append((name, message))
    lines: list[tuple[str, str]] = []
    for shared, members in groups.items():
        lines += members if len(members) < FEWEST_SHARED else [(name_some([name for name, _ in members]), shared)]
    return lines


def name_some(names: list[str]) -> str:
    """The number of applications, and the first of them."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{len(names)} applications ({', '.join(names[:MOST_NAMED])}{more})"
