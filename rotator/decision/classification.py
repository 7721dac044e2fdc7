"""Rule 7: what became of a key with a marker of this installation that the ledger does not name.

The version after its base decides, so that nothing hangs on the ledger being complete or recent::

    document version  <  base     RESTORED    the document was restored or recreated: touch nothing
    document version  =  base     POSSIBLE    another process may still publish it: leave it
    base+1 holds this key         PUBLISHED   it was published, it gets its grace
    base+1 holds another key,
      same incarnation            ORPHANED    never published, and never can be: revoke at once
    anything else                 ASSUMED     unknown: treat as published, full grace
    made for a former path       ELSEWHERE   that document may still take it: leave it

A rotation claimed before the document existed (base 0) has no incarnation by which the document
could be known again, so its key is never certainly orphaned.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.marker import NO_INCARNATION, Marker, incarnation_of


class Disposition(enum.StrEnum):
    """What the version after the base shows about a key."""

    RESTORED = "restored"
    POSSIBLE = "possible"
    PUBLISHED = "published"
    ORPHANED = "leftover"
    ASSUMED = "assumed"
    ELSEWHERE = "elsewhere"


def classify(
    access_key: str,
    marker: Marker,
    *,
    path: str,
    document: CredentialDocument,
    versions: Mapping[int, CredentialDocument],
) -> Disposition:
    """The disposition of the key. ``versions`` has the versions ``base`` and ``base + 1`` of the
    document."""
    if marker.base > document.version:
        return Disposition.RESTORED
    if marker.base == document.version:
        return Disposition.POSSIBLE
    successor = versions.get(marker.base + 1)
    if successor is None or successor.state is not DocumentState.LIVE:
        return Disposition.ASSUMED
    if successor.access_key == access_key:
        return Disposition.PUBLISHED
    return Disposition.ORPHANED if _same_document(marker, path, versions) else Disposition.ASSUMED


def _same_document(marker: Marker, path: str, versions: Mapping[int, CredentialDocument]) -> bool:
    base = versions.get(marker.base)
    if marker.incarnation == NO_INCARNATION or base is None or base.created_time is None:
        return False
    return marker.incarnation == incarnation_of(path, base.created_time)


def wanted_versions(markers: list[Marker], document: CredentialDocument) -> frozenset[int]:
    """The versions of the document that are read to classify keys with these markers, without the
    current one."""
    return frozenset(
        number for marker in markers for number in (marker.base, marker.base + 1) if 0 < number < document.version
    )
