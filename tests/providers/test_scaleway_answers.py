"""The table of awkward answers: what the Scaleway adapter concludes from each, and how often it asks."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.keys import ProbeResult
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
    TooManyKeys,
    Unavailable,
)
from rotator.providers.scaleway import ScalewayProvider
from rotator.providers.scaleway.client import ATTEMPTS
from tests.support.provider_building import MANAGEMENT, ORGANIZATION, provider_at
from tests.support.raw_server import RawServer, Script, answer, close, drip, refusing, reset, silence, then_close

BEARER = "0766588d-4a0e-4938-a140-544964da7870"
PROJECT = "105bdce1-64c0-48ab-899d-868455867ecf"
NAME = "SCW9AXCN349HVWTA0M0H"
TRIED = "7e57ed00-0000-4000-8000-0000000000ff"
ISSUED = "1550ed00-0000-4000-8000-0000000000ee"

KEY: dict[str, Any] = {
    "access_key": NAME,
    "secret_key": None,
    "description": "marker",
    "created_at": "2026-06-10T16:12:40.585516Z",
    "updated_at": "2026-06-10T16:12:40.585516Z",
    "expires_at": None,
    "default_project_id": PROJECT,
    "editable": True,
    "deletable": True,
    "managed": False,
    "creation_ip": "88.189.216.157",
    "application_id": BEARER,
}
CREATED = {**KEY, "secret_key": ISSUED}


def without(name: str, body: dict[str, Any] = KEY) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def listed(*keys: dict[str, Any], total: int | None = None) -> bytes:
    return answer(200, {"api_keys": list(keys), "total_count": len(keys) if total is None else total})


def refusal(status: int, kind: str, **fields: object) -> bytes:
    return answer(status, {"message": "words", "type": kind, **fields}, Content_Type="application/json")


NOT_AUTHENTICATED = refusal(401, "denied_authentication", method="api_key", reason="not_found")
NO_RIGHT = refusal(403, "permissions_denied", details=[{"action": "read", "resource": "api_key"}])
QUOTA = refusal(403, "quotas_exceeded", details=[{"current": 50, "quota": 50, "resource": "IamApiKeys"}])
NO_KEY = refusal(404, "not_found", resource="access_key", resource_id=NAME)
NO_APPLICATION = refusal(404, "not_found", resource="application", resource_id=BEARER)
NO_ORGANIZATION = refusal(404, "not_found", resource="organization", resource_id=ORGANIZATION)
TRANSIENT = refusal(409, "transient_state", current_state="updating", resource="api_key", resource_id=NAME)
PROTECTED = refusal(412, "precondition_failed", help_message="protected", precondition="protected_resource")
TOO_MANY = answer(429, b"", X_Envoy_Ratelimited="true")
PAGE = answer(503, b"<html><h1>503 Service Temporarily Unavailable</h1></html>", Content_Type="text/html")
NO_TYPE = answer(500, {"message": "grpc: error while marshaling: proto: oneof field has nil value"})
STRANGE_404 = answer(404, b"<html>404 page not found</html>", Content_Type="text/html")
STRANGE_401 = answer(401, b"<html>log in to the proxy</html>", Content_Type="text/html")
STRANGE_403 = answer(403, b"<html>blocked</html>", Content_Type="text/html")
STRANGE_200 = answer(200, b"<html>welcome</html>", Content_Type="text/html")
REDIRECT = answer(302, b"", Location="https://127.0.0.1:1/")
TRUNCATED = then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + json.dumps(CREATED).encode()[:200])
ARGUMENT = refusal(
    400, "invalid_arguments", details=[{"argument_name": "description", "help_message": "x", "reason": "format"}]
)

Act = Callable[[Provider], object]


def listing(provider: Provider) -> object:
    return provider.list_keys(BEARER)


def getting(provider: Provider) -> object:
    return provider.get_key(NAME)


def seeing(provider: Provider) -> object:
    return provider.bearer_exists(BEARER)


def creating(provider: Provider) -> object:
    return provider.create_key(BEARER, "marker", default_project_id=PROJECT, expires_at=None)


def deleting(provider: Provider) -> object:
    return provider.delete_key(NAME)


READS = (listing, getting, seeing)
EVERYTHING = (*READS, creating, deleting)


def error_from(act: Act, *scripts: Script) -> tuple[ServiceError, int]:
    """What the act raises when the server says this, and how many requests it made."""
    with RawServer(*scripts) as server, provider_at(server.url) as provider:
        with pytest.raises(ServiceError) as caught:
            act(provider)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
        for secret in (MANAGEMENT, ISSUED, "<html>", "grpc"):
            assert secret not in told
        return caught.value, len(server.requests)


# --- answers that say nothing ----------------------------------------------------------------------------------------------

SAYING_NOTHING: dict[str, tuple[Script, str]] = {
    "closed": (close, "protocol"),
    "reset": (reset, "lost"),
    "truncated": (TRUNCATED, "protocol"),
    "503 of HTML": (PAGE, "server_error"),
    "500 without type": (NO_TYPE, "server_error"),
    "504 empty": (answer(504), "server_error"),
    "redirect": (REDIRECT, "redirected"),
    "200 of HTML": (STRANGE_200, "unexpected_answer"),
    "404 of somebody else": (STRANGE_404, "unexpected_answer"),
    "401 of somebody else": (STRANGE_401, "unexpected_answer"),
    "403 of somebody else": (STRANGE_403, "unexpected_answer"),
    "408": (answer(408), "unexpected_answer"),
    "200 empty": (answer(200), "unexpected_answer"),
    "200 with a list": (answer(200, []), "unexpected_answer"),
    "200 with an empty object": (answer(200, {}), "unexpected_answer"),
    "204 out of place": (answer(202), "unexpected_answer"),
    "oversized": (answer(200, b" " * 5_000_000), "too_large"),
}


@pytest.mark.parametrize("case", SAYING_NOTHING)
@pytest.mark.parametrize("act", READS, ids=lambda act: act.__name__)
def test_b_an_answer_that_says_nothing_to_a_read_is_unavailable_and_never_empty(act: Act, case: str) -> None:
    script, kind = SAYING_NOTHING[case]
    error, requests = error_from(act, script)
    assert (type(error), error.kind, error.service) == (Unavailable, kind, "acme")
    assert requests == (ATTEMPTS if kind in ("protocol", "lost", "server_error") else 1)


@pytest.mark.parametrize("case", SAYING_NOTHING)
def test_b_create_an_unreadable_or_truncated_answer_is_unclear_and_never_repeated(case: str) -> None:
    script, kind = SAYING_NOTHING[case]
    error, requests = error_from(creating, script, answer(200, CREATED))
    assert (type(error), error.kind, requests) == (Indeterminate, kind, 1)


@pytest.mark.parametrize(
    "case", [name for name in SAYING_NOTHING if not name.startswith("200") and name != "oversized"]
)
def test_b_a_delete_that_may_have_been_done_is_unclear_and_not_repeated(case: str) -> None:
    script, kind = SAYING_NOTHING[case]
    error, requests = error_from(deleting, script, NO_KEY)
    assert (type(error), error.kind, requests) == (Indeterminate, kind, 1)


@pytest.mark.parametrize("act", EVERYTHING, ids=lambda act: act.__name__)
@pytest.mark.parametrize("slow", ["silent", "dripping headers", "dripping body"])
def test_every_request_has_a_total_deadline(act: Act, slow: str) -> None:
    stop = threading.Event()
    script = {
        "silent": silence(stop),
        "dripping headers": drip(b"HTTP/1.1 200 OK\r\nX: ", b"x", stop),
        "dripping body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ", stop),
    }[slow]
    with RawServer(script) as server, provider_at(server.url, timeout=timedelta(seconds=0.2)) as provider:
        with pytest.raises((Unavailable, Indeterminate)) as caught:
            act(provider)
        stop.set()
        assert caught.value.kind == "timeout"
        assert isinstance(caught.value, Indeterminate if act in (creating, deleting) else Unavailable)
        assert len(server.requests) == 1


@pytest.mark.parametrize("act", EVERYTHING, ids=lambda act: act.__name__)
def test_b_create_connection_refused_before_any_byte_was_sent_is_surely_not_executed(act: Act) -> None:
    waits: list[float] = []
    with refusing() as url, provider_at(url, sleep=waits.append) as provider:
        with pytest.raises(Unavailable) as caught:
            act(provider)
        assert caught.value.kind == "refused"
        assert len(waits) == (0 if act is creating else ATTEMPTS - 1)


# --- refusals that say something -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", EVERYTHING, ids=lambda act: act.__name__)
def test_b_400_or_403_is_refused_for_good_and_not_repeated(act: Act) -> None:
    denied, requests = error_from(act, NO_RIGHT)
    assert isinstance(denied, PermissionDenied)
    assert (denied.kind, denied.capability, requests) == ("permissions_denied", "read api_key", 1)
    assert "IAMApplicationManager" in str(denied)
    rejected, requests = error_from(act, ARGUMENT)
    assert type(rejected) is Rejected
    assert (rejected.argument, rejected.kind, requests) == ("description", "invalid_arguments", 1)
    other, requests = error_from(act, refusal(423, "locked"))
    assert type(other) is Rejected
    assert (other.kind, requests) == ("locked", 1)


def test_b_quotas_exceeded_says_how_many_and_which() -> None:
    error, requests = error_from(creating, QUOTA)
    assert isinstance(error, QuotaExceeded)
    assert (error.current, error.quota, error.resource, error.kind, requests) == (50, 50, "IamApiKeys", "quota", 1)
    assert "50 of 50" in str(error)


def test_a_quota_answer_without_details_is_still_a_quota() -> None:
    error, _ = error_from(creating, refusal(403, "quotas_exceeded"))
    assert isinstance(error, QuotaExceeded)


def test_b_an_expiry_policy_of_the_organisation_names_the_option_to_set() -> None:
    detail = {"argument_name": "expires_at", "help_message": "x", "reason": "constraint"}
    error, _ = error_from(creating, refusal(400, "invalid_arguments", details=[detail]))
    assert isinstance(error, Rejected)
    assert error.argument == "expires_at"
    assert "lifetime" in str(error)


def test_b_application_or_bearer_deleted_at_the_provider() -> None:
    error, requests = error_from(creating, NO_APPLICATION)
    assert (type(error), requests) == (NotFound, 1)
    with RawServer(NO_APPLICATION) as server, provider_at(server.url) as provider:
        assert provider.bearer_exists(BEARER) is False


def test_a_missing_project_is_not_a_missing_bearer() -> None:
    error, _ = error_from(creating, refusal(404, "not_found", resource="project", resource_id=PROJECT))
    assert type(error) is Rejected
    assert error.argument == "default_project_id"


def test_b_every_key_looks_unknown_at_once_when_the_address_is_wrong() -> None:
    """A 404 that is not the API's, or not about the key, is no proof that a key is gone."""
    for script in (STRANGE_404, answer(404, {"detail": "Not Found"})):
        error, _ = error_from(getting, script)
        assert isinstance(error, Unavailable)
        error, _ = error_from(deleting, script)
        assert isinstance(error, Indeterminate)
    error, _ = error_from(getting, NO_ORGANIZATION)
    assert isinstance(error, NotFound)
    error, _ = error_from(deleting, NO_ORGANIZATION)
    assert isinstance(error, NotFound)


@pytest.mark.parametrize("resource", ["access_key", "api_key", ""])
def test_a_404_of_the_api_about_the_key_is_none_and_done(resource: str) -> None:
    with RawServer(refusal(404, "not_found", resource=resource)) as server, provider_at(server.url) as provider:
        assert provider.get_key(NAME) is None
        assert provider.delete_key(NAME) is False


def test_b_key_becomes_not_deletable_and_its_delete_is_rejected() -> None:
    error, requests = error_from(deleting, PROTECTED)
    assert (type(error), error.kind, requests) == (Rejected, "precondition_failed", 1)


# --- patience --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("busy", [TOO_MANY, TRANSIENT], ids=["429", "409"])
def test_b_429_with_an_empty_body_is_waited_out_by_reads_and_deletes(busy: bytes) -> None:
    with RawServer(busy, busy, listed(KEY), busy, answer(204)) as server, provider_at(server.url) as provider:
        assert [key.access_key for key in provider.list_keys(BEARER)] == [NAME]
        assert provider.delete_key(NAME) is True
        assert len(server.requests) == 5


@pytest.mark.parametrize(("busy", "kind"), [(TOO_MANY, "rate_limited"), (TRANSIENT, "transient")], ids=["429", "409"])
def test_b_429_with_an_empty_body_to_a_create_is_surely_not_executed_and_not_repeated(busy: bytes, kind: str) -> None:
    error, requests = error_from(creating, busy, answer(200, CREATED))
    assert (type(error), error.kind, requests) == (Unavailable, kind, 1)


def test_a9_pauses_have_full_jitter_under_a_doubling_limit_and_end() -> None:
    waits: list[float] = []
    with RawServer(TOO_MANY) as server, provider_at(server.url, chance=lambda: 0.9, sleep=waits.append) as provider:
        with pytest.raises(Unavailable) as caught:
            provider.get_key(NAME)
        assert len(server.requests) == ATTEMPTS
    assert caught.value.kind == "rate_limited"
    assert [wait for wait in waits if wait > 0.1] == pytest.approx([0.45, 0.9, 1.8])


def test_no_pause_leads_past_the_deadline() -> None:
    waits: list[float] = []
    with (
        RawServer(TOO_MANY) as server,
        provider_at(server.url, timeout=timedelta(seconds=2), chance=lambda: 1e6, sleep=waits.append) as provider,
    ):
        with pytest.raises(Unavailable):
            provider.get_key(NAME)
        assert (len(server.requests), waits) == (1, [])


def test_a9_after_a_429_the_calls_of_all_threads_are_spaced() -> None:
    waits: list[float] = []
    with (
        RawServer(TOO_MANY, listed()) as server,
        provider_at(server.url, rate_limit=8.0, sleep=waits.append) as provider,
    ):
        with pytest.raises(Unavailable):
            creating(provider)
        assert waits == [], "the first second's worth goes at once"
        provider.list_keys(BEARER)
        assert len(waits) == 1


def test_our_own_rate_limit_never_makes_a_call_late_and_sends_nothing() -> None:
    with (
        RawServer(listed()) as server,
        provider_at(server.url, rate_limit=0.1, timeout=timedelta(seconds=2)) as provider,
    ):
        provider.list_keys(BEARER)
        with pytest.raises(Unavailable) as caught:
            creating(provider)
        assert (caught.value.kind, len(server.requests)) == ("own_rate_limit", 1)
        assert provider.authenticate(NAME, Secret(TRIED)) is ProbeResult.INCONCLUSIVE
        assert provider.urgent().list_keys(BEARER) == (), "the reserve is still there"


# --- our own management key ------------------------------------------------------------------------------------------------


def test_b_401_for_our_own_management_key_reloads_the_reference_once_then_stops() -> None:
    reads: list[int] = []

    def read() -> Secret:
        reads.append(1)
        return Secret(MANAGEMENT)

    with RawServer(NOT_AUTHENTICATED) as server, provider_at(server.url, secret_key=read) as provider:
        with pytest.raises(PermissionDenied) as caught:
            provider.list_keys(BEARER)
        assert (caught.value.kind, len(reads), len(server.requests)) == ("unauthenticated", 2, 1)
        assert "not_found" in str(caught.value)
        assert "secret_key" in str(caught.value)


@pytest.mark.parametrize("act", [*READS, deleting], ids=lambda act: act.__name__)
def test_b_401_a_replaced_management_key_is_picked_up(act: Act) -> None:
    kept = [MANAGEMENT]
    answers: dict[Act, bytes] = {
        listing: listed(KEY),
        getting: answer(200, KEY),
        seeing: answer(200, {"id": BEARER}),
        deleting: answer(204),
    }
    good = answers[act]
    with (
        RawServer(good, NOT_AUTHENTICATED, good) as server,
        provider_at(server.url, secret_key=lambda: Secret(kept[0])) as provider,
    ):
        act(provider)
        kept[0] = "5ec0e7f1-0000-4000-8000-0000000000b2"
        act(provider)
        act(provider)
        tokens = [MANAGEMENT, MANAGEMENT, kept[0], kept[0]]
        assert [token in request.decode() for token, request in zip(tokens, server.requests, strict=True)] == [True] * 4


def test_a3_a_create_is_not_even_repeated_with_a_replaced_management_key() -> None:
    """It was surely not executed, so the next attempt, with an intent of its own, uses the new key."""
    kept = [MANAGEMENT, "5ec0e7f1-0000-4000-8000-0000000000b2"]
    with (
        RawServer(NOT_AUTHENTICATED, answer(200, CREATED)) as server,
        provider_at(server.url, secret_key=lambda: Secret(kept.pop(0))) as provider,
    ):
        with pytest.raises(Unavailable) as caught:
            creating(provider)
        assert (caught.value.kind, len(server.requests)) == ("key_replaced", 1)
        creating(provider)
        assert server.requests[1].decode().count("0000000000b2") == 1


@pytest.mark.parametrize(
    "problem",
    [
        ConfigurationError([ConfigurationProblem("/etc/key", "", "is not there; create it")]),
        FileNotFoundError(2, "no such file"),
        ValueError(TRIED),
    ],
    ids=lambda problem: type(problem).__name__,
)
def test_a_management_key_that_cannot_be_read_is_denied_before_anything_is_sent(problem: Exception) -> None:
    def read() -> Secret:
        raise problem

    with RawServer(listed()) as server, provider_at(server.url, secret_key=read) as provider:
        with pytest.raises(PermissionDenied) as caught:
            provider.list_keys(BEARER)
        assert (caught.value.kind, server.requests) == ("secret_key", [])
        assert TRIED not in "".join(traceback.format_exception(caught.value))


def test_a_management_key_in_a_vault_that_is_away_is_unavailable() -> None:
    def read() -> Secret:
        raise Unavailable("vault: sealed; unseal it", service="vault", kind="sealed")

    with refusing() as url, provider_at(url, secret_key=read) as provider:
        with pytest.raises(Unavailable) as caught:
            provider.list_keys(BEARER)
        assert caught.value.service == "vault"


# --- trying a secret -------------------------------------------------------------------------------------------------------

TRIALS: dict[str, tuple[Script, ProbeResult]] = {
    "200": (answer(200, KEY), ProbeResult.VALID),
    "403 permissions_denied": (NO_RIGHT, ProbeResult.VALID),
    "401": (NOT_AUTHENTICATED, ProbeResult.REJECTED),
    "401 expired": (refusal(401, "denied_authentication", method="api_key", reason="expired"), ProbeResult.REJECTED),
    "401 of somebody else": (STRANGE_401, ProbeResult.INCONCLUSIVE),
    "403 of somebody else": (STRANGE_403, ProbeResult.INCONCLUSIVE),
    "403 quota": (QUOTA, ProbeResult.INCONCLUSIVE),
    "404": (NO_KEY, ProbeResult.INCONCLUSIVE),
    "429": (TOO_MANY, ProbeResult.INCONCLUSIVE),
    "503": (PAGE, ProbeResult.INCONCLUSIVE),
    "200 of HTML": (STRANGE_200, ProbeResult.INCONCLUSIVE),
    "200 of another key": (answer(200, {**KEY, "access_key": "SCW00000000000000000"}), ProbeResult.INCONCLUSIVE),
    "redirect": (REDIRECT, ProbeResult.INCONCLUSIVE),
    "closed": (close, ProbeResult.INCONCLUSIVE),
    "truncated": (TRUNCATED, ProbeResult.INCONCLUSIVE),
}


@pytest.mark.parametrize("case", TRIALS)
def test_a_secret_is_tried_once_and_only_clear_words_count(case: str) -> None:
    script, verdict = TRIALS[case]
    with RawServer(script) as server, provider_at(server.url) as provider:
        assert provider.authenticate(NAME, Secret(TRIED)) is verdict
        assert len(server.requests) == 1
        assert server.requests[0].startswith(f"GET /iam/v1alpha1/api-keys/{NAME} HTTP/1.1\r\n".encode())
        assert server.said(TRIED)
        assert not server.said(MANAGEMENT)


def test_a_secret_is_not_refused_by_a_server_that_is_not_there() -> None:
    with refusing() as url, provider_at(url) as provider:
        assert provider.authenticate(NAME, Secret(TRIED)) is ProbeResult.INCONCLUSIVE


# --- what is sent ----------------------------------------------------------------------------------------------------------


def test_a_create_says_exactly_what_it_was_given() -> None:
    with RawServer(answer(200, CREATED)) as server, provider_at(server.url) as provider:
        expires_at = datetime.fromisoformat("2035-07-06T11:00:00.000123+02:00")
        key, secret = provider.create_key(BEARER, "marker", default_project_id=PROJECT, expires_at=expires_at)
        provider.create_key(BEARER, "marker", default_project_id=None, expires_at=None)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /iam/v1alpha1/api-keys HTTP/1.1\r\n")
    assert f"x-auth-token: {MANAGEMENT}".encode() in head.lower()
    assert json.loads(body) == {
        "application_id": BEARER,
        "description": "marker",
        "default_project_id": PROJECT,
        "expires_at": "2035-07-06T09:00:00.000123Z",
    }
    assert json.loads(server.requests[1].partition(b"\r\n\r\n")[2]) == {
        "application_id": BEARER,
        "description": "marker",
    }
    assert (key.access_key, secret.reveal()) == (NAME, ISSUED)
    assert key.created_at == datetime(2026, 6, 10, 16, 12, 40, 585516, tzinfo=UTC)


def test_c18_dates_of_a_key_beyond_all_bounds_are_taken_for_the_nearest_that_can_be_computed_with() -> None:
    odd = {**KEY, "created_at": "0001-01-01T00:00:00+14:00", "expires_at": "9999-12-31T23:59:59.999999-14:00"}
    with RawServer(listed(odd)) as server, provider_at(server.url + "/") as provider:
        (key,) = provider.list_keys(BEARER)
    assert (key.created_at, key.expires_at) == (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))


def test_a_list_asks_for_the_bearers_keys_in_the_organisation() -> None:
    with RawServer(listed()) as server, provider_at(server.url + "/") as provider:
        provider.list_keys(BEARER)
    target = server.requests[0].split()[1].decode()
    path, _, query = target.partition("?")
    assert path == "/iam/v1alpha1/api-keys"
    assert sorted(query.split("&")) == sorted(
        [f"organization_id={ORGANIZATION}", f"bearer_id={BEARER}", "order_by=created_at_asc", "page=1", "page_size=100"]
    )


@pytest.mark.parametrize("nonsense", ["", "..", "a/b", "a?b=c", "SCW", f"{NAME}/", NAME.lower(), f"{NAME}\n", "é" * 20])
def test_names_that_cannot_be_ones_never_get_into_an_address(nonsense: str) -> None:
    with RawServer(answer(200, KEY)) as server, provider_at(server.url) as provider:
        for act in (provider.get_key, provider.delete_key):
            with pytest.raises(Rejected):
                act(nonsense)
        assert provider.authenticate(nonsense, Secret(TRIED)) is ProbeResult.INCONCLUSIVE
        if nonsense not in ("SCW", NAME.lower()):
            for look in (provider.list_keys, provider.bearer_exists):
                with pytest.raises(Rejected):
                    look(nonsense)
            with pytest.raises(Rejected):
                provider.create_key(nonsense, "", default_project_id=None, expires_at=None)
        assert server.requests == []


# --- shapes ----------------------------------------------------------------------------------------------------------------

WRONG_KEYS: dict[str, Any] = {
    "no access key": without("access_key"),
    "a strange access key": {**KEY, "access_key": "AKIA0000000000000000"},
    "no creation date": without("created_at"),
    "a creation date without zone": {**KEY, "created_at": "2026-06-10T16:12:40"},
    "a creation date of nonsense": {**KEY, "created_at": "yesterday"},
    "an expiry of nonsense": {**KEY, "expires_at": 5},
    "no bearer": without("application_id"),
    "two bearers": {**KEY, "user_id": BEARER},
    "a flag that is none": {**KEY, "managed": "no"},
    "no object": "key",
    "null": None,
}


@pytest.mark.parametrize("case", WRONG_KEYS)
def test_a_key_of_an_unexpected_shape_is_no_key_and_no_absence(case: str) -> None:
    body = WRONG_KEYS[case]
    for act, script in ((getting, answer(200, body)), (listing, listed(KEY, body))):
        error, _ = error_from(act, script)
        assert (type(error), error.kind) == (Unavailable, "unexpected_answer")
    error, requests = error_from(
        creating, answer(200, {**body, "secret_key": ISSUED} if isinstance(body, dict) else body)
    )
    assert (type(error), error.kind, requests) == (Indeterminate, "unexpected_answer", 1)


@pytest.mark.parametrize(
    "body",
    [
        KEY,
        {**CREATED, "secret_key": ""},
        {**CREATED, "secret_key": f"{ISSUED}\n"},
        {**CREATED, "application_id": PROJECT},
        {**CREATED, "description": "mark"},
        {**CREATED, "default_project_id": ORGANIZATION},
    ],
    ids=[
        "no secret",
        "empty secret",
        "secret with a newline",
        "another bearer",
        "another description",
        "another project",
    ],
)
def test_a_created_key_that_is_not_what_was_asked_for_is_unclear(body: dict[str, Any]) -> None:
    error, requests = error_from(creating, answer(200, body))
    assert (type(error), error.kind, requests) == (Indeterminate, "unexpected_answer", 1)


def test_answers_of_2022_lack_deletable_and_managed() -> None:
    old = without("deletable", without("managed"))
    with RawServer(answer(200, old)) as server, provider_at(server.url) as provider:
        key = provider.get_key(NAME)
    assert key is not None
    assert (key.deletable, key.provider_managed) == (True, False)


@pytest.mark.parametrize(
    "text", ["2026-06-10T16:12:40Z", "2026-06-10T16:12:40.585Z", "2026-06-10T18:12:40.585516123+02:00"]
)
def test_times_have_any_number_of_fraction_digits(text: str) -> None:
    with RawServer(answer(200, {**KEY, "expires_at": text})) as server, provider_at(server.url) as provider:
        key = provider.get_key(NAME)
    assert key is not None
    assert key.expires_at is not None
    assert key.expires_at.astimezone(UTC).replace(microsecond=0) == datetime(2026, 6, 10, 16, 12, 40, tzinfo=UTC)


def test_the_key_that_comes_must_be_the_one_that_was_asked_for() -> None:
    error, _ = error_from(getting, answer(200, {**KEY, "access_key": "SCW00000000000000000"}))
    assert isinstance(error, Unavailable)


# --- pages -----------------------------------------------------------------------------------------------------------------


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    return {**KEY, "access_key": f"SCW{number:017d}", **changes}


KEYS = [numbered(number) for number in range(25)]


def names(provider: ScalewayProvider) -> list[str]:
    return [key.access_key for key in provider.list_keys(BEARER)]


def test_pages_smaller_than_asked_for_are_followed_to_the_count() -> None:
    first, second = listed(*KEYS[:20], total=25), listed(*KEYS[20:], total=25)
    with RawServer(first, second, first) as server, provider_at(server.url) as provider:
        assert sorted(names(provider)) == sorted(key["access_key"] for key in KEYS)
        assert [line.split()[1].rpartition(b"&page=")[2] for line in server.requests] == [
            b"1&page_size=100",
            b"2&page_size=100",
            b"1&page_size=100",
        ], "from the last page to the first, so that no key moves past the reader"


def test_a2_a_key_that_moves_to_an_earlier_page_between_two_readings_is_not_missed() -> None:
    """One of the first page dies and another is made meanwhile, so that the count stays: KEYS[20] moves to the first page."""
    first, last = (
        listed(*KEYS[:20], total=25),
        listed(*KEYS[21:], {**KEYS[0], "access_key": "SCWFRESHXXXXXXXXXXXX"}, total=25),
    )
    moved = listed(*KEYS[1:21], total=25)
    with RawServer(first, last, moved, moved, last, moved) as server, provider_at(server.url) as provider:
        assert KEYS[20]["access_key"] in names(provider)


def test_b_list_pages_that_shifted_are_read_again() -> None:
    before, first, last = listed(*KEYS[:20], total=25), listed(*KEYS[1:21], total=24), listed(*KEYS[21:], total=24)
    with RawServer(before, last, first, first, last, first) as server, provider_at(server.url) as provider:
        assert sorted(names(provider)) == sorted(key["access_key"] for key in KEYS[1:])


@pytest.mark.parametrize(
    "script",
    [
        listed(*KEYS, total=26),
        listed(*KEYS, total=24),
        listed(*KEYS, KEYS[0], total=26),
        listed(total=3),
    ],
    ids=["too few", "too many", "one twice", "none of three"],
)
def test_b_list_pages_that_never_add_up_are_unavailable(script: bytes) -> None:
    pages = [script, listed(total=26)] if b'"total_count": 26' in script else [script]
    error, _ = error_from(listing, *(pages * 3))
    assert (type(error), error.kind) == (Unavailable, "inconsistent_pages")


def test_c13_a_list_of_more_than_ten_thousand_keys_says_the_limit_and_is_never_taken_for_whole() -> None:
    error, requests = error_from(listing, listed(*KEYS[:20], total=2001))
    assert (type(error), error.kind) == (TooManyKeys, "too_many_keys")
    assert "the list has 2001 keys on 101 pages, more than the 100 pages that are read at once" in str(error)
    assert requests == 1


def test_b_list_keys_of_other_bearers_are_left_out_even_if_the_server_does_not_filter() -> None:
    other = numbered(1, application_id=PROJECT)
    user = {**without("application_id", numbered(2)), "user_id": PROJECT}
    with RawServer(listed(KEY, other, user)) as server, provider_at(server.url) as provider:
        assert names(provider) == [NAME]


@pytest.mark.parametrize(
    "body",
    [
        {"api_keys": None, "total_count": 0},
        {"api_keys": []},
        {"api_keys": [], "total_count": "0"},
        {"total_count": 0},
        {"api_keys": {}, "total_count": 0},
    ],
)
def test_a_list_of_an_unexpected_shape_is_not_empty(body: dict[str, Any]) -> None:
    error, _ = error_from(listing, answer(200, body))
    assert (type(error), error.kind) == (Unavailable, "unexpected_answer")


# --- headroom --------------------------------------------------------------------------------------------------------------


def quota(*entries: dict[str, Any], total: int | None = None) -> bytes:
    return answer(200, {"quota": list(entries), "total_count": len(entries) if total is None else total})


def limited(name: str, *limits: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "pretty_name": name, "unit": "unit", "locality_type": "global", "limits": list(limits)}


SSH = limited("IamSshKeys", {"global": True, "limit": 50})


@pytest.mark.parametrize("name", ["IamApiKeys", "iam_api_keys", "ApiKeys", "IamAPIKey", "iam-api-keys"])
def test_the_quota_on_keys_is_found_under_any_likely_name(name: str) -> None:
    entry = limited(name, {"global": True, "limit": 100})
    with RawServer(quota(SSH, entry), listed(KEY, total=7)) as server, provider_at(server.url) as provider:
        assert provider.headroom() == 93


def test_the_quota_on_keys_is_looked_for_on_all_pages() -> None:
    entry = limited("IamApiKeys", {"global": True, "limit": 10})
    with (
        RawServer(quota(SSH, total=2), quota(entry, total=2), listed(KEY, total=7)) as server,
        provider_at(server.url) as provider,
    ):
        assert provider.headroom() == 3


@pytest.mark.parametrize(
    "script",
    [
        quota(),
        quota(SSH),
        quota(limited("IamApiKeys", {"global": True, "unlimited": True, "limit": 0})),
        quota(limited("IamApiKeys")),
        quota({"name": 5}),
        NO_RIGHT,
        STRANGE_404,
        STRANGE_200,
        TOO_MANY,
        NOT_AUTHENTICATED,
        close,
    ],
)
def test_a_quota_that_is_not_to_be_had_is_none_and_raises_nothing(script: Script) -> None:
    with RawServer(script) as server, provider_at(server.url) as provider:
        assert provider.headroom() is None
        assert server.requests


def test_headroom_follows_what_the_provider_said_last() -> None:
    entry = limited("IamApiKeys", {"global": True, "limit": 5})
    with (
        RawServer(quota(entry), listed(KEY, total=2), reset, QUOTA, answer(204), listed(KEY, total=9)) as server,
        provider_at(server.url) as provider,
    ):
        assert provider.headroom() == 3
        with pytest.raises(Indeterminate):
            creating(provider)
        assert provider.headroom() == 2, "a create that may have been carried out counts"
        with pytest.raises(QuotaExceeded):
            creating(provider)
        assert provider.headroom() == 0
        deleting(provider)
        assert provider.headroom() == 1
        assert len(server.requests) == 5


def test_headroom_is_not_below_zero() -> None:
    entry = limited("IamApiKeys", {"global": True, "limit": 5})
    with RawServer(quota(entry), listed(KEY, total=9)) as server, provider_at(server.url) as provider:
        assert provider.headroom() == 0
