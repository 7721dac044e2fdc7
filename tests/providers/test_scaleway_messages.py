"""What an operator reads when Scaleway does not do what it was asked: whose account, which call, what happened, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.facts import Endpoint, ExaminedAccount
from rotator.domain.keys import Key
from rotator.domain.marker import Marker
from rotator.domain.ports import Provider
from rotator.domain.secret import Secret
from rotator.errors import (
    ConfigurationError,
    ConfigurationProblem,
    Indeterminate,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Rejected,
    ServiceError,
    Unavailable,
)
from rotator.http import HttpFailure, HttpResponse
from rotator.providers.account_facts import examine_account
from rotator.providers.scaleway.audit_trail import LONGEST_TEXT, MOST_PAGES, audit_event_of, read_audit_trail
from rotator.providers.scaleway.client import ManagementKey
from rotator.providers.scaleway.errors import ApiCall, error_of
from rotator.providers.scaleway.responses import Unexpected
from tests.providers.test_scaleway_answers import BEARER, KEY, NAME, NO_RIGHT, TRIED, listed
from tests.support.provider_building import ORGANIZATION, provider_at
from tests.support.raw_server import RawServer, answer
from tests.support.simulated import EPOCH, Sim, SimProvider, spec

READ, WRITE = ApiCall("acme", "listing"), ApiCall("acme", "creating", writing=True)


def said(status: int, **body: Any) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


def detailed(status: int, kind: str, **detail: Any) -> HttpResponse:
    return said(status, type=kind, details=[detail])


ERRORS: dict[str, tuple[HttpResponse, type[ServiceError], str, str]] = {
    "too many requests": (said(429), Unavailable, "rate_limited", "too many requests; try again later"),
    "a key that is refused": (
        said(401, type="denied_authentication", reason="expired"),
        PermissionDenied,
        "unauthenticated",
        "the management key is refused (expired); replace the secret that the account's secret_key refers to",
    ),
    "a key that is refused without a reason": (
        said(401, type="denied_authentication"),
        PermissionDenied,
        "unauthenticated",
        "the management key is refused (not valid); replace the secret that the account's secret_key refers to",
    ),
    "a right that is missing": (
        detailed(403, "permissions_denied", action="read", resource="api_key"),
        PermissionDenied,
        "permissions_denied",
        "the management key may not read api_key; give its bearer the permission set IAMApplicationManager",
    ),
    "the right to the trail": (
        detailed(403, "permissions_denied", action="read", resource="audit_trail_event"),
        PermissionDenied,
        "permissions_denied",
        "the management key may not read audit_trail_event; give its bearer the permission set AuditTrailReadOnly",
    ),
    "a right without a name": (
        said(403, type="permissions_denied"),
        PermissionDenied,
        "permissions_denied",
        "the management key may not do that; give its bearer the permission set IAMApplicationManager",
    ),
    "a quota": (
        detailed(403, "quotas_exceeded", current=50, quota=51, resource="IamApiKeys"),
        QuotaExceeded,
        "quota",
        "no room for another key, 50 of 51 are in use; delete keys that are not needed or have the quota raised",
    ),
    "a quota without numbers": (
        said(403, type="quotas_exceeded"),
        QuotaExceeded,
        "quota",
        "no room for another key, the quota is used up; delete keys that are not needed or have the quota raised",
    ),
    "no such project": (
        said(404, type="not_found", resource="default_project"),
        Rejected,
        "not_found",
        "there is no such project; correct default_project_id",
    ),
    "no such application": (
        said(404, type="not_found", resource="iam_application"),
        NotFound,
        "not_found",
        "there is no such iam application",
    ),
    "no such thing": (said(404, type="not_found"), NotFound, "not_found", "there is no such thing"),
    "an expiry": (
        detailed(400, "invalid_arguments", argument_name="expires_at"),
        Rejected,
        "invalid_arguments",
        (
            "the organisation limits how long keys live; set lifetime for the application, within the organisation's "
            "maximum"
        ),
    ),
    "an argument": (
        detailed(400, "invalid_arguments", argument_name="description", reason="format"),
        Rejected,
        "invalid_arguments",
        "the argument description was refused (format)",
    ),
    "an argument without a name": (
        said(400, type="invalid_arguments"),
        Rejected,
        "invalid_arguments",
        "the argument of unknown name was refused (not valid)",
    ),
    "something busy": (
        said(409, type="transient_state", resource="api_key"),
        Unavailable,
        "transient",
        "the api_key is busy; try again later",
    ),
    "something busy without a name": (
        said(409, type="transient_state"),
        Unavailable,
        "transient",
        "the resource is busy; try again later",
    ),
    "any other refusal": (
        said(412, type="precondition_failed"),
        Rejected,
        "precondition_failed",
        "refused as precondition_failed (412)",
    ),
    "a server that fails": (said(500), Unavailable, "server_error", "the server failed (500); try again later"),
    "another address": (
        said(302),
        Unavailable,
        "redirected",
        "the address leads elsewhere (302); correct the account's api_url; try again later",
    ),
    "another answer": (
        said(202),
        Unavailable,
        "unexpected_answer",
        "the answer (202) is not one of the API; look at the account's api_url; try again later",
    ),
    "a time limit of a gateway": (
        said(408, type="x"),
        Unavailable,
        "unexpected_answer",
        "the answer (408) is not one of the API; look at the account's api_url; try again later",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_answer_is_said_in_one_sentence_with_what_to_do(case: str) -> None:
    reply, kind, name, message = ERRORS[case]
    error = error_of(reply, READ)
    assert type(error) is kind
    assert (error.service, error.kind) == ("acme", name)
    assert str(error) == f"acme: listing: {message}"


def test_an_answer_that_says_nothing_to_a_write_leaves_open_whether_it_was_done() -> None:
    error = error_of(said(500), WRITE)
    assert isinstance(error, Indeterminate)
    assert str(error) == "acme: creating: the server failed (500); it may have been done, so look first"
    assert isinstance(error_of(said(429), WRITE), Unavailable)


@pytest.mark.parametrize(
    ("call", "sent", "kind", "end"),
    [
        (READ, "no", Unavailable, "try again later"),
        (READ, "unknown", Unavailable, "try again later"),
        (WRITE, "no", Unavailable, "try again later"),
        (WRITE, "unknown", Indeterminate, "it may have been done, so look first"),
    ],
)
def test_a_call_without_an_answer_is_said_with_its_reason(
    call: ApiCall, sent: Any, kind: type[ServiceError], end: str
) -> None:
    error = call.failed(HttpFailure("the connection was reset", kind="lost", sent=sent))
    assert type(error) is kind
    assert (str(error), error.kind) == (f"acme: {call.doing}: the connection was reset; {end}", "lost")


DOING: dict[str, Any] = {
    f"listing the keys of {BEARER}": lambda provider: provider.list_keys(BEARER),
    "listing all keys of the organisation": lambda provider: provider.list_all_keys(),
    "listing the applications of the organisation": lambda provider: provider.list_bearers(),
    f"looking for the key {NAME}": lambda provider: provider.get_key(NAME),
    f"looking for the application {BEARER}": lambda provider: provider.bearer_exists(BEARER),
    f"deleting the key {NAME}": lambda provider: provider.delete_key(NAME),
    f"creating a key for {BEARER}": lambda provider: provider.create_key(
        BEARER, "marker", default_project_id=None, expires_at=None
    ),
}


MANAGEMENT = "management-key-that-is-no-uuid"


@pytest.mark.parametrize("secret", ["f00dcafe-5ec2-4e75-8ecc-0123456789ab", MANAGEMENT])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412])
def test_i6_a_word_of_the_api_that_may_be_a_secret_is_in_no_error(status: int, secret: str) -> None:
    used = Secret(MANAGEMENT)
    detail = dict.fromkeys(("action", "resource", "argument_name", "reason"), secret)
    kinds = ("invalid_arguments", "denied_authentication", "permissions_denied", "quotas_exceeded", "not_found", secret)
    for kind in kinds:
        error = error_of(said(status, type=kind, resource=secret, reason=secret, details=[detail]), WRITE)
        assert secret not in f"{error}{vars(error)}", kind
    assert used


@pytest.mark.parametrize("doing", DOING)
def test_every_message_says_whose_account_and_which_call(doing: str) -> None:
    with RawServer(NO_RIGHT) as server, provider_at(server.url) as provider:
        with pytest.raises(PermissionDenied) as raised:
            DOING[doing](provider)
        assert str(raised.value) == (
            f"{provider.name}: {doing}: the management key may not read api_key; "
            "give its bearer the permission set IAMApplicationManager"
        )


def test_an_account_says_which_region_of_the_trail_did_not_answer() -> None:
    with RawServer(NO_RIGHT) as server, provider_at(server.url) as provider:
        trail = provider.trail(BEARER, EPOCH, EPOCH + timedelta(days=1))
    assert [line.partition(": ")[0] for line in trail.unavailable] == ["fr-par", "nl-ams"]
    assert f"reading the audit trail of {BEARER}: the management key may not read api_key" in trail.unavailable[0]


@pytest.mark.parametrize(
    ("act", "message", "argument"),
    [
        (
            lambda provider: provider.list_keys("a b"),
            "this is not the id of an application; correct application_id",
            "application_id",
        ),
        (lambda provider: provider.get_key("SCW1"), "this is not an access key of Scaleway", "access_key"),
        (lambda provider: provider.delete_key("x"), "this is not an access key of Scaleway", "access_key"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_sent(act: Any, message: str, argument: str) -> None:
    with RawServer() as server, provider_at(server.url) as provider:
        with pytest.raises(Rejected) as raised:
            act(provider)
        assert str(raised.value).endswith(f": {message}")
        assert (raised.value.kind, raised.value.argument, server.requests) == ("invalid_arguments", argument, [])


def test_pages_that_do_not_add_up_are_said_so() -> None:
    applications = {"applications": [{"id": BEARER, "name": "one"}], "total_count": 2}
    empty = {"applications": [], "total_count": 2}
    pages = RawServer(answer(200, applications), answer(200, empty))
    with pages, provider_at(pages.url) as provider, pytest.raises(Unavailable) as raised:
        provider.list_bearers()
    assert raised.value.kind == "inconsistent_pages"
    assert "the pages do not add up to their count; try again later" in str(raised.value)


def test_the_count_of_keys_is_asked_for_with_a_page_of_one() -> None:
    quota = answer(200, {"quota": [{"name": "iam_api_keys", "limit": 10}], "total_count": 1})
    with RawServer(quota, listed(KEY, total=4)) as server, provider_at(server.url) as provider:
        assert provider.headroom() == 6
        lines = [request.split(b"\r\n")[0].decode() for request in server.requests]
    assert "page_size=100" in lines[0]
    assert "page=1" in lines[1]
    assert "page_size=1 " in lines[1] or "page_size=1&" in lines[1]
    assert f"organization_id={ORGANIZATION}" in lines[1]


def test_a_secret_that_is_tried_is_sent_for_its_own_key() -> None:
    with RawServer(answer(200, KEY)) as server, provider_at(server.url) as provider:
        assert provider.authenticate(NAME, Secret(TRIED)).value == "valid"
        (request,) = server.requests
    assert f"/iam/v1alpha1/api-keys/{NAME} " in request.decode()
    assert TRIED in request.decode()


# --- the management key ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (OSError("a path"), "it cannot be read"),
        (ValueError("a secret"), "it cannot be read"),
        (ConfigurationError([ConfigurationProblem("", "", "the file is empty")]), "the file is empty"),
    ],
)
def test_a_management_key_that_is_not_to_be_had_says_why_and_which_option_to_correct(
    problem: Exception, why: str
) -> None:
    def read() -> Secret:
        raise problem

    with pytest.raises(PermissionDenied) as raised:
        ManagementKey(read).current(READ)
    assert raised.value.kind == "secret_key"
    assert why in str(raised.value)
    assert str(raised.value).startswith("acme: listing: the management key cannot be used: ")
    assert str(raised.value).endswith("; correct the account's secret_key")


def test_a_management_key_is_read_once_and_again_when_it_is_refused() -> None:
    kept = [Secret("one"), Secret("two"), Secret("two")]
    key = ManagementKey(lambda: kept.pop(0))
    assert [key.current(READ).reveal() for _ in range(3)] == ["one"] * 3
    assert key.instead_of(Secret("another"), READ) == Secret("one"), "somebody else has replaced it meanwhile"
    assert key.instead_of(Secret("one"), READ) == Secret("two")
    assert key.instead_of(Secret("two"), READ) is None
    assert kept == []
    newer = ManagementKey(lambda: Secret("read"), lambda: Secret("newest"))
    assert newer.current(READ) == Secret("newest")


# --- the audit trail ------------------------------------------------------------------------------------------------------

EVENT = {
    "recorded_at": "2026-01-01T10:00:00.123456789Z",
    "source_ip": "192.0.2.1",
    "user_agent": "curl\x1b[31m",
    "product_name": "iam",
    "method_name": "CreateAPIKey",
    "status_code": 200,
    "principal": {"id": BEARER},
    "resources": [{"type": "api_key", "id": "SCW1"}, "odd", {"type": "project"}],
}


def test_an_event_of_the_trail_is_read_field_by_field() -> None:
    assert audit_event_of(EVENT) == AuditEvent(
        datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC),
        "192.0.2.1",
        audit_event_of(EVENT).agent,
        "iam",
        "CreateAPIKey",
        200,
        ("api_key SCW1", "project"),
    )
    assert "\x1b" not in audit_event_of(EVENT).agent
    assert len(audit_event_of({**EVENT, "user_agent": "x" * 1_000_000}).agent) == LONGEST_TEXT
    bare = audit_event_of({"recorded_at": "2026-01-01T10:00:00Z", "source_ip": 3, "status_code": "x", "resources": 1})
    assert bare == AuditEvent(datetime(2026, 1, 1, 10, tzinfo=UTC), "", "", "", "", 0, ())


@pytest.mark.parametrize("moment", [None, "yesterday", "2026-01-01T10:00:00"])
def test_an_event_without_a_time_is_no_event(moment: object) -> None:
    with pytest.raises(Unexpected) as raised:
        audit_event_of({**EVENT, "recorded_at": moment})
    assert str(raised.value) == "recorded_at"


def trail_of(pages: dict[str, list[Any]]) -> tuple[AuditTrail, list[tuple[str, dict[str, str]]]]:
    """The trail from these pages of each region, and what was asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    def ask(path: str, query: Mapping[str, str]) -> HttpResponse:
        asked.append((path, dict(query)))
        page = pages[path.split("/")[4]].pop(0)
        if isinstance(page, Exception):
            raise page
        return said(200, **page)

    return read_audit_trail(ask, "org", BEARER, EPOCH, EPOCH + timedelta(days=1)), asked


def test_the_trail_of_all_regions_is_one_in_order_of_time_and_of_this_bearer_alone() -> None:
    def at(hour: int, **more: Any) -> dict[str, Any]:
        return {**EVENT, "recorded_at": f"2026-01-01T{hour:02d}:00:00Z", **more}

    trail, asked = trail_of(
        {
            "fr-par": [
                {
                    "events": [at(9), at(3, principal={"id": "another"}), at(4, principal=None), 7],
                    "next_page_token": "t2",
                },
                {"events": [at(5)], "next_page_token": ""},
            ],
            "nl-ams": [{"events": [at(7)]}],
        }
    )
    assert [event.at.hour for event in trail.audit_events] == [5, 7, 9]
    assert (trail.asked, trail.unavailable, trail.truncated, trail.complete) == (("fr-par", "nl-ams"), (), False, True)
    first, second, third = asked
    query = {
        "organization_id": "org",
        "principal_id": BEARER,
        "recorded_after": "2026-01-01T00:00:00.000000Z",
        "recorded_before": "2026-01-02T00:00:00.000000Z",
        "order_by": "recorded_at_asc",
        "page_size": "100",
    }
    assert first == ("/audit-trail/v1alpha1/regions/fr-par/events", query)
    assert second == ("/audit-trail/v1alpha1/regions/fr-par/events", {**query, "page_token": "t2"})
    assert third[0] == "/audit-trail/v1alpha1/regions/nl-ams/events"


def test_a_region_that_answers_wrongly_or_not_at_all_is_named_and_hides_no_other() -> None:
    away = Unavailable("acme: away", service="acme", kind="no_answer")
    trail, _ = trail_of({"fr-par": [{"events": 3}], "nl-ams": [away]})
    assert trail.unavailable == ("fr-par: the answer is not what it should be (events)", "nl-ams: acme: away")
    assert (trail.asked, trail.complete) == ((), False)


def test_a_trail_of_very_many_pages_is_cut_and_says_so() -> None:
    endless = {"events": [EVENT], "next_page_token": "more"}
    trail, asked = trail_of({"fr-par": [endless] * MOST_PAGES, "nl-ams": [{"events": []}]})
    assert (trail.truncated, trail.complete, len(asked)) == (True, False, MOST_PAGES + 1)
    assert len(trail.audit_events) == MOST_PAGES


# --- an examination -------------------------------------------------------------------------------------------------------

FACTS = ExaminedAccount("acme", Endpoint("https://api.test"), key=NAME)


class Examined(SimProvider):
    """The simulated API with a key that manages the account."""

    error: ServiceError | None = None

    def get_key(self, access_key: str) -> Key | None:
        return Key(access_key, "manager", "", EPOCH, EPOCH + timedelta(days=9)) if access_key == NAME else None

    def headroom(self, *, fresh: bool = False) -> int | None:
        if self.error is not None:
            raise self.error
        return 7 if fresh else None


def examined(sim: Sim, facts: ExaminedAccount = FACTS, error: ServiceError | None = None) -> ExaminedAccount:
    provider: Provider = Examined(sim)
    provider.error = error  # type: ignore[attr-defined]  # the double above
    known = spec(application="known", bearer="b-known")
    odd, gone = spec(application="odd", bearer="b-odd"), spec(application="gone", bearer="b-gone")
    unread = spec(application="unread", bearer="b-unread")
    sim.bearers |= {"b-known", "b-odd", "b-unread"}
    ours = Marker("1" * 16, "odd", "2" * 16, 1, "-").render()
    names = [sim.make_key(bearer=bearer)[0].access_key for bearer in ("b-known", "b-odd", "b-unread")]
    sim.make_key(ours, bearer="b-odd")
    documents = {"known": frozenset(names[:1]), "odd": frozenset(), "unread": None}
    return examine_account(facts, provider, [known, gone, odd, unread], lambda one: documents[one.application])


def test_an_examination_tells_the_key_the_room_missing_applications_and_keys_of_unknown_origin() -> None:
    sim = Sim()
    sim.time.skew_provider = timedelta(seconds=3)
    assert examined(sim) == replace(
        FACTS,
        clock_offset=timedelta(seconds=3),
        headroom=7,
        missing=("gone",),
        unmanaged={"odd": ("SCW00000000000000002",)},
        key_created=EPOCH,
        key_expires=EPOCH + timedelta(days=9),
    )
    nameless = examined(Sim(), replace(FACTS, key=""))
    assert (nameless.key_created, nameless.key_expires, nameless.headroom) == (None, None, 7)


def test_an_account_that_cannot_be_reached_is_not_examined() -> None:
    sim, facts = Sim(), replace(FACTS, endpoint=Endpoint("https://api.test", "dns", "no such host"))
    assert examined(sim, facts) == facts
    assert sim.calls == []


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (PermissionDenied("x", service="acme", kind="permissions_denied"), {"right_fault": "x"}),
        (PermissionDenied("x", service="acme", kind="unauthenticated"), {"login_fault": "x"}),
        (Unavailable("x", service="acme", kind="no_answer"), {"fault": "x"}),
    ],
)
def test_what_stops_an_examination_is_a_fault_of_the_login_of_its_rights_or_of_the_service(
    error: ServiceError, fault: dict[str, str]
) -> None:
    assert examined(Sim(), error=error) == replace(FACTS, **fault)  # type: ignore[arg-type]  # the fields above
