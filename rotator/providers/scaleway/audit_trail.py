"""Reads the audit trail of an organisation for one bearer, region by region, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.errors import ServiceError
from rotator.http import HttpResponse
from rotator.providers.scaleway.responses import Unexpected, body_of
from rotator.util.formatting import strip_control_characters
from rotator.util.instants import clamp

REGIONS = ("fr-par", "nl-ams")
"""The regions with an audit trail. The first has the changes to IAM."""

MOST_PAGES = 20
PAGE = 100

LONGEST_TEXT = 1000
"""Characters that are kept of a user agent and of every other text: the caller chooses it."""

Ask = Callable[[str, Mapping[str, str]], HttpResponse]
"""GET of a path with a query; raises the error that the answer stands for."""


def read_audit_trail(ask: Ask, organization: str, bearer: str, since: datetime, until: datetime) -> AuditTrail:
    """The calls of the bearer in all regions. A region without an answer hides no other."""
    audit_events: list[AuditEvent] = []
    asked, unavailable, truncated = [], [], False
    for region in REGIONS:
        try:
            found, more = _region(ask, region, organization, bearer, since, until)
        except (ServiceError, Unexpected) as error:
            why = str(error) if isinstance(error, ServiceError) else f"the answer is not what it should be ({error})"
            unavailable.append(f"{region}: {why}")
            continue
        asked.append(region)
        audit_events += found
        truncated = truncated or more
    return AuditTrail(
        tuple(sorted(audit_events, key=lambda audit_event: audit_event.at)), tuple(asked), tuple(unavailable), truncated
    )


def _region(
    ask: Ask, region: str, organization: str, bearer: str, since: datetime, until: datetime
) -> tuple[list[AuditEvent], bool]:
    query = {
        "organization_id": organization,
        "principal_id": bearer,
        "recorded_after": _stamp(since),
        "recorded_before": _stamp(until),
        "order_by": "recorded_at_asc",
        "page_size": str(PAGE),
    }
    audit_events: list[AuditEvent] = []
    for _ in range(MOST_PAGES):
        body = body_of(ask(f"/audit-trail/v1alpha1/regions/{region}/events", query))
        events = body.get("events")
        if not isinstance(events, list):
            raise Unexpected("events")
        # The server filters; the client checks that it did.
        audit_events += [
            audit_event_of(event) for event in events if isinstance(event, dict) and _principal(event) == bearer
        ]
        token = body.get("next_page_token")
        if not token:
            return audit_events, False
        query = {**query, "page_token": str(token)}
    return audit_events, True


def _principal(event: Mapping[str, Any]) -> object:
    principal = event.get("principal")
    return principal.get("id") if isinstance(principal, dict) else None


def audit_event_of(event: Mapping[str, Any]) -> AuditEvent:
    """One event of the trail. Times have nine fractional digits, of which six are read."""
    resources = event.get("resources")
    return AuditEvent(
        at=_moment(event.get("recorded_at")),
        source=_text(event, "source_ip"),
        agent=_text(event, "user_agent"),
        service=_text(event, "product_name"),
        method=_text(event, "method_name"),
        status=status if isinstance(status := event.get("status_code"), int) else 0,
        resources=tuple(
            f"{_text(one, 'type')} {_text(one, 'id')}".strip() for one in resources if isinstance(one, dict)
        )
        if isinstance(resources, list)
        else (),
    )


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return strip_control_characters(value[:LONGEST_TEXT]) if isinstance(value, str) else ""


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise Unexpected("recorded_at") from None
    if moment.tzinfo is None:
        raise Unexpected("recorded_at")
    return clamp(moment)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
