"""Checks by owner and mode whether a file or a directory is trusted, like sshd.

Root and the user of this process are trusted. In a user namespace that does not map root, the owner
of ``/`` counts as root.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from rotator.system.users import user_name


class UntrustedFile(OSError):
    """A file that is not trusted; ``strerror`` is the rest of the sentence."""


def read_file(path: Path, limit: int, *, folder: Path | None = None) -> bytes:
    """The first bytes of a trusted plain file."""
    with os.fdopen(open_file(path, folder=folder), "rb") as file:
        return file.read(limit)


def open_file(path: Path, *, folder: Path | None = None) -> int:
    """The descriptor of a trusted plain file, checked once it is open. Does not block on a named
    pipe.

    ``folder``: a directory of the service, whose owner is trusted too.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UntrustedFile(errno.EINVAL, "is not a plain file; name one")
        if problem := file_problem(status, folder.stat() if folder else None):
            raise UntrustedFile(errno.EPERM, problem)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def file_problem(status: os.stat_result, folder: os.stat_result | None = None) -> str:
    """Why a file is not trusted, and what to do, as the rest of a sentence; empty if it is trusted.

    The status must be of the opened descriptor. Links are followed: the file counts, as with mounts
    of Kubernetes. ``folder`` is a directory of credentials, which systemd creates for the user of
    the service: its owner is trusted too, so that root can run commands with the credentials of the
    service.
    """
    owners = trusted_users()
    if folder is not None and not folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        owners |= {folder.st_uid}
    if status.st_uid not in owners:
        return (
            f"belongs to {user_name(status.st_uid)}; only root and the user who runs this may own it: give it to one "
            "of them with chown"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users than its owner; run chmod go-w on it"
    return ""


def directory_problem(status: os.stat_result) -> str:
    """Why no socket may be created in a directory, as a sentence; empty if it may be."""
    if status.st_uid not in trusted_users():
        return f"the directory belongs to {user_name(status.st_uid)}; give it to the user of the service"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users can write into the directory and could put their own socket there; run chmod go-w on it"
    return ""


def trusted_users() -> frozenset[int]:
    """The users whose files and processes are trusted."""
    return frozenset({0, os.geteuid(), Path("/").stat().st_uid})
