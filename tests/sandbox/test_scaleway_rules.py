"""Who may do what at the stand-in, and what it refuses: rights, validity, policy, quota."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from rotator.sandbox.scaleway import ScalewaySandbox

KEYS = "/iam/v1alpha1/api-keys"
Connect = Callable[[str], httpx.Client]
DENIED = '{"message":"authentication is denied","method":"api_key","reason":"%s","type":"denied_authentication"}'


def at(hands: Callable[[], float], seconds: float) -> str:
    return datetime.fromtimestamp(hands() + seconds, UTC).isoformat()


def test_a_secret_is_shown_by_the_create_and_never_again(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    bearer = scaleway.create_application("app")
    made = manager.post(KEYS, json={"application_id": bearer, "description": ""}).json()
    texts = [
        manager.get(f"{KEYS}/{made['access_key']}").text,
        manager.get(KEYS, params={"organization_id": scaleway.organization_id}).text,
        manager.patch(f"{KEYS}/{made['access_key']}", json={"description": "x"}).text,
    ]
    assert not any(made["secret_key"] in text for text in texts)


def test_creating_is_not_idempotent(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    bearer = scaleway.create_application("app")
    for _ in range(3):
        assert manager.post(KEYS, json={"application_id": bearer, "description": "same"}).status_code == 200
    assert len(scaleway.keys(bearer)) == 3


def test_a_valid_key_without_the_right_is_told_403_even_about_itself(
    scaleway: ScalewaySandbox, connect: Connect
) -> None:
    bearer = scaleway.create_application("powerless")
    access_key, secret = scaleway.create_key(bearer)
    client = connect(secret)
    assert client.get(f"{KEYS}/{access_key}").text == (
        '{"details":[{"action":"read","resource":"api_key"}],"message":"insufficient permissions","type":"permissions_denied"}'
    )
    assert client.get(f"{KEYS}/SCW00000000000000000").status_code == 403
    assert client.post(KEYS, json={"application_id": bearer}).status_code == 403
    assert client.delete(f"{KEYS}/{access_key}").status_code == 403
    assert len(scaleway.keys(bearer)) == 1
    scaleway.edit_application(bearer, manager=True)
    assert client.get(f"{KEYS}/{access_key}").status_code == 200


def test_unknown_deleted_and_expired_secrets_are_401_with_a_reason(
    scaleway: ScalewaySandbox, connect: Connect, hands: Any
) -> None:
    bearer = scaleway.create_application("app", manager=True)
    soon = datetime.fromtimestamp(hands() + 10, UTC)
    expiring, deleted = scaleway.create_key(bearer, expires_at=soon), scaleway.create_key(bearer)
    for access_key, secret in (expiring, deleted):
        assert connect(secret).get(f"{KEYS}/{access_key}").status_code == 200
    scaleway.delete_key(deleted[0])
    hands.advance(10)
    for secret, reason in (
        (expiring[1], "expired"),
        (deleted[1], "not_found"),
        ("nonsense", "not_found"),
        ("", "invalid_argument"),
    ):
        answer = connect(secret).get(f"{KEYS}/{expiring[0]}")
        assert (answer.status_code, answer.text) == (401, DENIED % reason)


def test_deleting_an_application_kills_its_keys(
    scaleway: ScalewaySandbox, manager: httpx.Client, connect: Connect
) -> None:
    bearer = scaleway.create_application("doomed")
    access_key, secret = scaleway.create_key(bearer)
    assert manager.delete(f"/iam/v1alpha1/applications/{bearer}").status_code == 204
    assert connect(secret).get(f"{KEYS}/{access_key}").status_code == 401
    assert manager.get(f"{KEYS}/{access_key}").status_code == 404
    assert scaleway.keys(bearer) == []


def test_a_second_delete_is_404(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    access_key, _ = scaleway.create_key(scaleway.create_application("app"))
    assert [manager.delete(f"{KEYS}/{access_key}").status_code for _ in range(2)] == [204, 404]


def test_quota_is_of_the_organisation_and_counts_expired_keys_but_not_deleted_ones(
    scaleway: ScalewaySandbox, manager: httpx.Client, hands: Callable[[], float]
) -> None:
    one, other = scaleway.create_application("one"), scaleway.create_application("other")
    scaleway.edit_organization(quota=3)
    access_key, _ = scaleway.create_key(one, expires_at=datetime.fromtimestamp(hands() - 1, UTC))
    scaleway.create_key(one)
    refused = manager.post(KEYS, json={"application_id": other})
    assert refused.json()["details"] == [{"current": 3, "quota": 3, "resource": "IamApiKeys"}]
    assert refused.status_code == 403
    scaleway.delete_key(access_key)
    assert manager.post(KEYS, json={"application_id": other}).status_code == 200


def test_a_maximum_duration_needs_an_expiry_that_is_not_too_late(
    scaleway: ScalewaySandbox, manager: httpx.Client, hands: Callable[[], float]
) -> None:
    bearer = scaleway.create_application("app")
    scaleway.edit_organization(max_api_key_expiration_duration="3600s")
    refused = manager.post(KEYS, json={"application_id": bearer})
    assert refused.status_code == 400
    assert refused.json()["details"] == [
        {
            "argument_name": "expires_at",
            "help_message": "organization security settings require an expiration date for API keys",
            "reason": "constraint",
        }
    ]
    assert manager.post(KEYS, json={"application_id": bearer, "expires_at": at(hands, 3601)}).status_code == 400
    assert manager.post(KEYS, json={"application_id": bearer, "expires_at": at(hands, 3600)}).status_code == 200
    scaleway.edit_organization(max_api_key_expiration_duration="0s")
    assert manager.post(KEYS, json={"application_id": bearer}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2035-07-06T11:00:00+02:00", "2035-07-06T09:00:00Z"),
        ("2035-07-06T11:00:57.648653377+02:00", "2035-07-06T09:00:57.648653Z"),
        ("2035-07-06T11:00:57.640Z", "2035-07-06T11:00:57.640Z"),
    ],
)
def test_an_expiry_is_shown_in_utc_cut_to_microseconds(
    sent: str, shown: str, scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    made = manager.post(KEYS, json={"application_id": scaleway.create_application("app"), "expires_at": sent})
    assert made.json()["expires_at"] == shown


@pytest.mark.parametrize(
    ("fields", "argument", "reason"),
    [
        ({}, "bearer", "required"),
        ({"application_id": "{app}", "user_id": "{app}"}, "bearer", "constraint"),
        ({"application_id": "nonsense"}, "application_id", "format"),
        ({"application_id": "{app}", "description": "x" * 201}, "description", "constraint"),
        ({"application_id": "{app}", "description": 5}, "description", "format"),
        ({"application_id": "{app}", "expires_at": "2035-07-06T11:00:00"}, "expires_at", "format"),
        ({"application_id": "{app}", "expires_at": "2035-13-06T11:00:00Z"}, "expires_at", "format"),
        ({"application_id": "{app}", "expires_at": "2020-01-06T11:00:00Z"}, "expires_at", "constraint"),
    ],
)
def test_a_create_with_a_bad_argument_is_400_and_makes_nothing(
    fields: dict[str, object], argument: str, reason: str, scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    bearer = scaleway.create_application("app")
    sent = {name: bearer if value == "{app}" else value for name, value in fields.items()}
    answer = manager.post(KEYS, json=sent)
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert (detail["argument_name"], detail["reason"]) == (argument, reason)
    assert len(scaleway.keys()) == 1


def test_unreadable_json_is_400(manager: httpx.Client) -> None:
    assert [manager.post(KEYS, content=text).status_code for text in ("{", "[]", '"x"')] == [400, 400, 400]


@pytest.mark.parametrize(
    "query", ["page=0", "page_size=0", "page_size=x", "order_by=age", "bearer_type=cat", "expired=maybe", "bearer_id=1"]
)
def test_a_list_with_a_bad_argument_is_400(query: str, scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    answer = manager.get(f"{KEYS}?organization_id={scaleway.organization_id}&{query}")
    assert (answer.status_code, answer.json()["details"][0]["argument_name"]) == (400, query.partition("=")[0])


def test_unknown_bearer_and_unknown_project_are_404(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    elsewhere = scaleway.create_project(organization_id=scaleway.create_organization())
    bearer = scaleway.create_application("app")
    assert manager.post(KEYS, json={"application_id": elsewhere}).json()["resource"] == "application"
    assert (
        manager.post(KEYS, json={"application_id": bearer, "default_project_id": elsewhere}).json()["resource"]
        == "project"
    )
    project = scaleway.create_project()
    made = manager.post(KEYS, json={"application_id": bearer, "default_project_id": project}).json()
    assert made["default_project_id"] == project


def test_another_organisation_is_out_of_reach(
    scaleway: ScalewaySandbox, manager: httpx.Client, connect: Connect
) -> None:
    other = scaleway.create_organization()
    bearer = scaleway.create_application("theirs", manager=True, organization_id=other)
    access_key, secret = scaleway.create_key(bearer)
    assert manager.get(KEYS, params={"organization_id": other}).status_code == 403
    assert manager.get(f"{KEYS}/{access_key}").status_code == 404
    assert manager.delete(f"{KEYS}/{access_key}").status_code == 404
    assert manager.get(f"/iam/v1alpha1/applications/{bearer}").status_code == 404
    listed = manager.get(KEYS, params={"organization_id": scaleway.organization_id, "bearer_id": bearer}).json()
    assert listed == {"api_keys": [], "total_count": 0}
    assert connect(secret).get(f"{KEYS}/{access_key}").status_code == 200


def test_protected_keys_are_not_deleted_and_not_edited(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    access_key, _ = scaleway.create_key(scaleway.create_application("app"))
    scaleway.edit_key(access_key, deletable=False, editable=False, managed=True)
    assert manager.delete(f"{KEYS}/{access_key}").status_code == 412
    assert manager.patch(f"{KEYS}/{access_key}", json={"description": "x"}).status_code == 412
    assert manager.get(f"{KEYS}/{access_key}").json()["managed"] is True


def test_an_expiry_may_be_changed_if_settings_allow_and_never_be_cleared(
    scaleway: ScalewaySandbox, manager: httpx.Client, hands: Callable[[], float]
) -> None:
    access_key, _ = scaleway.create_key(scaleway.create_application("app"))
    first, second = at(hands, 1000), at(hands, 2000)
    assert manager.patch(f"{KEYS}/{access_key}", json={"expires_at": first}).status_code == 200
    assert manager.patch(f"{KEYS}/{access_key}", json={"expires_at": None}).json()["expires_at"] is not None
    scaleway.configure(expires_at_patchable=False)
    assert manager.patch(f"{KEYS}/{access_key}", json={"expires_at": second}).status_code == 400
    assert scaleway.keys()[-1].expires_at == datetime.fromisoformat(first)


def test_a_user_makes_keys_for_itself_and_for_applications_but_not_for_another_user(
    scaleway: ScalewaySandbox, connect: Connect
) -> None:
    user, other = scaleway.create_user("me", manager=True), scaleway.create_user("you")
    client = connect(scaleway.create_key(user)[1])
    mine = client.post(KEYS, json={"user_id": user}).json()
    assert mine["user_id"] == user
    assert "application_id" not in mine
    assert client.post(KEYS, json={"user_id": other}).status_code == 403
    assert client.post(KEYS, json={"application_id": scaleway.create_application("app")}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", KEYS),
        ("GET", "/iam/v1alpha1/users"),
        ("GET", "/iam/v1alpha1/quotas"),
        ("GET", f"{KEYS}/"),
        ("DELETE", KEYS),
        ("GET", "/"),
    ],
)
def test_an_unknown_operation_is_loud(method: str, path: str, scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    answer = manager.request(method, path)
    assert answer.status_code == 501
    assert f"{method} {path}" in answer.json()["message"]
    assert scaleway.log[-1].kind == "unknown_operation"


def test_quota_answers_the_limit_by_name(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    scaleway.edit_organization(quota=12)
    query = {"organization_id": scaleway.organization_id}
    assert manager.get("/iam/v1alpha1/quota/IamApiKeys", params=query).json()["limits"] == [
        {"global": True, "limit": 12}
    ]
    assert manager.get("/iam/v1alpha1/quota/Nonsense", params=query).status_code == 404


def test_durations_and_ages_use_the_service_calendar(scaleway: ScalewaySandbox, hands: Callable[[], float]) -> None:
    scaleway.configure(clock_offset=-86_400.0)
    bearer = scaleway.create_application("app")
    scaleway.create_key(bearer)
    assert scaleway.keys(bearer)[0].created_at == datetime.fromtimestamp(hands(), UTC) - timedelta(days=1)
