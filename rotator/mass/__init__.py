"""Many applications at once: which of them, in which order, how many at a time; and the proof that no old key was missed.

Every application is rotated by the same hands that rotate a single one. What is added is choosing (``selection``), fitting into the
organisation's quota of keys and rate of calls (``waves``, ``gate``), remembering across a kill (``records``) and the order of it all
(``rotation``).
"""

from rotator.mass.estate import Estate, Sight, look
from rotator.mass.records import change, waived, withdrawn
from rotator.mass.rotation import MassResult, Watcher, Wish, begin, chosen, proof_of, run
from rotator.mass.selection import Candidate, Selection
from rotator.mass.waves import Estimate, estimate, places

__all__ = [
    "Candidate",
    "Estate",
    "Estimate",
    "MassResult",
    "Selection",
    "Sight",
    "Watcher",
    "Wish",
    "begin",
    "change",
    "chosen",
    "estimate",
    "look",
    "places",
    "proof_of",
    "run",
    "waived",
    "withdrawn",
]
