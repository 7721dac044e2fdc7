"""The marker: the tag in the description of a key, by which rotator recognises its own keys.

A description is the *purpose* of the key, in its owner's words, and then the marker::

    checkout of the web shop rotator:v2:6f1c…:shop:09ab…:17:c0de…

The marker names the installation, the application, the rotation, the *base* (the version of the
credential document that the rotation was claimed on) and the *incarnation* (a digest that
distinguishes this document from an earlier one at the same path). It is the end of the description:
no purpose can hide or imitate it, and the purpose can be edited. A key whose description has
anything else in its place is unmanaged, unless the ledger or the document names the key.

Version 1 was the whole description, up to 187 characters. It is still read.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from rotator.domain.secret import to_displayable

LIMIT = 200
"""Maximum bytes of a description. Scaleway permits 200 characters; 200 bytes fit in either unit."""

MAX_PURPOSE = 60
"""Maximum bytes of a purpose for any application: what the longest marker leaves, less a
reserve."""

_NAMES = (
    "(?P<installation>[0-9a-f]{16})",
    "(?P<application>[a-z0-9][a-z0-9._-]{0,63})",
    "(?P<rotation>[0-9a-f]{16})",
    "(?P<base>0|[1-9][0-9]{0,8})",
    "(?P<incarnation>[0-9a-f]{16}|-)",
)
_VERSION_1 = re.compile("rotator v1 installation={} application={} rotation={} base={} incarnation={}".format(*_NAMES))
_VERSION_2 = re.compile("(?:(?P<purpose>.*) )?rotator:v2:{}:{}:{}:{}:{}".format(*_NAMES), re.DOTALL)

NO_INCARNATION = "-"
"""The incarnation of a rotation that was claimed before the document existed."""


@dataclass(frozen=True)
class Marker:
    """The marker in the description of a key that ``rotator`` created."""

    installation: str
    application: str
    rotation: str
    base: int
    incarnation: str

    def render(self, purpose: str = "") -> str:
        """The description of a key: the purpose, cut to fit, and the marker."""
        parts = (self.installation, self.application, self.rotation, str(self.base), self.incarnation)
        marker = f"rotator:v2:{':'.join(parts)}"
        room = LIMIT - len(marker) - 1
        return f"{_shortened(_plain(purpose), room)} {marker}".lstrip()


def parse_marker(description: str) -> Marker | None:
    """The marker in a description, of version 1 or 2, or None."""
    found = _VERSION_2.fullmatch(description) or _VERSION_1.fullmatch(description)
    if found is None:
        return None
    return Marker(
        installation=found["installation"],
        application=found["application"],
        rotation=found["rotation"],
        base=int(found["base"]),
        incarnation=found["incarnation"],
    )


def purpose_of(description: str) -> str:
    """A description without its marker, in one printable line of at most ``LIMIT`` bytes; all of it
    if there is none."""
    if _VERSION_1.fullmatch(description):
        return ""
    found = _VERSION_2.fullmatch(description)
    return _shortened(_plain((found["purpose"] or "") if found else description), LIMIT)


def _plain(text: str) -> str:
    """One printable line with secret keys masked."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return to_displayable(line)


def _shortened(text: str, room: int) -> str:
    return text.encode()[:room].decode(errors="ignore").rstrip()


def incarnation_of(path: str, created_time: datetime | None) -> str:
    """The digest of a document's path (mount and path) and of the creation time of its version
    ``base``."""
    if created_time is None:
        return NO_INCARNATION
    stamp = created_time.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(f"{path}\n{stamp}".encode()).hexdigest()[:16]
