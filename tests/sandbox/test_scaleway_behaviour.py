"""Settings of the stand-in: propagation, lag, latency, rate limit, clocks. The clock is the test's, so nothing is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from rotator.sandbox.scaleway import REAL_LATENCY, ScalewaySandbox, Settings

KEYS = "/iam/v1alpha1/api-keys"
Connect = Callable[[str], httpx.Client]


def statuses(client: httpx.Client, path: str, times: int = 40) -> set[int]:
    return {client.get(path).status_code for _ in range(times)}


def names(client: httpx.Client, **query: str) -> list[str]:
    return [key["access_key"] for key in client.get(KEYS, params=query).json()["api_keys"]]


def test_a8_a_new_key_is_401_until_its_activation_delay_is_over(
    scaleway: ScalewaySandbox, connect: Connect, manager: httpx.Client, hands: Any
) -> None:
    scaleway.configure(activation_delay=5.0)
    bearer = scaleway.create_application("app", manager=True)
    made = manager.post(KEYS, json={"application_id": bearer}).json()
    client, path = connect(made["secret_key"]), f"{KEYS}/{made['access_key']}"
    assert client.get(path).json()["reason"] == "not_found"
    assert manager.get(path).status_code == 200
    hands.advance(4.99)
    assert client.get(path).status_code == 401
    hands.advance(0.02)
    assert client.get(path).status_code == 200


def test_a8_activation_flaps_while_some_gateways_know_the_key_and_others_do_not(
    scaleway: ScalewaySandbox, connect: Connect, hands: Any
) -> None:
    scaleway.configure(activation_delay=6.0, instances=3)
    access_key, secret = scaleway.create_key(scaleway.create_application("app", manager=True))
    client, path = connect(secret), f"{KEYS}/{access_key}"
    assert statuses(client, path) == {401}
    hands.advance(3)
    answers = [client.get(path) for _ in range(40)]
    by_gateway = {(answer.headers["server"][-3:-1], answer.status_code) for answer in answers}
    assert by_gateway == {("01", 200), ("02", 401), ("03", 401)}
    assert (scaleway.accepts(access_key), scaleway.accepts(access_key, everywhere=True)) == (True, False)
    hands.advance(3)
    assert statuses(client, path) == {200}
    assert scaleway.accepts(access_key, everywhere=True)


def test_a_changed_activation_delay_is_for_keys_made_from_then_on(scaleway: ScalewaySandbox, connect: Connect) -> None:
    bearer = scaleway.create_application("app", manager=True)
    old = scaleway.create_key(bearer)
    scaleway.configure(activation_delay=1e9)
    never = scaleway.create_key(bearer)
    scaleway.configure(activation_delay=0.0)
    new = scaleway.create_key(bearer)
    assert [connect(secret).get(f"{KEYS}/{name}").status_code for name, secret in (old, never, new)] == [200, 401, 200]


def test_b_a_deleted_key_still_answers_until_every_gateway_has_heard(
    scaleway: ScalewaySandbox, connect: Connect, manager: httpx.Client, hands: Any
) -> None:
    scaleway.configure(revocation_delay=6.0, instances=2)
    access_key, secret = scaleway.create_key(scaleway.create_application("app", manager=True))
    client, elsewhere = connect(secret), f"{KEYS}/{scaleway.management_access_key}"
    assert manager.delete(f"{KEYS}/{access_key}").status_code == 204
    assert manager.get(f"{KEYS}/{access_key}").status_code == 404
    assert statuses(client, elsewhere) == {200}
    hands.advance(4)
    assert statuses(client, elsewhere) == {200, 401}
    assert scaleway.accepts(access_key)
    hands.advance(2)
    assert statuses(client, elsewhere) == {401}
    assert not scaleway.accepts(access_key)


def test_b_a_lagging_list_misses_new_keys_and_shows_deleted_ones_while_get_by_name_does_not(
    scaleway: ScalewaySandbox, manager: httpx.Client, hands: Any
) -> None:
    bearer = scaleway.create_application("app")
    query = {"organization_id": scaleway.organization_id, "bearer_id": bearer}
    old, _ = scaleway.create_key(bearer)
    hands.advance(100)
    scaleway.configure(list_lag=10.0)
    new, _ = scaleway.create_key(bearer)
    scaleway.delete_key(old)
    assert names(manager, **query) == [old]
    assert [manager.get(f"{KEYS}/{name}").status_code for name in (old, new)] == [404, 200]
    assert old in names(manager, organization_id=scaleway.organization_id)
    hands.advance(10)
    assert names(manager, **query) == [new]


def test_b_429_with_an_empty_body_comes_when_the_rate_is_exceeded_and_goes_with_time(
    scaleway: ScalewaySandbox, manager: httpx.Client, hands: Any
) -> None:
    scaleway.configure(rate_limit=2.0, rate_burst=3)
    path = f"{KEYS}/{scaleway.management_access_key}"
    assert [manager.get(path).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    limited = manager.get(path)
    assert (limited.content, limited.headers["x-envoy-ratelimited"]) == (b"", "true")
    assert not {"content-type", "retry-after"} & limited.headers.keys()
    hands.advance(1)
    assert [manager.get(path).status_code for _ in range(3)] == [200, 200, 429]
    scaleway.configure(rate_limit=0.0)
    assert statuses(manager, path, 20) == {200}


def test_date_skew_moves_the_header_alone(scaleway: ScalewaySandbox, manager: httpx.Client, hands: Any) -> None:
    path = f"{KEYS}/{scaleway.management_access_key}"
    now = datetime.fromtimestamp(hands(), UTC)
    assert parsedate_to_datetime(manager.get(path).headers["date"]) == now
    scaleway.configure(date_skew=-3600.0)
    assert (now - parsedate_to_datetime(manager.get(path).headers["date"])).total_seconds() == 3600
    scaleway.create_key(scaleway.management_application_id)
    assert scaleway.keys()[-1].created_at == now


def test_clock_offset_moves_header_creation_and_expiry_but_no_delay(
    scaleway: ScalewaySandbox, manager: httpx.Client, connect: Connect, hands: Any
) -> None:
    now = datetime.fromtimestamp(hands(), UTC)
    bearer = scaleway.create_application("app", manager=True)
    expiring, secret = scaleway.create_key(bearer, expires_at=datetime.fromtimestamp(hands() + 60, UTC))
    scaleway.configure(clock_offset=3600.0, activation_delay=10.0)
    answer = manager.get(f"{KEYS}/{expiring}")
    assert (parsedate_to_datetime(answer.headers["date"]) - now).total_seconds() == 3600
    assert connect(secret).get(f"{KEYS}/{expiring}").json()["reason"] == "expired"
    fresh, fresh_secret = scaleway.create_key(bearer)
    assert connect(fresh_secret).get(f"{KEYS}/{fresh}").status_code == 401
    hands.advance(10)
    assert connect(fresh_secret).get(f"{KEYS}/{fresh}").status_code == 200


@pytest.mark.parametrize(
    ("setting", "method", "path"),
    [
        ("latency_post", "POST", KEYS),
        ("latency_get", "GET", KEYS + "/{key}"),
        ("latency_patch", "PATCH", KEYS + "/{key}"),
        ("latency_delete", "DELETE", KEYS + "/{key}"),
        ("latency_list", "GET", KEYS + "?organization_id=x"),
        ("latency_list_by_bearer", "GET", KEYS + "?bearer_id=x"),
    ],
)
def test_latency_is_set_for_each_kind_of_request(
    setting: str, method: str, path: str, scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    """Only a lower bound is checked, and it is a tenth of a second for the one kind and an hour for all others."""
    others = {name: 3600.0 for name in REAL_LATENCY if name != setting}
    scaleway.configure(**others, **{setting: 0.1})
    began = time.monotonic()
    manager.request(method, path.format(key="SCW00000000000000000"))
    assert time.monotonic() - began >= 0.1


def test_a_request_is_carried_out_though_its_client_gave_up_on_a_slow_answer(
    scaleway: ScalewaySandbox, manager: httpx.Client, until: Callable[[Callable[[], object]], None]
) -> None:
    scaleway.configure(latency_post=0.4)
    bearer = scaleway.create_application("app")
    with pytest.raises(httpx.ReadTimeout):
        manager.post(KEYS, json={"application_id": bearer}, timeout=0.05)
    until(lambda: len(scaleway.keys(bearer)) == 1)


def test_names_and_chance_are_the_same_for_the_same_seed() -> None:
    one, same, other = (ScalewaySandbox(seed=seed) for seed in (1, 1, 2))
    assert one.all_secrets() == same.all_secrets() != other.all_secrets()
    assert ScalewaySandbox().all_secrets() != ScalewaySandbox().all_secrets()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"latency_post": -1.0}, ValueError),
        ({"instances": 0}, ValueError),
        ({"instances": 1.5}, ValueError),
        ({"spaced": 1}, TypeError),
        ({"latency_get": "1"}, TypeError),
        ({"activation_dealy": 1.0}, TypeError),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_and_changes_nothing(
    changes: dict[str, Any], error: type[Exception]
) -> None:
    sandbox = ScalewaySandbox()
    with pytest.raises(error):
        sandbox.configure(**changes)
    assert sandbox.settings == Settings()
