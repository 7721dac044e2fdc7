"""Who the person is that gives an order, by name."""

from __future__ import annotations

import os
import pwd
import re

NOBODY = 65534
"""The user id that Linux shows for users that a process in a user namespace of its own cannot
see."""

_NAME = re.compile(r"[\w.@\\-]{1,64}", re.ASCII)
"""What a user name of this machine or of a directory looks like; the environment can hold
anything."""


def user_name(uid: int) -> str:
    """The name of a user, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def user_id() -> str:
    """The user of this process, and the one behind ``sudo``."""
    name, behind = user_name(os.getuid()), os.environ.get("SUDO_USER", "")
    return f"{behind} as {name}" if _NAME.fullmatch(behind) and behind != name else name
