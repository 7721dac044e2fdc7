"""What Vault holds of the daemons of one installation that share their looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_DAEMONS = 16
"""How many daemons can share their looks. Each has a place with a number, from 1."""


@dataclass(frozen=True)
class StoredPresence:
    """The document at one place: its version, when Vault wrote that, and its content, unchecked.
    ``content`` is empty for a document that was deleted."""

    place: int
    version: int
    created_time: datetime | None
    content: Mapping[str, Any]
