"""What can go wrong, told so that a caller knows what to do next.

::

    RotatorError                   exit 1
     ├─ ConfigurationError         exit 2   all problems at once, nothing was contacted
     ├─ Refused                    exit 4   not done, because it would be unsafe
     ├─ LedgerUnreadable           exit 4   damaged, or written by a newer rotator: touch nothing
     └─ ServiceError                        a call to Vault or to a provider did not succeed
         ├─ Unavailable            exit 3   surely not executed: try again later
         ├─ Unclear                exit 3   may have been executed: look before doing anything
         ├─ Denied                 exit 1   the credentials do not allow it
         ├─ Conflict               exit 1   check-and-set did not match: look again
         └─ Rejected               exit 1   understood and refused for good: do not repeat
             ├─ NotFound           exit 1   the thing named does not exist
             └─ QuotaExceeded      exit 4   no room for another key

Every message is one sentence for a person: what happened, to what, and what to do. No error ever
carries the body of an answer, because the body of an answer may hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


class RotatorError(Exception):
    """An error that is reported to a person in one sentence instead of a traceback."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True)
class ConfigurationProblem:
    """One mistake in the configuration: where it stands and what to write instead. ``private``: it
    may be sound, and is only not for this user to read."""

    file: str
    path: str
    message: str
    private: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        return f"{where}: {self.message}"


class ConfigurationError(RotatorError):
    """The configuration is not sound; it carries every problem found, never only the first."""

    exit_code = 2

    def __init__(self, problems: list[ConfigurationProblem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(RotatorError):
    """The request was understood and declined, because carrying it out would be unsafe."""

    exit_code = 4


class LedgerUnreadable(RotatorError):
    """A ledger exists but is damaged or of a newer schema: this is not the same as having none."""

    exit_code = 4


class ServiceError(RotatorError):
    """A call to Vault or to a provider did not succeed.

    ``service`` names who was called (``"vault"`` or the account's name), ``kind`` is a short
    identifier for logs and metrics such as ``"sealed"``, ``"rate_limited"`` or ``"timeout"``.
    """

    def __init__(self, message: str, *, service: str, kind: str) -> None:
        super().__init__(message)
        self.service = service
        self.kind = kind


class Unavailable(ServiceError):
    """The call was surely not executed (refused connection, sealed, no leader, 429): the same call
    may be made later."""

    exit_code = 3


class Indeterminate(ServiceError):
    """The call may or may not have been executed (time-out, reset, 5xx to a write): look before
    doing anything else."""

    exit_code = 3


class PermissionDenied(ServiceError):
    """The credentials do not allow the call, also after one new login; ``path`` and ``capability``
    say what is missing. ``remedy``: what to do, where it is another thing than to replace the
    credentials."""

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
    """The call was understood and refused for good; ``argument`` names the offending one where the
    service told it."""

    def __init__(self, message: str, *, service: str, kind: str, argument: str = "") -> None:
        super().__init__(message, service=service, kind=kind)
        self.argument = argument


class NotFound(Rejected):
    """The thing that the call names does not exist at the service."""


class TooManyKeys(Rejected):
    """A list has more keys than are read at once, so it would not be complete."""

    exit_code = 4


class QuotaExceeded(Rejected):
    """There is no room for another key: ``current`` of ``quota`` are in use."""

    exit_code = 4

    def __init__(self, message: str, *, service: str, resource: str, current: int, quota: int) -> None:
        super().__init__(message, service=service, kind="quota")
        self.resource = resource
        self.current = current
        self.quota = quota
