"""A new management key is asked for what the key in use may read, and a right that only the new one lacks is named."""

from __future__ import annotations

import time

import pytest

from rotator.domain.keys import Key
from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from rotator.providers.scaleway import ScalewayProvider
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.providers import test_scaleway_contract as contract

sandbox, hand, provider = contract.sandbox, contract.hand, contract.provider

IAM = "/iam/v1alpha1"
READS = {
    "the list of keys": f"{IAM}/api-keys",
    "a key": f"{IAM}/api-keys/*",
    "the application": f"{IAM}/applications/*",
    "the quota": f"{IAM}/quota",
}


def new_key(sandbox: ScalewaySandbox, provider: ScalewayProvider, bearer: str = "") -> tuple[Key, Secret]:
    access_key, secret = sandbox.create_key(bearer or sandbox.management_application_id)
    key = provider.get_key(access_key)
    assert key is not None
    return key, Secret(secret)


def test_a_new_key_of_the_same_application_lacks_no_right(sandbox: ScalewaySandbox, provider: ScalewayProvider) -> None:
    key, secret = new_key(sandbox, provider)
    before = sandbox.calls()
    assert provider.missing_right(key, secret) == ""
    made = {call: n - before.get(call, 0) for call, n in sandbox.calls().items() if n > before.get(call, 0)}
    assert {method for method, _ in made} == {"GET"}, "it changed something"
    assert sum(made.values()) == len(READS)


@pytest.mark.parametrize("read", READS)
def test_a_read_that_is_denied_to_the_new_key_alone_is_a_missing_right(
    read: str, sandbox: ScalewaySandbox, provider: ScalewayProvider
) -> None:
    key, secret = new_key(sandbox, provider)
    sandbox.faults.add("status", path=READS[read], access_key=key.access_key, status=403, times=None)
    missing = provider.missing_right(key, secret)
    assert f"reading with the new key {key.access_key}" in missing
    assert "the management key may not read" in missing
    assert "IAMApplicationManager" in missing
    assert secret.reveal() not in missing


@pytest.mark.parametrize("read", ["the application", "the quota"])
def test_a_right_that_the_key_in_use_lacks_too_is_not_missed(
    read: str, sandbox: ScalewaySandbox, provider: ScalewayProvider
) -> None:
    key, secret = new_key(sandbox, provider)
    sandbox.faults.add("status", path=READS[read], status=403, times=None)
    assert provider.missing_right(key, secret) == ""


def test_a_key_of_an_application_without_rights_may_not_list_keys(
    sandbox: ScalewaySandbox, provider: ScalewayProvider
) -> None:
    key, secret = new_key(sandbox, provider, sandbox.create_application("billing"))
    assert "may not read api_key" in provider.missing_right(key, secret)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
@pytest.mark.parametrize("read", sorted(READS.keys() - {"the quota"}))
def test_an_answer_that_shows_no_right_is_not_taken_for_one(
    read: str, status: int, sandbox: ScalewaySandbox, provider: ScalewayProvider
) -> None:
    key, secret = new_key(sandbox, provider)
    sandbox.faults.add("status", path=READS[read], access_key=key.access_key, status=status, times=None)
    with pytest.raises(Unavailable, match=f"the answer \\({status}\\) shows no right"):
        provider.missing_right(key, secret)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_quota_that_is_not_told_is_a_hint_that_is_missing_and_no_right(
    status: int, sandbox: ScalewaySandbox, provider: ScalewayProvider
) -> None:
    key, secret = new_key(sandbox, provider)
    sandbox.faults.add("status", path=READS["the quota"], access_key=key.access_key, status=status, times=None)
    assert provider.missing_right(key, secret) == ""


def test_a_quota_without_an_answer_delays_the_new_key_by_seconds(
    sandbox: ScalewaySandbox, provider: ScalewayProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotator.providers.scaleway.provider.QUOTA_TIMEOUT", 0.3)
    key, secret = new_key(sandbox, provider)
    sandbox.faults.add("hang", path=READS["the quota"], times=None)
    began = time.monotonic()
    assert provider.missing_right(key, secret) == ""
    assert time.monotonic() - began < 5
    sandbox.release()
