"""Errors of the API in the form ``{"error": {"kind", "message", "exit_code", …}}``, as with
``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rotator.errors import ServiceError
from rotator.operations.failures import FailureReport, explain

STATUSES = {
    "usage": 400,
    "not_found": 404,
    "unknown_application": 404,
    "method": 405,
    "too_slow": 408,
    "abandoned": 408,
    "too_large": 413,
    "not_json": 415,
    "other_configuration": 421,
    "configuration": 422,
    "busy": 429,
    "under_way": 429,
    "program": 500,
    "stopping": 503,
    "hung": 503,
}
"""Kinds of errors with a status of their own; the exit code decides for the others."""


MEANINGS = {
    400: "The request is not valid: `usage`.",
    404: "There is no such application, or no such page.",
    405: "The page has another method.",
    408: "The body took too long, or the caller was gone before the command began.",
    409: "Refused, because it would be unsafe (exit code 4).",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    421: "The daemon works for another configuration than `Rotator-Config` names; `config` is the daemon's.",
    422: "The new configuration is not valid; the old one stays in force.",
    429: "As many operations run as may; try again.",
    500: "It failed (exit code 1).",
    503: "A service is unreachable, the daemon is stopping, or its main loop hangs (exit code 3).",
}
"""Every status of an error, and what it means."""


@dataclass(frozen=True)
class ErrorResponse:
    """The status and the body of the answer."""

    status: int
    body: dict[str, Any]


def error_response(error: BaseException) -> ErrorResponse:
    """The response for this error."""
    failure = explain(error)
    return ErrorResponse(_status(error, failure), {"error": failure.as_json()})


def _status(error: BaseException, failure: FailureReport) -> int:
    if isinstance(error, ServiceError) or failure.kind not in STATUSES:
        return {2: 400, 3: 503, 4: 409}.get(failure.exit_code, 500)
    return STATUSES[failure.kind]
