"""Unix sockets in the file system: opened so that only those may connect who should, and removed only when nobody listens."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

WAITING = 64
"""Connections that may wait to be accepted."""


def remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on any more. What is no socket, or is in use, stays: a bind then fails."""
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
    """A listening socket at a path, for its owner and one group (the process's own when none is named).

    Nobody can connect before owner and mode are right, because only then it listens. Raises ``OSError`` when it cannot be.
    """

    def __init__(self, path: Path, group: str = "") -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            wanted = _gid(group) if group else None
            remove_stale(path)
            self.socket.bind(str(path))
            self._identity = _identity(path)
            try:
                if wanted is not None:
                    os.chown(path, -1, wanted)
                path.chmod(0o660)
                self.socket.listen(WAITING)
            except OSError:
                self.unlink()
                raise
        except OSError:
            self.socket.close()
            raise

    @property
    def there(self) -> bool:
        """Whether the path still leads to us: somebody may have cleaned up, or another process may have taken it."""
        return _identity(self.path) == self._identity

    def close(self) -> None:
        """Stop to listen, and remove the path unless somebody else took it."""
        self.unlink()
        self.socket.close()

    def unlink(self) -> None:
        """Let nobody find it any more; it still listens."""
        if self.there:
            with suppress(OSError):
                self.path.unlink()


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
    """A listening socket at an address and a port. Raises ``OSError`` when it cannot be."""

    there = True

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family, backlog=WAITING)

    def close(self) -> None:
        """Stop to listen."""
        self.socket.close()

    def unlink(self) -> None:
        """There is nothing that anybody could find."""
