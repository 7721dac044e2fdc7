"""Controls who may use which socket, and identifies the caller.

The kernel admits a caller by the group of the socket file, and identifies the user at the other
end. The socket for queries offers no operation that changes something.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from rotator.api.socket_names import CONTROL
from rotator.config import Control
from rotator.operations.operation import Operation
from rotator.system.peer_credentials import peer_uid
from rotator.system.users import NOBODY, user_name

MAX_NAME_LENGTH = 64
"""Characters of a user name that the caller states."""


def allowed_group(control: Control, name: str) -> str:
    """The group whose members may use a socket; empty for the group of the daemon."""
    return control.control_group if name == CONTROL else control.read_group


def offers_commands(name: str) -> bool:
    """Whether a socket offers the operations that change something."""
    return name == CONTROL


def offered_operations(operations: Iterable[Operation], *, commands: bool) -> list[Operation]:
    """The operations of a socket: queries, and with ``commands`` those that change something."""
    return [operation for operation in operations if commands or not operation.changes]


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a Unix socket, identified by the kernel."""

    uid: int

    @property
    def user(self) -> str | None:
        """The user's name; None if a user namespace hides it. May use the network (NSS), so never
        call it in the event loop."""
        return None if self.uid == NOBODY else user_name(self.uid)


def peer_of(connection: socket.socket) -> Peer | None:
    """The process at the other end; None if it is not a Unix socket."""
    return Peer(peer_uid(connection)) if connection.family == socket.AF_UNIX else None


def caller_name(peer: Peer | None, stated: str) -> str:
    """The name of the caller, from the kernel. If a user namespace hides it, the name that the
    caller states, marked as such."""
    by_kernel = peer.user if peer else None
    own_word = "".join(filter(str.isprintable, unquote(stated)))[:MAX_NAME_LENGTH]
    name = by_kernel or (f"{own_word} (as stated)" if own_word else "somebody")
    return f"{name} via control socket@{socket.gethostname()}"
