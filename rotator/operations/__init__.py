"""What people ask for, done: the command line, the daemon's control sockets and a mass rotation all
call these functions.

Each takes a policy, the world that a pass acts through, and a way to sleep; it drives passes
itself, an actor like the daemon, and returns a ``Result`` that says what became of it. Nothing here
knows a terminal. Each module is imported where it is needed: help must not pay for what it does not
use.
"""
