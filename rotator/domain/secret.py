"""A secret as a type that does not print its value."""

from __future__ import annotations

import hmac
import re
import threading
import weakref
from collections import Counter, deque
from typing import NoReturn

MASK = "[secret]"

SECRET_KEY = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
"""The form of a secret key. Ids of projects, applications and other objects have it too."""

SHORTEST_MASKED = 12
"""Minimum characters of a masked value: a shorter one may be a word in texts without a secret."""

LONGEST_MASKED = 16 * 1024
MOST_MASKED = 50_000
"""Longer values, and further values than this, are not masked in texts; a ``Secret`` still does not
print them."""

_copies: dict[str, int] = {}
"""The masked values in use, with the number of their copies."""

_by_start: dict[str, tuple[str, ...]] = {}
"""The same values by their first ``SHORTEST_MASKED`` characters, each before those that it begins
with."""

FEW = 20
"""So many values are searched for one after the other."""

STRIDE = 6
_FRAGMENT = SHORTEST_MASKED - STRIDE + 1

_fragments: Counter[str] = Counter()
"""How many of these values have this fragment at one of their first ``STRIDE`` places. Wherever a
value stands in a text, one of its fragments begins at a multiple of ``STRIDE`` there."""

_escaped: set[str] = set()
"""Those of the values that JSON writes in another way."""

_ended: deque[str] = deque()
"""Values of copies that were freed. Any allocation can free one, also in a thread that holds the
lock, so they are counted later."""

_lock = threading.RLock()
"""Taken again by a thread that holds it: an allocation under it may free an object of any kind."""


class Secret:
    """A value that only ``reveal()`` returns.

    ``str``, ``repr``, ``format`` and ``pickle`` do not contain it. While it is in use, ``redact``
    masks it in texts, as a second line of defence for the logs.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret cannot be empty")
        self._value = value
        if SHORTEST_MASKED <= len(value) <= LONGEST_MASKED:
            _settle()
            if _begin(value):
                weakref.finalize(self, _ended.append, value).atexit = False

    def reveal(self) -> str:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    # Equal secrets have different hashes: a set may hold one twice, and the hash reveals nothing
    # about the value.
    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


def to_displayable(words: str) -> str:
    """A user's text with everything masked that looks like a secret key: it may be one in the wrong
    place."""
    return SECRET_KEY.sub(MASK, words)


def redact(text: str) -> str:
    """``text`` with the values of all secrets in use masked. One pass: the cost does not grow with
    the number of secrets, and masks are not searched again. For single values, before they are
    serialised."""
    _settle()
    if len(text) < SHORTEST_MASKED or not _may_contain_one(text):
        return text
    parts, start, position = [], 0, 0
    while position <= len(text) - SHORTEST_MASKED:
        values = _by_start.get(text[position : position + SHORTEST_MASKED], ())
        found = next((len(value) for value in values if text.startswith(value, position)), 0)
        if found:
            parts += [text[start:position], MASK]
            start = position = position + found
        else:
            position += 1
    return "".join([*parts, text[start:]])


def json_may_contain_secret(text: str) -> bool:
    """False only if no text in this JSON contains a masked value. True also while a value is in use
    that JSON writes with escapes."""
    _settle()
    return bool(_escaped) or _may_contain_one(text)


def _may_contain_one(text: str) -> bool:
    """False only if the text contains no masked value: nearly all texts contain none. Many values
    are found by their fragments, at one place in ``STRIDE``."""
    if len(_copies) <= FEW:
        return any(value in text for value in tuple(_copies))
    fragments = _fragments
    for position in range(0, len(text) - _FRAGMENT + 1, STRIDE):
        if text[position : position + _FRAGMENT] in fragments:
            return True
    return False


def _fragments_of(value: str) -> list[str]:
    return [value[place : place + _FRAGMENT] for place in range(STRIDE)]


def _begin(value: str) -> bool:
    """Counts a copy of the value; False if the limit of values is reached."""
    with _lock:
        if value in _copies:
            _copies[value] += 1
            return True
        if len(_copies) >= MOST_MASKED:
            return False
        _copies[value] = 1
        start = value[:SHORTEST_MASKED]
        _by_start[start] = tuple(sorted((*_by_start.get(start, ()), value), reverse=True))
        _fragments.update(_fragments_of(value))
        if not (value.isascii() and value.isprintable()) or '"' in value or "\\" in value:
            _escaped.add(value)
        return True


def _settle() -> None:
    """Subtracts the copies that were freed."""
    if not _ended:
        return
    with _lock:
        while _ended:
            value = _ended.popleft()
            _copies[value] -= 1
            if not _copies[value]:
                del _copies[value]
                _escaped.discard(value)
                start = value[:SHORTEST_MASKED]
                if rest := tuple(other for other in _by_start[start] if other != value):
                    _by_start[start] = rest
                else:
                    del _by_start[start]
                for fragment in _fragments_of(value):
                    _fragments[fragment] -= 1
                    if not _fragments[fragment]:
                        del _fragments[fragment]
