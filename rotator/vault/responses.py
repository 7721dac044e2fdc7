"""What the answers of Vault mean: a reply as a value, and the table from a refusal to
``rotator.errors``.

The table is careful in one direction: a write is called not executed only where that is sure. A
standby that lost its leader while passing a write on answers with a redirect, so 307 to a write is
unclear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rotator.errors import Indeterminate, NotFound, PermissionDenied, Rejected, ServiceError, Unavailable
from rotator.vault.policy import policy_line

SERVICE = "vault"

_NOT_EXECUTED: Mapping[str, tuple[str, str]] = {
    "vault is sealed": ("sealed", "Vault is sealed: unseal it"),
    "openbao is sealed": ("sealed", "Vault is sealed: unseal it"),
    "node not active but active cluster node not found": ("standby", "Vault has no active node: look at its cluster"),
    "upgrading from non-versioned": ("upgrading", "the mount is being upgraded to KV version 2: it takes a moment"),
    "waiting for the primary to upgrade": (
        "upgrading",
        "the mount is being upgraded to KV version 2: it takes a moment",
    ),
    "server is not yet initialized": ("uninitialized", "Vault is not initialised: initialise it"),
    "required index state not present": ("stale", "the Vault node that answered has not caught up with its leader"),
}
"""Words in an answer that prove that the call was not executed."""

_TOO_LARGE = ("refused json input", "value being too large", "exceeds allowed", "request body too large")
"""Words in an answer that prove that a write was refused because the document is too large or has
too many parts."""

_CAS = "check-and-set parameter did not match"


@dataclass(frozen=True)
class Reply:
    """An answer of Vault, never shown: its body may hold a secret, and even its errors may quote
    one."""

    status: int
    errors: tuple[str, ...] = field(default=(), repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """The ``data`` of the body, empty when there is none."""
        return mapping(self.body.get("data"))

    @property
    def ok(self) -> bool:
        """Whether Vault did what it was asked."""
        return 200 <= self.status < 300

    @property
    def nothing_there(self) -> bool:
        """Whether this is the 404 of a path that holds nothing (or a deleted version), and not that
        of a missing mount or of something that is not Vault."""
        return self.status == 404 and not self.errors and ("errors" in self.body or "data" in self.body)

    @property
    def cas_mismatch(self) -> bool:
        """Whether check-and-set did not match, as far as the node that answered knows."""
        return self.status == 400 and self.says(_CAS)

    @property
    def token_unknown(self) -> bool:
        """Whether Vault does not know the token: it ended, was revoked or is used up.

        A policy that denies a call is reported as ``1 error occurred: * permission denied``, an
        unknown token as the bare words; the last use of a token that may be used a few times only
        is reported as ``invalid token``.
        """
        if self.status == 403:
            bare = [error.strip().lower() for error in self.errors] == ["permission denied"]
            return bare or self.says("invalid token")
        return self.status == 400 and self.says("invalid token")

    def says(self, words: str) -> bool:
        """Whether an error of the answer contains the words (lower case)."""
        return any(words in error.lower() for error in self.errors)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def failure(reply: Reply, *, path: str, capability: str, writing: bool) -> ServiceError:
    """The error that a reply stands for, which was not ``ok``."""
    status = reply.status
    for words, (kind, message) in _NOT_EXECUTED.items():
        if reply.says(words):
            return Unavailable(f"{message} ({path} was not touched)", service=SERVICE, kind=kind)
    if status == 413 or (writing and any(map(reply.says, _TOO_LARGE))):
        return Rejected(
            f"Vault refused the write of {path} as too large: raise max_request_json_strings and max_request_size of "
            "its listener, or remove what the document does not need",
            service=SERVICE,
            kind="too_large",
            argument=path,
        )
    if status == 403:
        return _denied(path, capability)
    if status == 404:
        return NotFound(
            f"Vault has nothing that answers at {path}: check the mount, the namespace and the address",
            service=SERVICE,
            kind="no_route",
            argument=path,
        )
    if status in (429, 412, 472, 473):
        kind = "rate_limited" if status == 429 else "standby"
        return Unavailable(
            f"Vault did not take the call for {path} now (status {status}): try again later", service=SERVICE, kind=kind
        )
    if status in (400, 405, 415):
        return Rejected(
            f"Vault refused the call for {path} as wrong (status {status})",
            service=SERVICE,
            kind="bad_request",
            argument=path,
        )
    kind = "standby" if status < 400 else "server_error"
    return _no_clear_answer(status, path, kind, writing=writing)


def _denied(path: str, capability: str) -> PermissionDenied:
    return PermissionDenied(
        f"the policy of the login at Vault does not allow {capability} on {path}: add "
        f"{policy_line(path, (capability,))}",
        service=SERVICE,
        kind="policy",
        path=path,
        capability=capability,
    )


def _no_clear_answer(status: int, path: str, kind: str, *, writing: bool) -> ServiceError:
    if writing:
        return Indeterminate(
            f"Vault answered {status} to the write of {path}, which may have been executed: look before writing again",
            service=SERVICE,
            kind=kind,
        )
    return Unavailable(f"Vault answered {status} for {path}: try again later", service=SERVICE, kind=kind)
