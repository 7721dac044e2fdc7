"""Unix sockets in the file system: opened for owner and group only, and removed only if no process
listens."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from rotator.system.file_permissions import directory_problem

WAITING = 64
"""Connections that may wait to be accepted."""


def remove_stale(path: Path) -> None:
    """Removes a socket without a listener. Anything else, or a socket in use, stays: a bind then
    fails."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            probe.connect(str(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        return


class SocketFile:
    """A listening socket at a path, for its owner and one group (by default the process's own).

    Owner and mode are set before it listens, on the socket itself and never through a link in its
    place. Raises ``OSError`` if it cannot be opened, also if other users can write into the
    directory.
    """

    def __init__(self, path: Path, group: str = "") -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            gid = _gid(group) if group else -1
            require_safe_directory(path.parent)
            remove_stale(path)
            self.socket.bind(str(path))
            self._identity = _identity(path)
            try:
                restrict(path, gid)
                self.socket.listen(WAITING)
            except OSError:
                self.unlink()
                raise
        except OSError:
            self.socket.close()
            raise

    @property
    def there(self) -> bool:
        """Whether the path still leads to this socket: it may have been removed or taken by another
        process."""
        return _identity(self.path) == self._identity

    def close(self) -> None:
        """Stops listening, and removes the path unless another process took it."""
        self.unlink()
        self.socket.close()

    def unlink(self) -> None:
        """Removes the path; the socket still listens."""
        if self.there:
            with suppress(OSError):
                self.path.unlink()


def require_safe_directory(directory: Path) -> None:
    """Raises ``OSError`` if other users could put their own socket into the directory."""
    if problem := directory_problem(directory.stat()):
        raise OSError(errno.EINVAL, problem)


def restrict(path: Path, gid: int = -1) -> None:
    """Gives the socket to the group, with mode 0660. A link in its place is an error and is not
    followed."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError(errno.EINVAL, "another user put something else in the place of the socket")
        itself = f"/proc/self/fd/{descriptor}"
        if gid != -1:  # the unit's filter of system calls refuses any chown
            os.chown(itself, -1, gid)
        os.chmod(itself, 0o660)  # noqa: PTH101 - not the path, which another user could change meanwhile
    finally:
        os.close(descriptor)


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise OSError(errno.ENOENT, f"there is no group {group} on this machine") from None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Port:
    """A listening socket at an address and a port. Raises ``OSError`` if it cannot be opened."""

    there = True

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family, backlog=WAITING)

    def close(self) -> None:
        """Stops listening."""
        self.socket.close()

    def unlink(self) -> None:
        """Does nothing: there is no path to remove."""
