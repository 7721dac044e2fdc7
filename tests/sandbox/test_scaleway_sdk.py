"""The official Python SDK as a client of the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from scaleway import Client, ScalewayException
from scaleway.account.v3 import AccountV3ProjectAPI
from scaleway.iam.v1alpha1 import IamV1Alpha1API
from scaleway.iam.v1alpha1.types import BearerType, ListAPIKeysRequestOrderBy

from rotator.sandbox.scaleway import ScalewaySandbox


def sdk(sandbox: ScalewaySandbox, secret: str = "") -> Client:
    return Client(
        access_key=sandbox.management_access_key,
        secret_key=secret or sandbox.management_secret,
        api_url=sandbox.url,
        default_organization_id=sandbox.organization_id,
        default_project_id=sandbox.organization_id,
    )


@pytest.fixture
def iam(scaleway: ScalewaySandbox) -> IamV1Alpha1API:
    return IamV1Alpha1API(sdk(scaleway))


def test_the_life_of_an_application_and_its_key(
    scaleway: ScalewaySandbox, iam: IamV1Alpha1API, hands: Callable[[], float]
) -> None:
    application = iam.create_application(name="billing", description="pays", tags=["a", "b"])
    assert (application.name, application.tags, application.nb_api_keys) == ("billing", ["a", "b"], 0)
    expires_at = datetime.fromtimestamp(hands() + 3600, UTC)
    key = iam.create_api_key(application_id=application.id, description="first", expires_at=expires_at)
    assert key.secret_key == scaleway.secret_of(key.access_key)
    assert (key.expires_at, key.created_at) == (expires_at, datetime.fromtimestamp(hands(), UTC))

    seen = iam.get_api_key(access_key=key.access_key)
    assert (seen.secret_key, seen.application_id, seen.user_id) == (None, application.id, None)
    assert seen.default_project_id == scaleway.organization_id
    assert iam.get_application(application_id=application.id).nb_api_keys == 1

    changed = iam.update_api_key(access_key=key.access_key, description="second")
    assert (changed.description, changed.secret_key, changed.expires_at) == ("second", None, expires_at)
    assert iam.update_application(application_id=application.id, name="renamed").name == "renamed"
    assert [found.id for found in iam.list_applications_all(name="renamed")] == [application.id]

    iam.delete_api_key(access_key=key.access_key)
    with pytest.raises(ScalewayException) as gone:
        iam.get_api_key(access_key=key.access_key)
    assert gone.value.status_code == 404
    iam.delete_application(application_id=application.id)
    with pytest.raises(ScalewayException) as gone:
        iam.get_application(application_id=application.id)
    assert gone.value.status_code == 404


def test_all_keys_are_listed_across_pages(scaleway: ScalewaySandbox, iam: IamV1Alpha1API) -> None:
    bearer = scaleway.create_application("busy")
    made = [scaleway.create_key(bearer)[0] for _ in range(45)]
    first = iam.list_api_keys(bearer_id=bearer)
    assert (len(first.api_keys), first.total_count) == (20, 45)
    assert [key.access_key for key in iam.list_api_keys_all(bearer_id=bearer)] == made
    third = iam.list_api_keys(bearer_id=bearer, page=3)
    assert [key.access_key for key in third.api_keys] == made[40:]
    assert len(iam.list_api_keys(bearer_id=bearer, page_size=100).api_keys) == 45


def test_lists_of_keys_filter_and_sort_as_the_client_asks(
    scaleway: ScalewaySandbox, iam: IamV1Alpha1API, hands: Callable[[], float]
) -> None:
    bearer, user = scaleway.create_application("one"), scaleway.create_user("someone")
    now = datetime.fromtimestamp(hands(), UTC)
    a, _ = scaleway.create_key(bearer, description="a", expires_at=now - timedelta(1))
    b, _ = scaleway.create_key(bearer, description="b", expires_at=now + timedelta(1))
    c, _ = scaleway.create_key(user, description="c")
    scaleway.edit_key(c, editable=False)

    def listed(**query: object) -> set[str]:
        return {key.access_key for key in iam.list_api_keys_all(**query)} - {scaleway.management_access_key}

    assert listed() == {a, b, c}
    assert listed(bearer_id=bearer) == listed(application_id=bearer) == {a, b}
    assert listed(user_id=user) == listed(bearer_type=BearerType.USER) == {c}
    assert listed(bearer_type=BearerType.APPLICATION) == {a, b}
    assert listed(bearer_type=BearerType.UNKNOWN_BEARER_TYPE) == {a, b, c}
    assert listed(expired=True) == {a}
    assert listed(expired=False) == {b, c}
    assert listed(editable=False) == {c}
    assert listed(description="b") == {b}
    assert listed(access_keys=[a, c]) == {a, c}
    assert listed(access_key=b) == {b}
    order = [
        key.access_key
        for key in iam.list_api_keys_all(bearer_id=bearer, order_by=ListAPIKeysRequestOrderBy.EXPIRES_AT_DESC)
    ]
    assert order == [b, a]


def test_errors_are_the_exceptions_of_the_client(scaleway: ScalewaySandbox, iam: IamV1Alpha1API) -> None:
    powerless = scaleway.create_application("powerless")
    _, secret = scaleway.create_key(powerless)
    scaleway.edit_organization(quota=2)
    attempts: list[tuple[Callable[[], object], int]] = [
        (lambda: IamV1Alpha1API(sdk(scaleway, "7c0a1f40-9c38-4d2c-8f0f-b8f7f7a0b001")).list_api_keys(), 401),
        (lambda: IamV1Alpha1API(sdk(scaleway, secret)).list_api_keys(), 403),
        (lambda: iam.create_api_key(application_id=powerless, description=""), 403),
        (lambda: iam.create_api_key(application_id=scaleway.organization_id, description=""), 404),
        (lambda: iam.create_api_key(application_id=powerless, description="x" * 201), 400),
        (lambda: iam.list_api_keys(page_size=101), 400),
    ]
    for attempt, status in attempts:
        with pytest.raises(ScalewayException) as refused:
            attempt()
        assert refused.value.status_code == status
    scaleway.faults.add("status", status=429)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        iam.list_api_keys()


def test_quota_security_settings_project_and_log_are_understood(scaleway: ScalewaySandbox, iam: IamV1Alpha1API) -> None:
    (quotum,) = iam.list_quota_all()
    assert (quotum.name, quotum.limits[0].limit, quotum.limits[0].global_) == ("IamApiKeys", 100, True)
    settings = iam.update_organization_security_settings(max_api_key_expiration_duration="3600s")
    assert settings.max_api_key_expiration_duration == "3600s"
    assert iam.get_organization_security_settings().max_api_key_expiration_duration == "3600s"
    project = AccountV3ProjectAPI(sdk(scaleway)).get_project(project_id=scaleway.organization_id)
    assert project.organization_id == scaleway.organization_id
    bearer = iam.create_application(name="logged", description="")
    access_key, _ = scaleway.create_key(bearer.id)
    iam.delete_api_key(access_key=access_key)
    entries = iam.list_logs(search=access_key).logs
    assert [(entry.action, entry.resource_type) for entry in entries] == [
        ("deleted", "api_key"),
        ("created", "api_key"),
    ]
    assert entries[0].bearer_id == scaleway.management_application_id
    assert entries[0].user_agent.startswith("scaleway-sdk-python")
