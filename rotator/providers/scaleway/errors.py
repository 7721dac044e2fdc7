"""Maps Scaleway's answers, and missing answers, to ``rotator.errors``.

Errors contain nothing of a body but short words, such as a type, an argument's name or a resource.
An answer that is not the API's own (a page of HTML, a 404 of a gateway) proves nothing, whatever
its status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rotator.domain.secret import redact, to_displayable
from rotator.errors import Indeterminate, NotFound, PermissionDenied, QuotaExceeded, Rejected, ServiceError, Unavailable
from rotator.http import HttpFailure, HttpResponse
from rotator.providers.scaleway.responses import Unexpected, body_of, is_count

KEY = frozenset({"access_key", "api_key", ""})
"""The resources in a 404 about a key."""
APPLICATION = frozenset({"application", "iam_application", ""})
"""The same for an application."""

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class ApiCall:
    """An attempt, for messages: account, action, and whether it writes."""

    service: str
    doing: str
    writing: bool = False

    def not_done(self, why: str, *, kind: str) -> Unavailable:
        """The error of a call that was certainly not executed."""
        return Unavailable(f"{self._about(why)}; try again later", service=self.service, kind=kind)

    def unknown(self, why: str, *, kind: str) -> ServiceError:
        """The error of an unclear answer: a write may have been executed."""
        if not self.writing:
            return self.not_done(why, kind=kind)
        return Indeterminate(
            f"{self._about(why)}; it may have been done, so look first", service=self.service, kind=kind
        )

    def rejected(self, why: str, *, kind: str, argument: str = "") -> Rejected:
        """The error of a call that was rejected for good."""
        return Rejected(self._about(why), service=self.service, kind=kind, argument=argument)

    def denied(self, why: str, *, kind: str, capability: str = "") -> PermissionDenied:
        """The error of missing permission of the management key."""
        return PermissionDenied(self._about(why), service=self.service, kind=kind, capability=capability)

    def failed(self, failure: HttpFailure) -> ServiceError:
        """The error of a call without an answer."""
        make = self.not_done if failure.sent == "no" else self.unknown
        return make(str(failure), kind=failure.kind)

    def _about(self, why: str) -> str:
        return f"{self.service}: {self.doing}: {why}"


@dataclass(frozen=True)
class ApiError:
    """An error as the API reports it; without a type if the answer is not the API's."""

    type: str = ""
    resource: str = ""
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The first of its details."""

    def word(self, name: str) -> str:
        """A short word in the detail; empty if it is anything else."""
        return _word(self.detail.get(name))

    def number(self, name: str) -> int:
        """A number in the detail; zero if it is none."""
        value = self.detail.get(name)
        return value if is_count(value) else 0


def api_error_of(answer: HttpResponse) -> ApiError:
    """The error in an answer of the API."""
    try:
        body = body_of(answer)
    except Unexpected:
        return ApiError()
    details = body.get("details")
    detail = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    return ApiError(_word(body.get("type")), _word(body.get("resource")), _word(body.get("reason")), detail)


def _word(value: object) -> str:
    """A short word of the API; empty for anything else, and for what may be a secret."""
    if not isinstance(value, str) or not _WORD.fullmatch(value) or redact(to_displayable(value)) != value:
        return ""
    return value


def unauthenticated(answer: HttpResponse) -> bool:
    """Whether the API reports that the secret is not valid."""
    return answer.status == 401 and api_error_of(answer).type == "denied_authentication"


def lacks_right(answer: HttpResponse) -> bool:
    """Whether the API reports that the secret is valid and its bearer lacks permission."""
    return answer.status == 403 and api_error_of(answer).type == "permissions_denied"


def missing(answer: HttpResponse, resources: frozenset[str]) -> bool:
    """Whether the API reports that the resource does not exist."""
    complaint = api_error_of(answer)
    return answer.status == 404 and complaint.type == "not_found" and complaint.resource in resources


def error_of(answer: HttpResponse, call: ApiCall) -> ServiceError:
    """The error for an answer that is not acceptable."""
    status, complaint = answer.status, api_error_of(answer)
    if status == 429:
        # The gateway answers this before anything is executed, with an empty body and without
        # Retry-After.
        return call.not_done("too many requests", kind="rate_limited")
    known = _MEANINGS.get((status, complaint.type))
    if known is not None:
        return known(complaint, call)
    if 400 <= status < 500 and status != 408 and complaint.type:
        return call.rejected(f"refused as {complaint.type} ({status})", kind=complaint.type)
    if status >= 500:
        return call.unknown(f"the server failed ({status})", kind="server_error")
    if 300 <= status < 400:
        return call.unknown(f"the address leads elsewhere ({status}); correct the account's api_url", kind="redirected")
    return call.unknown(
        f"the answer ({status}) is not one of the API; look at the account's api_url", kind="unexpected_answer"
    )


def _unauthenticated(complaint: ApiError, call: ApiCall) -> ServiceError:
    why = complaint.reason or "not valid"
    return call.denied(
        f"the management key is refused ({why}); replace the secret that the account's secret_key refers to",
        kind="unauthenticated",
    )


def _permissions(complaint: ApiError, call: ApiCall) -> ServiceError:
    wanted = f"{complaint.word('action')} {complaint.word('resource')}".strip() or "do that"
    needed = "AuditTrailReadOnly" if "audit_trail" in complaint.word("resource") else "IAMApplicationManager"
    return call.denied(
        f"the management key may not {wanted}; give its bearer the permission set {needed}",
        kind="permissions_denied",
        capability=wanted,
    )


def _quota(complaint: ApiError, call: ApiCall) -> ServiceError:
    current, quota, resource = complaint.number("current"), complaint.number("quota"), complaint.word("resource")
    how_many = f"{current} of {quota} are in use" if quota else "the quota is used up"
    return QuotaExceeded(
        f"{call.service}: {call.doing}: no room for another key, {how_many}; delete keys that are not needed or have "
        "the quota raised",
        service=call.service,
        resource=resource,
        current=current,
        quota=quota,
    )


def _not_found(complaint: ApiError, call: ApiCall) -> ServiceError:
    if "project" in complaint.resource:
        return call.rejected(
            "there is no such project; correct default_project_id", kind="not_found", argument="default_project_id"
        )
    what = (complaint.resource or "thing").replace("_", " ")
    return NotFound(f"{call.service}: {call.doing}: there is no such {what}", service=call.service, kind="not_found")


def _argument(complaint: ApiError, call: ApiCall) -> ServiceError:
    argument, reason = complaint.word("argument_name"), complaint.word("reason") or "not valid"
    if argument == "expires_at":
        why = (
            "the organisation limits how long keys live; set lifetime for the application, within the organisation's "
            "maximum"
        )
    else:
        why = f"the argument {argument or 'of unknown name'} was refused ({reason})"
    return call.rejected(why, kind="invalid_arguments", argument=argument)


def _transient(complaint: ApiError, call: ApiCall) -> ServiceError:
    return call.not_done(f"the {complaint.resource or 'resource'} is busy", kind="transient")


_MEANINGS: Mapping[tuple[int, str], Callable[[ApiError, ApiCall], ServiceError]] = {
    (400, "invalid_arguments"): _argument,
    (401, "denied_authentication"): _unauthenticated,
    (403, "permissions_denied"): _permissions,
    (403, "quotas_exceeded"): _quota,
    (404, "not_found"): _not_found,
    (409, "transient_state"): _transient,
}
