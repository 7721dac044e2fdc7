"""The stand-in against recorded answers of the real API: every recorded call on keys and applications is made again."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rotator.sandbox.scaleway import ScalewaySandbox

RECORDINGS = Path(__file__).parents[3] / "shared" / "scaleway-recordings"
OURS = re.compile(r"https://api\.scaleway\.com(/iam/v1alpha1/(?:api-keys|applications)(?:[/?].*)?)$")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ACCESS_KEY = re.compile(r"SCW[0-9A-HJKMNP-TV-Z]{17}")
YOUNGER_FIELDS = {"deletable", "managed", "tags"}
PLACEHOLDERS = {"11111111-1111-1111-1111-111111111111", "SCWXXXXXXXXXXXXXXXXX"}
DROPPED_BY_THE_RECORDER = {
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
}

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not part of the repository")


def interactions(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.load((RECORDINGS / name).read_text(), Loader=yaml.CSafeLoader)["interactions"]
    return loaded


def cassettes() -> list[str]:
    names = sorted(path.name for path in RECORDINGS.glob("*.yaml"))
    return [
        name
        for name in names
        if any(line in (RECORDINGS / name).read_text() for line in ("v1alpha1/api-keys", "v1alpha1/applications"))
    ]


class Replay:
    """One recording, made again on a stand-in whose clock shows the recorded time. Recorded names are translated to ours."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.ours: dict[str, str] = {}
        self.last_key = ""
        self.compared: Counter[tuple[str, int]] = Counter()
        self.sandbox = ScalewaySandbox(clock=lambda: self.clock)

    def run(self, recording: list[dict[str, Any]]) -> None:
        dates = [parsedate_to_datetime(entry["response"]["headers"]["Date"][0]).timestamp() for entry in recording]
        self.clock = min(dates)
        ours = [
            entry for entry in recording if OURS.fullmatch(entry["request"]["url"]) and entry["response"]["code"] == 200
        ]
        shown = [json.loads(entry["response"]["body"]) for entry in ours if entry["request"]["method"] == "GET"]
        made = [json.loads(entry["response"]["body"]) for entry in ours if entry["request"]["method"] == "POST"]
        self.furnish(shown, {answer["access_key"] for answer in made if "access_key" in answer})
        with self.sandbox, httpx.Client(base_url=self.sandbox.url, trust_env=False) as self.client:
            for entry, date in zip(recording, dates, strict=True):
                self.clock = max(self.clock, date)
                self.one(entry["request"], entry["response"])

    def one(self, request: dict[str, Any], response: dict[str, Any]) -> None:
        method, body = request["method"], response.get("body") or ""
        recorded = json.loads(body) if body.startswith("{") else {}
        if request["url"].endswith("/account/v3/projects") and method == "POST":
            self.ours[recorded["id"]] = self.sandbox.create_project(recorded["name"])
        if not (match := OURS.fullmatch(request["url"])):
            return
        sent = request.get("body") or ""
        token = self.prepare(sent if method != "GET" else "", response["code"])
        # The access key in a recorded URL is masked; the body has the one that was meant.
        named: str = recorded.get("access_key") or recorded.get("resource_id") or self.last_key
        path = match[1].replace("SCWXXXXXXXXXXXXXXXXX", self.ours.get(named, named or "SCWXXXXXXXXXXXXXXXXX"))
        path = path.replace("11111111-1111-1111-1111-111111111111", self.sandbox.organization_id)
        answer = self.client.request(
            method, self.translate(path), content=self.translate(sent), headers={"X-Auth-Token": token}
        )
        self.learn(recorded, answer)
        self.compare(match[1], request, response, recorded, answer)
        self.compared[method, answer.status_code] += 1

    def furnish(self, shown: list[dict[str, Any]], made: set[str]) -> None:
        """Put in place what was there before the recording began: keys and applications that are shown and never made."""
        for answer in shown:
            for application in answer.get("applications", []):
                self.ours[application["organization_id"]] = self.sandbox.organization_id
                self.ours[application["id"]] = self.sandbox.create_application(application["name"])
                self.sandbox.edit_application(
                    self.ours[application["id"]], description=application["description"], tags=application["tags"]
                )
        for answer in shown:
            for key in answer.get("api_keys", [answer]):
                if "access_key" in key and key["access_key"] not in {*self.ours, *made}:
                    self.existing_key(key)

    def prepare(self, sent: str, status: int) -> str:
        """The secret to call with, such that the recorded answer is the right one."""
        wanted = json.loads(sent) if sent else {}
        if "organization_id" in wanted:
            self.ours[wanted["organization_id"]] = self.sandbox.organization_id
        if "user_id" in wanted and wanted["user_id"] not in self.ours:
            self.ours[wanted["user_id"]] = self.sandbox.create_user("owner", manager=True)
        match status:
            case 401:
                return str(uuid.uuid4())
            case 403:
                return self.sandbox.create_key(self.sandbox.create_application("without any right"))[1]
            case 429:
                self.sandbox.faults.add("status", status=429)
        if "user_id" in wanted:
            return self.sandbox.create_key(self.ours[wanted["user_id"]])[1]
        return self.sandbox.management_secret

    def existing_key(self, key: dict[str, Any]) -> None:
        kind = "application_id" if "application_id" in key else "user_id"
        if key[kind] not in self.ours:
            make = self.sandbox.create_application if kind == "application_id" else self.sandbox.create_user
            self.ours[key[kind]] = make("bearer", manager=kind == "user_id")
        # Which of the recorded projects is the default one is not told; all of them become ours.
        self.ours.setdefault(key["default_project_id"], self.sandbox.organization_id)
        expires_at = datetime.fromisoformat(key["expires_at"]) if key["expires_at"] else None
        access_key, _ = self.sandbox.create_key(
            self.ours[key[kind]], description=key["description"], expires_at=expires_at
        )
        changes = {name: key[name] for name in ("editable", "deletable", "managed") if name in key}
        self.sandbox.edit_key(access_key, **changes)
        self.ours[key["access_key"]] = access_key

    def learn(self, recorded: dict[str, Any], answer: httpx.Response) -> None:
        if answer.status_code != 200:
            return
        made = answer.json()
        for name in ("id", "access_key"):
            if name in recorded and recorded[name] not in self.ours:
                self.ours[recorded[name]] = made[name]
        if "default_project_id" in recorded and recorded["default_project_id"] not in self.ours:
            # Only the default project is learnt from an answer: all others were translated on the way in.
            assert made["default_project_id"] == self.sandbox.organization_id
            self.ours[recorded["default_project_id"]] = made["default_project_id"]
        self.last_key = recorded.get("access_key", self.last_key)

    def translate(self, text: str) -> str:
        for theirs, mine in self.ours.items():
            if theirs not in PLACEHOLDERS:
                text = text.replace(theirs, mine)
        return text

    def compare(
        self,
        path: str,
        request: dict[str, Any],
        response: dict[str, Any],
        recorded: dict[str, Any],
        answer: httpx.Response,
    ) -> None:
        assert answer.status_code == response["code"], answer.text
        body = response.get("body") or ""
        if answer.status_code >= 400:
            expected = self.translate(body)
            if answer.status_code == 404:
                # Deleted things keep their names; a masked one is what we called it.
                expected = expected.replace("SCWXXXXXXXXXXXXXXXXX", path.rpartition("/")[2])
            assert answer.text == expected
        elif answer.status_code == 200:
            self.compare_objects(path, request, recorded, answer.json())
        else:
            assert answer.content == b""
        self.compare_headers(response, answer)

    def compare_objects(
        self, path: str, request: dict[str, Any], recorded: dict[str, Any], mine: dict[str, Any]
    ) -> None:
        expected = json.loads(self.translate(json.dumps(recorded)))
        for kind in ("api_keys", "applications"):
            if kind not in recorded:
                continue
            assert type(mine["total_count"]) is type(recorded["total_count"]) is int
            assert recorded.keys() == mine.keys()
            if "bearer_id" in path or "description" in path or "name=" in path:
                assert mine["total_count"] == recorded["total_count"]
            found = {item.get("access_key") or item["id"]: item for item in mine[kind]}
            for item in expected[kind]:
                same_object(item, found[item.get("access_key") or item["id"]], created=False)
            return
        same_object(expected, mine, created=request["method"] == "POST")

    def compare_headers(self, response: dict[str, Any], answer: httpx.Response) -> None:
        theirs = {name.lower() for name in response["headers"]}
        # HTTP/1.1 needs a length, or none, where HTTP/2 frames the body itself.
        needed = {"content-length"} if answer.status_code == 429 else set()
        assert theirs | DROPPED_BY_THE_RECORDER | needed == set(answer.headers)
        assert ["application/json"] * ("content-type" in theirs) == answer.headers.get_list("content-type")
        for name in DROPPED_BY_THE_RECORDER & theirs:
            assert answer.headers[name] == next(v[0] for k, v in response["headers"].items() if k.lower() == name)
        assert parsedate_to_datetime(answer.headers["date"]).timestamp() == int(self.clock)
        assert answer.headers["server"].startswith("Scaleway API Gateway (")
        assert uuid.UUID(answer.headers["x-request-id"])


def same_object(expected: dict[str, Any], mine: dict[str, Any], *, created: bool) -> None:
    """Same fields, types and values; of names made by the service and of times only the form."""
    assert expected.keys() <= mine.keys()
    assert mine.keys() - expected.keys() <= YOUNGER_FIELDS
    if "tags" in expected and list(expected) != sorted(expected):
        assert list(expected) == [name for name in mine if name in expected]
    for name, value in expected.items():
        if name in ("created_at", "updated_at"):
            assert STAMP.fullmatch(value)
            assert STAMP.fullmatch(mine[name])
        elif name == "access_key":
            assert ACCESS_KEY.fullmatch(mine[name])
        elif name == "secret_key":
            assert type(mine[name]) is type(value)
            assert value is None or uuid.UUID(mine[name]).version == 4
        elif name == "creation_ip":
            assert re.fullmatch(r"[\d.]+", mine[name])
        else:
            assert mine[name] == value, name
    if created:
        assert mine["created_at"] == mine["updated_at"]


@pytest.mark.parametrize("cassette", cassettes())
def test_every_recorded_call_on_keys_and_applications_is_answered_in_kind(cassette: str) -> None:
    replay = Replay()
    replay.run(interactions(cassette))
    assert replay.compared


def test_the_recordings_exercise_every_kind_of_answer() -> None:
    """Guards the test above against comparing nothing."""
    seen: Counter[tuple[str, int]] = Counter()
    for cassette in cassettes():
        seen.update(
            (entry["request"]["method"], entry["response"]["code"])
            for entry in interactions(cassette)
            if OURS.fullmatch(entry["request"]["url"])
        )
    assert seen.keys() == {
        ("POST", 200), ("GET", 200), ("PATCH", 200), ("DELETE", 204), ("GET", 401), ("GET", 403), ("GET", 404), ("GET", 429),
    }  # fmt: skip
    assert seen.total() > 150


def recorded_bodies(cassette: str, status: int) -> Iterator[str]:
    return (entry["response"]["body"] for entry in interactions(cassette) if entry["response"]["code"] == status)


def test_a_list_without_organization_is_refused_with_the_recorded_words(manager: httpx.Client) -> None:
    (recorded,) = recorded_bodies("tf-history-iam-group-data-source-2022-400.cassette.yaml", 400)
    for path in ("api-keys", "applications", "quota", "logs"):
        answer = manager.get(f"/iam/v1alpha1/{path}")
        assert (answer.status_code, answer.text) == (400, recorded)


def test_a_malformed_id_is_refused_with_the_recorded_words(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    (recorded,) = recorded_bodies("cli-test-init-ssh-key-unregistered.cassette.yaml", 400)
    body = {"application_id": scaleway.management_application_id, "default_project_id": "no uuid"}
    answer = manager.post("/iam/v1alpha1/api-keys", json=body)
    assert (answer.status_code, answer.text) == (400, recorded.replace("project_id", "default_project_id"))


def test_b_quotas_exceeded_is_a_403_with_the_recorded_words(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    (recorded,) = recorded_bodies("tf-history-excerpt-iam-ssh-key-2025-403-quota.cassette.yaml", 403)
    scaleway.edit_organization(quota=50)
    for _ in range(49):
        scaleway.create_key(scaleway.management_application_id)
    answer = manager.post("/iam/v1alpha1/api-keys", json={"application_id": scaleway.management_application_id})
    assert (answer.status_code, answer.text) == (403, recorded.replace("IamSshKeys", "IamApiKeys"))


def test_a_conflict_on_command_has_the_recorded_form(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    (recorded,) = recorded_bodies("tf-group-membership-basic.cassette.yaml", 409)
    scaleway.faults.add("status", status=409)
    answer = manager.delete("/iam/v1alpha1/api-keys/SCW00000000000000000")
    theirs = json.loads(recorded) | {"resource": "access_key", "resource_id": "SCW00000000000000000"}
    assert (answer.status_code, list(answer.json().items())) == (409, list(theirs.items()))


def test_an_empty_429_of_2026_looks_like_ours(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    for entry in interactions("tf-excerpt-block-list-2026-429.cassette.yaml"):
        scaleway.faults.add("status", status=429)
        answer = manager.get("/iam/v1alpha1/api-keys")
        assert (answer.status_code, answer.content) == (429, b"")
        theirs = {name.lower(): value[0] for name, value in entry["response"]["headers"].items()}
        assert set(theirs) | {"content-length"} == set(answer.headers)
        assert answer.headers["x-envoy-ratelimited"] == theirs["x-envoy-ratelimited"]


@pytest.mark.parametrize(
    ("cassette", "spaced"),
    [("tf-api-key-with-application.cassette.yaml", True), ("tf-application-basic.cassette.yaml", False)],
)
def test_white_space_in_success_bodies_follows_either_recorded_style(
    cassette: str, spaced: bool, scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    scaleway.configure(spaced=spaced)
    entry = interactions(cassette)[0]
    sent = json.loads(entry["request"]["body"]) | {"organization_id": scaleway.organization_id}
    made = manager.post("/iam/v1alpha1/applications", json=sent)
    recorded = json.loads(entry["response"]["body"])
    expected = entry["response"]["body"]
    for name in ("id", "organization_id", "created_at", "updated_at"):
        expected = expected.replace(recorded[name], made.json()[name])
    assert made.text == expected
