"""A secret as a type that cannot print itself."""

from __future__ import annotations

import hmac
import json
import re
import weakref
from typing import NoReturn

MASK = "[secret]"

SECRET_KEY = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z])")
"""What a secret key looks like; so do the ids of projects, applications and much else."""

_alive: set[weakref.ref[Secret]] = set()


class Secret:
    """A value that is shown by ``reveal()`` and by nothing else.

    It has no ``str``, no ``repr``, no format and no pickle that would show it, and it cannot be a key of a mapping. While it
    lives, ``redact`` finds its value in any text; that is the second net under the logs, not the first.
    """

    __slots__ = ("__weakref__", "_escaped", "_value")

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret cannot be empty")
        self._value = value
        self._escaped = json.dumps(value)[1:-1]
        _alive.add(weakref.ref(self, _alive.discard))

    def hide_in(self, text: str) -> str:
        """``text`` without the value, as it is or as it stands in JSON."""
        if self._value in text:
            text = text.replace(self._value, MASK)
        return text.replace(self._escaped, MASK) if self._escaped in text else text

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

    # Equality of contents with the hash of identity would break sets; sets of secrets are needed by nobody but the register
    # of living ones, which wants identity.
    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


def to_displayable(words: str) -> str:
    """What somebody typed, without anything that looks like a secret key: it may be one, in the wrong place."""
    return SECRET_KEY.sub(MASK, words)


def redact(text: str) -> str:
    """``text`` without the value of any secret that is alive in this process."""
    for reference in _alive.copy():
        secret = reference()
        if secret is not None:
            text = secret.hide_in(text)
    return text
