"""The Scaleway adapter draws the right conclusion from every recorded answer of the real API.

Each recorded interaction is served over HTTP as it was recorded, and the verb is called that would have made the request. The
access key in recorded addresses is masked, so the one in the body is asked for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from rotator.domain.keys import Key, ProbeResult
from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, QuotaExceeded, Rejected, ServiceError, Unavailable
from rotator.providers.scaleway import ScalewayProvider
from rotator.providers.scaleway.errors import ApiCall, error_of
from tests.support.provider_building import provider_at
from tests.support.raw_server import RawServer

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "scaleway-recordings"
FILES = sorted(FOLDER.glob("*.yaml"))
TRIED = "7e57ed00-0000-4000-8000-0000000000ff"
MASKED = "SCWXXXXXXXXXXXXXXXXX"
IAM = "/iam/v1alpha1/"

pytestmark = pytest.mark.skipif(not FILES, reason="the recordings lie beside the repository and are not here")


@dataclass(frozen=True)
class Interaction:
    method: str
    path: str
    query: Mapping[str, list[str]]
    sent: Any
    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    @property
    def route(self) -> tuple[str, str]:
        path = re.sub(r"^(applications|api-keys)/[^/]+$", r"\1/*", self.path)
        return self.method, path

    @property
    def told(self) -> dict[str, Any]:
        told = json.loads(self.body)
        assert isinstance(told, dict)
        return told

    def wire(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Recorded"]
        lines += [
            f"{name}: {value}"
            for name, values in self.headers.items()
            for value in values
            if name.lower() != "content-length"
        ]
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def interactions(file: Path) -> Iterator[Interaction]:
    for entry in yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["interactions"]:
        request, response = entry["request"], entry["response"]
        url = urlsplit(request["url"])
        if not url.path.startswith(IAM):
            continue
        sent = request.get("body") or "null"
        yield Interaction(
            method=request["method"],
            path=url.path.removeprefix(IAM),
            query=parse_qs(url.query),
            sent=json.loads(sent),
            status=response["code"],
            headers=response.get("headers") or {},
            body=(response.get("body") or "").encode(),
        )


def attempt(provider: ScalewayProvider, recorded: Interaction) -> object:
    """The verb that makes the recorded request; an error is what it comes to."""
    name = recorded.path.partition("/")[2]
    try:
        match recorded.route:
            case "GET", "api-keys/*":
                return provider.get_key(recorded.told["access_key"] if recorded.status == 200 else MASKED)
            case "DELETE", "api-keys/*":
                return provider.delete_key(MASKED)
            case "POST", "api-keys":
                expires_at = recorded.sent.get("expires_at")
                return provider.create_key(
                    recorded.sent.get("application_id") or recorded.sent["user_id"],
                    recorded.sent["description"],
                    default_project_id=recorded.sent.get("default_project_id"),
                    expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
                )
            case "GET", "api-keys":
                return provider.list_keys(_bearer(recorded))
            case "GET", "applications/*":
                return provider.bearer_exists(name)
    except ServiceError as error:
        return error
    pytest.skip("not a call of ours")


def _bearer(recorded: Interaction) -> str:
    keys = recorded.told["api_keys"]
    asked = recorded.query.get("bearer_id") or recorded.query.get("application_id")
    return asked[0] if asked else str(keys[0].get("application_id") or keys[0].get("user_id"))


def expected(recorded: Interaction) -> object:
    """What the answer means, read from the recording without any code of ours."""
    match recorded.status, recorded.route:
        case 200, ("GET", "api-keys/*"):
            return recorded.told["access_key"]
        case 404, ("GET", "api-keys/*"):
            return None
        case 204, ("DELETE", "api-keys/*"):
            return True
        case 404, ("DELETE", "api-keys/*"):
            return False
        case 200, ("POST", "api-keys"):
            return recorded.told["access_key"]
        case 200, ("GET", "api-keys"):
            bearer = _bearer(recorded)
            return [
                key["access_key"]
                for key in recorded.told["api_keys"]
                if bearer in (key.get("application_id"), key.get("user_id"))
            ]
        case 200, ("GET", "applications/*"):
            return True
        case 404, ("GET", "applications/*"):
            return False
        case 401 | 403, _:
            return PermissionDenied
        case 429, _:
            return Unavailable
    raise AssertionError(f"an answer that nobody thought of: {recorded.status} to {recorded.route}")


def plain(outcome: object) -> object:
    match outcome:
        case Key():
            return outcome.access_key
        case (Key() as key, Secret()):
            return key.access_key
        case tuple():
            return [key.access_key for key in outcome]
        case ServiceError():
            return type(outcome)
    return outcome


OURS = {
    ("GET", "api-keys/*"),
    ("DELETE", "api-keys/*"),
    ("POST", "api-keys"),
    ("GET", "api-keys"),
    ("GET", "applications/*"),
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".cassette.yaml"))
def test_the_adapter_concludes_from_every_recorded_answer_what_it_means(file: Path) -> None:
    ours = [recorded for recorded in interactions(file) if recorded.route in OURS]
    with RawServer(b"") as server, provider_at(server.url) as provider:
        for recorded in ours:
            server.scripts[:] = [recorded.wire()]
            outcome = attempt(provider, recorded)
            assert plain(outcome) == expected(recorded), recorded
            request = server.requests[-1]
            assert request.startswith(f"{recorded.method} {IAM}{recorded.path.split('/')[0]}".encode())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".cassette.yaml"))
def test_every_field_of_a_recorded_key_is_read_as_it_stands(file: Path) -> None:
    with RawServer(b"") as server, provider_at(server.url) as provider:
        for recorded in interactions(file):
            if recorded.status != 200 or recorded.route not in {("GET", "api-keys/*"), ("POST", "api-keys")}:
                continue
            server.scripts[:] = [recorded.wire()]
            told, outcome = recorded.told, attempt(provider, recorded)
            key = outcome[0] if isinstance(outcome, tuple) else outcome
            assert isinstance(key, Key)
            assert key == Key(
                access_key=told["access_key"],
                bearer=told.get("application_id") or told["user_id"],
                description=told["description"],
                created_at=datetime.fromisoformat(told["created_at"]),
                expires_at=datetime.fromisoformat(told["expires_at"]) if told["expires_at"] else None,
                default_project_id=told["default_project_id"],
                deletable=told.get("deletable", True),
                provider_managed=told.get("managed", False),
            )
            if isinstance(outcome, tuple):
                assert outcome[1] == Secret(told["secret_key"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".cassette.yaml"))
def test_a_secret_tried_against_a_recorded_answer_is_judged_by_it(file: Path) -> None:
    """The recorded 401 means refused; the recorded 403 and 200 mean alive; a 404 or 429 says nothing."""
    verdicts = {
        200: ProbeResult.VALID,
        403: ProbeResult.VALID,
        401: ProbeResult.REJECTED,
        404: ProbeResult.INCONCLUSIVE,
        429: ProbeResult.INCONCLUSIVE,
    }
    with RawServer(b"") as server, provider_at(server.url) as provider:
        for recorded in interactions(file):
            if recorded.route == ("GET", "api-keys/*"):
                server.scripts[:] = [recorded.wire()]
                access_key = recorded.told["access_key"] if recorded.status == 200 else MASKED
                assert provider.authenticate(access_key, Secret(TRIED)) is verdicts[recorded.status]


def test_every_recorded_refusal_of_iam_has_its_error() -> None:
    """Also those of calls that we do not make: quotas, arguments and transient states were recorded on other resources."""
    seen: Counter[tuple[int, str, str]] = Counter()
    for file in FILES:
        with RawServer(b"") as server, provider_at(server.url) as provider:
            for recorded in interactions(file):
                if recorded.status < 400:
                    continue
                server.scripts[:] = [recorded.wire()]
                reply = provider._api.http.request("GET", server.url)
                error = error_of(reply, ApiCall("acme", "replaying", writing=True))
                seen[recorded.status, type(error).__name__, error.kind] += 1
                if isinstance(error, QuotaExceeded):
                    assert (error.current, error.quota, error.resource) == (50, 50, "IamSshKeys")
                if recorded.status == 400:
                    assert isinstance(error, Rejected)
                    assert error.argument in ("organization_id", "public_key", "project_id")
    assert set(seen) == {
        (400, "Rejected", "invalid_arguments"),
        (401, "PermissionDenied", "unauthenticated"),
        (403, "PermissionDenied", "permissions_denied"),
        (403, "QuotaExceeded", "quota"),
        (404, "NotFound", "not_found"),
        (409, "Unavailable", "transient"),
        (429, "Unavailable", "rate_limited"),
    }


def test_no_recorded_call_of_ours_was_left_out() -> None:
    replayed = Counter(recorded.route for file in FILES for recorded in interactions(file) if recorded.route in OURS)
    assert replayed["GET", "api-keys/*"] >= 45
    assert replayed["POST", "api-keys"] >= 17
    assert replayed["DELETE", "api-keys/*"] >= 14
    assert replayed["GET", "api-keys"] >= 7
    assert replayed["GET", "applications/*"] >= 60
