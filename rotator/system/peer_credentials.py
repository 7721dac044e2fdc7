"""Identifies the process at the other end of a Unix socket, and checks whether a listener is
trusted."""

from __future__ import annotations

import socket
import stat
import struct
from pathlib import Path

from rotator.system.file_permissions import trusted_users
from rotator.system.users import user_name

_CREDENTIALS = struct.Struct("3i")


def listener_problem(connection: socket.socket, path: Path) -> str:
    """Why the process that listens at a path is not trusted, as a sentence; empty if it is.

    It must run as root, as this user, or as the owner of the directory, which only root or this
    user can have created.
    """
    uid = peer_uid(connection)
    if uid in trusted_users():
        return ""
    directory = path.absolute().parent
    try:
        owner = directory.stat().st_uid
        writable = next((part for part in (directory, *directory.parents) if _others_write(part)), None)
    except OSError:
        return f"{directory} cannot be examined"
    if writable is not None:
        return (
            f"{user_name(uid)} listens there, and {writable} can be written by users who are not the daemon's; run "
            "chmod go-w on it"
        )
    if uid != owner:
        return f"{user_name(uid)} listens there, and the directory belongs to {user_name(owner)}"
    return ""


def peer_uid(connection: socket.socket) -> int:
    """The user of the process at the other end of a Unix socket, from the kernel."""
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


def _others_write(directory: Path) -> bool:
    return bool(directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))
