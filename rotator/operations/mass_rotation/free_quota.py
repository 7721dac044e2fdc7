"""How many more rotations the quota of an account admits. Pure.

A rotation needs quota for one more key: in a compromise until the old key is deleted, else until
its grace ends. Daemons share the quota of the organisation and create keys too, and a lost answer
leaves a key behind until a pass revokes it. So a rotation is admitted only if every rotation under
way without a key could create one now.
"""

from __future__ import annotations

RESERVE = 2
"""Keys of the free quota that a mass rotation leaves to others: an emergency, a lost answer."""


PARALLEL_WITHOUT_QUOTA = 4
"""Parallel rotations if the provider reports no quota."""


def free_slots(room: int | None, unmade: int, under_way: int) -> int:
    """How many more rotations may start. ``room`` is the free quota when ``unmade`` of those
    ``under_way`` had no key yet; a rotation admitted since then counts as one of these. The first
    may start with any free quota."""
    if room is None:
        return PARALLEL_WITHOUT_QUOTA - under_way
    more = room - RESERVE - unmade
    return more if under_way else max(more, min(1, room - unmade))
