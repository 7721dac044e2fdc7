"""Everything that is wrong with one configuration file, as sentences for a person.

No sentence repeats a value, because a value may be a secret in the wrong place; the path says where
to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_NAMED = 30
"""Names that one line holds; of more, the first few stand for the list."""

FEW = 8


def closest_match(name: str, known: Iterable[str]) -> str:
    """A suggestion for a name that is not known: the nearest one, or all there are; of many, how
    many and the first of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    if len(names) > MOST_NAMED:
        return f"there are {len(names)} names, such as {', '.join(names[:FEW])}"
    return "write one of: " + ", ".join(names) if names else "there is none"
