"""Names the user of this process."""

from __future__ import annotations

import os
import pwd
import re

NOBODY = 65534
"""The user id that Linux shows for users outside of a process's user namespace."""

_NAME = re.compile(r"[\w.@\\-]{1,64}", re.ASCII)
"""The form of a user name of this machine or of a directory; the environment can contain
anything."""


def user_name(uid: int) -> str:
    """The name of a user, or the number without one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def user_id() -> str:
    """The user of this process, with the one behind ``sudo``."""
    name, behind = user_name(os.getuid()), os.environ.get("SUDO_USER", "")
    return f"{behind} as {name}" if _NAME.fullmatch(behind) and behind != name else name
