"""Operations that the command line, the daemon's control sockets and mass rotations call.

Each takes a spec, the context of a pass and a way to sleep, runs passes itself, and returns a
``Result`` with the outcome. Nothing here depends on a terminal. Each module is imported where it is
needed, so that ``--help`` loads none of them.
"""
