"""Errors as the API tells them: one shape, ``{"error": {"kind", "message", "exit_code", …}}``, as with ``--json``."""

from __future__ import annotations

from rotator.operations.failures import FailureReport, ReportedError


class OperationError(ReportedError):
    """A request that goes no further, told as ``kind`` and one sentence."""

    def __init__(self, kind: str, message: str, exit_code: int = 2) -> None:
        super().__init__(FailureReport(kind, (message,), exit_code))
