"""The error of an operation that is refused before it begins."""

from __future__ import annotations

from rotator.operations.failures import FailureReport, ReportedError


class OperationError(ReportedError):
    """A request that is refused: its ``kind``, one sentence, and ``details`` for machines."""

    def __init__(self, kind: str, message: str, exit_code: int = 2, **details: object) -> None:
        super().__init__(FailureReport(kind, (message,), exit_code, details))
