"""A secret as a type that cannot print itself."""

from __future__ import annotations

import hmac
import re
import threading
import weakref
from collections import deque
from typing import NoReturn

MASK = "[secret]"

SECRET_KEY = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
"""What a secret key looks like; so do the ids of projects, applications and much else."""

SHORTEST_MASKED = 12
"""Characters of the shortest value that is masked: a shorter one is a word that stands in texts
which hold no secret."""

LONGEST_MASKED = 16 * 1024
MOST_MASKED = 50_000
"""Values of more characters, and further values than this, are not masked in texts; a ``Secret``
shows itself nowhere still."""

_copies: dict[str, int] = {}
"""Values in use that are masked, each with the number of its copies."""

_by_start: dict[str, tuple[str, ...]] = {}
"""The same values by their first ``SHORTEST_MASKED`` characters, the longest first."""

_ended: deque[str] = deque()
"""Values of copies that ended. A copy can end at any allocation, also of a thread that holds the
lock: they are counted later."""

_lock = threading.Lock()


class Secret:
    """A value that is shown by ``reveal()`` and by nothing else.

    It has no ``str``, no ``repr``, no format and no pickle that would show it. While it is in use,
    ``redact`` masks its value in texts; this is the second net under the logs, not the first.
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
        """The value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    # Equal contents with different hashes: a set of secrets may hold one twice, and the hash says
    # nothing of what it holds.
    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


def to_displayable(words: str) -> str:
    """Text that a person typed, without anything that looks like a secret key: it may be one, in
    the wrong place."""
    return SECRET_KEY.sub(MASK, words)


def redact(text: str) -> str:
    """``text`` without the value of any secret that is in use. One pass: the cost does not grow
    with the number of secrets, and a mask is not looked into again. For values, before they are
    serialised: a finished text is more than its values."""
    _settle()
    if not _by_start or len(text) < SHORTEST_MASKED:
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
    return "".join([*parts, text[start:]]) if parts else text


def _begin(value: str) -> bool:
    """Count a copy of the value; False where there is no room for one more value."""
    with _lock:
        if value in _copies:
            _copies[value] += 1
            return True
        if len(_copies) >= MOST_MASKED:
            return False
        _copies[value] = 1
        start = value[:SHORTEST_MASKED]
        _by_start[start] = tuple(sorted((*_by_start.get(start, ()), value), key=len, reverse=True))
        return True


def _settle() -> None:
    """Count off the copies that ended."""
    if not _ended:
        return
    with _lock:
        while _ended:
            value = _ended.popleft()
            _copies[value] -= 1
            if not _copies[value]:
                del _copies[value]
                start = value[:SHORTEST_MASKED]
                if rest := tuple(other for other in _by_start[start] if other != value):
                    _by_start[start] = rest
                else:
                    del _by_start[start]
