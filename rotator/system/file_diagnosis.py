"""What this user can see of a file, for messages that report only that."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path


def absence(path: Path) -> str:
    """Why the file is not found, as the end of a sentence; empty if it exists."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except PermissionError:
        return f"cannot be looked for, because this user may not look into {closed_folder(path)}"
    except (OSError, ValueError) as error:
        return f"cannot be looked for: {getattr(error, 'strerror', None) or type(error).__name__}"
    return ""


def closed_folder(path: Path) -> Path:
    """The first directory on the path to the file that this user cannot search."""
    return next((folder for folder in reversed(path.parents) if not os.access(folder, os.X_OK)), path.parent)


def groups_of_process() -> frozenset[int]:
    """The groups of this process."""
    return frozenset({os.getegid(), *os.getgroups()})


def groups_of_user() -> frozenset[int]:
    """The groups that a new session of this user has."""
    with suppress(KeyError, OSError):
        user = pwd.getpwuid(os.getuid())
        return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))
    return frozenset()


def group_access(path: Path) -> str:
    """Why this user cannot use a socket of a group, and what to do, if anything."""
    try:
        status = path.stat()
    except OSError:
        return f"this user may not look into {closed_folder(path)}"
    name = _group_name(status.st_gid)
    if status.st_gid in groups_of_process():
        return (
            f"this user is a member of its group {name}, which may not write to it (mode "
            f"{stat.S_IMODE(status.st_mode):04o})"
        )
    if status.st_gid in groups_of_user():
        return f"this user is a member of its group {name} since after this session began: log in again"
    return f"it belongs to the group {name}: become a member of {name}, then log in again"


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
