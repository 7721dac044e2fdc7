"""How many more rotations the quota of an account admits. Pure.

A rotation needs room for one key more for a while: in a compromise until the old key is deleted,
else until its grace ends. The quota of the organisation is shared with daemons, which create keys
as well, and an answer that gets lost leaves a key behind for a moment. So a rotation is admitted
only if every rotation under way without a key could create one now.
"""

from __future__ import annotations

RESERVE = 2
"""Keys of the room that a mass rotation leaves to others: an emergency beside it, an answer that
got lost."""


UNTOLD = 4
"""How many at once where the provider does not tell how much room there is."""


def free_slots(room: int | None, unmade: int, under_way: int) -> int:
    """How many more may be let in. ``room`` is what the provider had left when ``unmade`` of those
    ``under_way`` had made no key yet; a rotation that is admitted before the next question counts
    as one of these. One at a time may start as long as there is any room at all."""
    if room is None:
        return UNTOLD - under_way
    more = room - RESERVE - unmade
    return more if under_way else max(more, min(1, room - unmade))
