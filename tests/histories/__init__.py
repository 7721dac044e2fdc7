"""Random histories: actors that are killed, paused and lied to, people who meddle, and then calm.

One integer makes one history. Up to three actors (two daemons and a command line) run their passes on threads of their own, of
which exactly one moves at a time; before every effect the baton may go to somebody else, for seconds or for days. Effects fail,
lose their answers, or land late; reads are answered by standbys that are behind. Between turns people edit, roll back and
delete what they can reach. The ``Monitor`` watches the ground truth all the while. Then the faults stop, and within a bounded
number of passes the world must be at rest.

What DESIGN.md exempts is not done here: nobody writes a key into the document while a DELETE of that very key may still land.
With standbys that may be behind, this is so from the moment that the ledger condemns the key: the last look before the DELETE
is as new as that, and perhaps no newer (seen in a history: the look was answered a moment late). And nobody removes the document
with its metadata and writes it anew while a write of the document is under way: the versions begin at 1 again, so that a
check-and-set of before may fit (seen in history 500180: a fence that was suspended for two days).

``python -m tests.histories 10000 1`` tries ten thousand histories from seed 1 on. With ``--focused`` they begin without a document and
have more emergencies: first keys, marked while they are made and published. With ``--fleet`` they are those of ``tests.histories.fleet``: the
daemon's own engine over several accounts and applications.
"""

from __future__ import annotations

from tests.histories.history import History

__all__ = ["History"]
