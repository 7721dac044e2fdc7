"""What people ask for, done: the command line, the daemon's control sockets and a mass rotation all call these functions.

Each takes a policy, the world that a pass acts through, and a way to sleep; it drives passes itself, an actor like the daemon,
and returns a ``Result`` that says what became of it. Nothing here knows a terminal.
"""

from rotator.hands.containment import contain, mark
from rotator.hands.result import Result, failed
from rotator.hands.rotation import rotate
from rotator.hands.together import together
from rotator.hands.waiting import Sleep

__all__ = ["Result", "Sleep", "contain", "failed", "mark", "rotate", "together"]
