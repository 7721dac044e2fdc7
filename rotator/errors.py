"""The errors, by what a caller has to do next.

::

    RotatorError                   exit 1
     ├─ ConfigurationError         exit 2   all problems at once, nothing was contacted
     ├─ Refused                    exit 4   not done, because it would be unsafe
     ├─ LedgerUnreadable           exit 4   damaged, or written by a newer rotator: touch nothing
     └─ ServiceError                        a call to Vault or to a provider did not succeed
         ├─ Unavailable            exit 3   surely not executed: try again later
         ├─ Indeterminate          exit 3   may have been executed: look before doing anything
         ├─ PermissionDenied       exit 1   the credentials do not allow it
         ├─ Conflict               exit 1   check-and-set did not match: look again
         └─ Rejected               exit 1   understood and refused for good: do not repeat
             ├─ NotFound           exit 1   the thing named does not exist
             └─ QuotaExceeded      exit 4   no room for another key

Every message is one sentence for the user: what happened, to what, and what to do. No error
contains the body of an answer, because that may contain a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


class RotatorError(Exception):
    """An error that is reported to the user in one sentence instead of a traceback."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class ConfigurationProblem:
    """One mistake in the configuration: its place, and what to write instead. ``private``: it may
    be valid, but this user is not permitted to read it."""

    file: str
    path: str
    message: str
    private: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: {self.message}"


class ConfigurationError(RotatorError):
    """The configuration is not valid. Contains every problem, not only the first."""

    exit_code = 2

    def __init__(self, problems: list[ConfigurationProblem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(RotatorError):
    """The request was refused, because executing it would be unsafe."""

    exit_code = 4


class LedgerUnreadable(RotatorError):
    """A ledger exists but is damaged or of a newer schema: not the same as having none."""

    exit_code = 4


class ServiceError(RotatorError):
    """A call to Vault or to a provider failed. ``service``: the service (``"vault"`` or the
    account's name); ``kind``: a short identifier for logs and metrics such as ``"sealed"``,
    ``"rate_limited"`` or ``"timeout"``."""

    def __init__(self, message: str, *, service: str, kind: str) -> None:
        super().__init__(message)
        self.service = service
        self.kind = kind


class Unavailable(ServiceError):
    """The call was certainly not executed (refused connection, sealed, no leader, 429): it can be
    repeated later."""

    exit_code = 3


class Indeterminate(ServiceError):
    """The call may have been executed (timeout, reset, 5xx to a write): read the state before doing
    anything else."""

    exit_code = 3


class PermissionDenied(ServiceError):
    """The credentials do not permit the call, also after one new login. ``path`` and
    ``capability``: what is missing; ``remedy``: what to do, if not to replace the credentials."""

    def __init__(
        self, message: str, *, service: str, kind: str, path: str = "", capability: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message, service=service, kind=kind)
        self.path = path
        self.capability = capability
        self.remedy = remedy


class Conflict(ServiceError):
    """A check-and-set write did not match the current version: another process wrote first."""


class Rejected(ServiceError):
    """The service rejected the call for good. ``argument``: the offending one, if the service names
    it."""

    def __init__(self, message: str, *, service: str, kind: str, argument: str = "") -> None:
        super().__init__(message, service=service, kind=kind)
        self.argument = argument


class NotFound(Rejected):
    """The object of the call does not exist at the service."""


class TooManyKeys(Rejected):
    """A list has more keys than are read at once, so it would be incomplete."""

    exit_code = 4


class QuotaExceeded(Rejected):
    """The quota has no room for another key: ``current`` of ``quota`` are in use."""

    exit_code = 4

    def __init__(self, message: str, *, service: str, resource: str, current: int, quota: int) -> None:
        super().__init__(message, service=service, kind="quota")
        self.resource = resource
        self.current = current
        self.quota = quota
