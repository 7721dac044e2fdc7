"""The state of the program's own login at Vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class LoginProblem:
    """Why the login can be neither renewed nor repeated, and how long the token is still valid."""

    message: str
    left: timedelta
