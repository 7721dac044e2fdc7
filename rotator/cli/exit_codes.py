"""How commands end: the exit codes, and what only a person at a keyboard can cause."""

from __future__ import annotations

from rotator.errors import RotatorError

EXIT_CODES = """\
0  done
1  it failed
2  usage or configuration
3  a service was unreachable
4  refused, because it would be unsafe
5  status: an application is overdue or has a problem
6  coverage: the list lacks keys that are known to be there, so nothing is proven
130  interrupted (Ctrl-C)"""
"""What the program's exit codes mean, as ``--help`` shows it. With several applications it is the
highest of theirs."""

REFUSED = 4
"""The exit code of what is not done because it would be unsafe."""

PROBLEM = 5
"""The exit code of ``status`` when it could look, and an application is overdue or has a
problem."""


class Interrupted(RotatorError):
    """The person at the keyboard ended the command."""

    exit_code = 130
