"""The audit trail of the stand-in: its form is the recorded one, and it tells what a bearer did and never with which key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from rotator.sandbox.scaleway import ScalewaySandbox
from tests.sandbox.test_scaleway_recordings import RECORDINGS, interactions

EVENTS = "/audit-trail/v1alpha1/regions/{}/events"
HOME = EVENTS.format("fr-par")
RECORDING = "tf-data-source-event-basic.cassette.yaml"
Connect = Callable[[str], httpx.Client]


def asked(client: httpx.Client, organization: str, path: str = HOME, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params={"organization_id": organization, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not part of the repository")
def test_every_recorded_question_to_the_audit_trail_is_answered_in_kind() -> None:
    recorded = [entry for entry in interactions(RECORDING) if "/audit-trail/" in entry["request"]["url"]]
    assert len(recorded) > 30
    event = next(
        found[0]
        for entry in recorded
        if (found := json.loads(entry["response"]["body"] or "{}").get("events")) is not None and found
    )
    clock = [0.0]
    with (
        ScalewaySandbox(clock=lambda: clock[0]) as sandbox,
        httpx.Client(base_url=sandbox.url, trust_env=False) as client,
    ):
        bearer, project = sandbox.create_application("terraform"), sandbox.create_project("side")
        ours = {event["principal"]["id"]: bearer, event["project_id"]: project}
        told = False
        for entry in recorded:
            clock[0] = parsedate_to_datetime(entry["response"]["headers"]["Date"][0]).timestamp()
            theirs = json.loads(entry["response"]["body"])
            if theirs["events"] and not told:
                told = True
                sandbox.note_deed(
                    bearer,
                    event["method_name"],
                    source_ip=event["source_ip"],
                    user_agent=event["user_agent"],
                    product_name=event["product_name"],
                    service_name=event["service_name"],
                    project_id=project,
                    resources=[(one["type"], one["id"]) for one in event["resources"]],
                )
            parts = urlsplit(entry["request"]["url"])
            query = {name: ours.get(value, value) for name, value in parse_qsl(parts.query)} | {
                "organization_id": sandbox.organization_id
            }
            answer = client.get(parts.path, params=query, headers={"X-Auth-Token": sandbox.management_secret})
            assert (answer.status_code, len(answer.json()["events"])) == (200, len(theirs["events"])), parts.query
            assert answer.json().keys() == theirs.keys()
            for one, other in zip(answer.json()["events"], theirs["events"], strict=True):
                same_event(one, other, ours)


def same_event(mine: dict[str, Any], theirs: dict[str, Any], ours: dict[str, str]) -> None:
    """The same fields in the same order, and the same values but for names and times."""
    assert list(mine) == list(theirs)
    for name in ("locality", "source_ip", "user_agent", "product_name", "service_name", "method_name", "status_code"):
        assert mine[name] == theirs[name]
    assert mine["principal"] == {"id": ours[theirs["principal"]["id"]]}
    assert mine["project_id"] == ours[theirs["project_id"]]
    for stamp in (mine["recorded_at"], theirs["recorded_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp)
    assert [(one["type"], one["id"]) for one in mine["resources"]] == [
        (one["type"], one["id"]) for one in theirs["resources"]
    ]


def test_a_change_to_iam_is_on_the_trail_with_who_and_from_where_and_without_the_key_that_was_used(
    scaleway: ScalewaySandbox, connect: Connect
) -> None:
    client = connect(scaleway.management_secret)
    bearer = scaleway.create_application("billing")
    made = client.post(
        "/iam/v1alpha1/api-keys", json={"application_id": bearer}, headers={"User-Agent": "curl/8"}
    ).json()
    (event,) = asked(client, scaleway.organization_id)["events"]
    assert event["principal"] == {"id": scaleway.management_application_id}
    assert (event["user_agent"], event["method_name"]) == ("curl/8", "CreateAPIKey")
    assert event["resources"][0]["id"] == made["access_key"]
    assert scaleway.management_access_key not in json.dumps(event)
    assert asked(client, scaleway.organization_id, EVENTS.format("nl-ams"))["events"] == []


def test_of_what_is_older_than_an_hour_the_trail_tells_only_when_asked(
    scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    bearer = scaleway.create_application("billing")
    scaleway.note_deed(bearer, "DeleteServer", ago=7200)
    assert asked(manager, scaleway.organization_id)["events"] == []
    then = "2000-01-01T00:00:00Z"
    assert len(asked(manager, scaleway.organization_id, recorded_after=then)["events"]) == 1
    assert (
        asked(manager, scaleway.organization_id, recorded_after=then, recorded_before="2001-01-01T00:00:00Z")["events"]
        == []
    )


def test_the_trail_is_read_page_by_page_with_a_token(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    bearer = scaleway.create_application("billing")
    for number in range(45):
        scaleway.note_deed(bearer, f"Do{number}", ago=45 - number)
    seen: list[str] = []
    token = ""
    while True:
        page = asked(manager, scaleway.organization_id, page_size=20, page_token=token, order_by="recorded_at_asc")
        seen += [event["method_name"] for event in page["events"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [f"Do{number}" for number in range(45)]
    bad = manager.get(HOME, params={"organization_id": scaleway.organization_id, "page_token": "?"})
    assert bad.status_code == 400


def test_without_the_right_to_it_the_trail_is_forbidden(scaleway: ScalewaySandbox, connect: Connect) -> None:
    _, secret = scaleway.create_key(scaleway.create_application("billing"))
    answer = connect(secret).get(HOME, params={"organization_id": scaleway.organization_id})
    assert (answer.status_code, answer.json()["details"][0]["resource"]) == (403, "audit_trail_event")
