"""Suggests names for one that is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_NAMED = 30
"""Maximum of names in one line; above it, the first few are shown."""

FEW = 8


def closest_match(name: str, known: Iterable[str]) -> str:
    """A suggestion for an unknown name: the closest one, or all; of many, their number and the
    first few."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    if len(names) > MOST_NAMED:
        return f"there are {len(names)} names, such as {', '.join(names[:FEW])}"
    return "write one of: " + ", ".join(names) if names else "there is none"
