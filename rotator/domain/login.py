"""What is known of the program's own login at Vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class LoginProblem:
    """Why the login can be neither renewed nor made anew, and for how long the present token is
    still good."""

    message: str
    left: timedelta
