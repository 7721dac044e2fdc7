"""The Scaleway adapter keeps the contract, against the stand-in over HTTP."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, Rejected
from rotator.providers.scaleway import ScalewayProvider
from rotator.providers.scaleway.errors import ApiCall
from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.providers.contract import ProviderContract, Verb
from tests.support.provider_building import provider_at

ROUTES = {"create": ("POST", "/iam/v1alpha1/api-keys"), "delete": ("DELETE", "/iam/v1alpha1/api-keys/{access_key}")}


class SandboxHand:
    def __init__(self, sandbox: ScalewaySandbox) -> None:
        self.sandbox = sandbox
        self.bearer = sandbox.create_application("billing")
        self.other_bearer = sandbox.create_application("shop")
        self.unknown_bearer = "00000000-0000-4000-8000-00000000dead"
        self.project = sandbox.create_project("side")
        self.unknown_key = "SCW00000000000000000"

    def make(self, bearer: str, description: str = "", expires_at: datetime | None = None) -> tuple[str, Secret]:
        expired = expires_at is not None and expires_at <= datetime.now(UTC)
        if expired:
            expires_at = datetime.now(UTC) + timedelta(milliseconds=50)  # a date before the creation is not believed
        access_key, secret = self.sandbox.create_key(bearer, description=description, expires_at=expires_at)
        if expired and expires_at:
            wait_until(lambda: datetime.now(UTC) > expires_at, "the key expires")
        return access_key, Secret(secret)

    def delete(self, access_key: str) -> None:
        self.sandbox.delete_key(access_key)

    def protect(self, access_key: str, *, deletable: bool, provider_managed: bool) -> None:
        self.sandbox.edit_key(access_key, deletable=deletable, managed=provider_managed)

    def live(self, bearer: str) -> Collection[str]:
        return [key.access_key for key in self.sandbox.keys(bearer)]

    def attempts(self, verb: Verb) -> int:
        method, path = ROUTES[verb]
        return sum(
            n for (m, route), n in self.sandbox.calls().items() if m == method and route.startswith(path.split("{")[0])
        )

    def limit(self, room: int) -> None:
        self.sandbox.edit_organization(quota=len(self.sandbox.keys()) + room)

    def lose_answer(self, verb: Verb) -> None:
        self.sandbox.faults.add("reset", method=ROUTES[verb][0], path="*/api-keys*", executed=True)

    def fail_before(self, verb: Verb) -> None:
        self.sandbox.faults.add("status", method=ROUTES[verb][0], path="*/api-keys*", status=503)

    @contextmanager
    def down(self) -> Iterator[None]:
        fault = self.sandbox.faults.add("drop", times=None)
        yield
        self.sandbox.faults.remove(fault.id)

    def forbid(self) -> None:
        self.sandbox.edit_application(self.sandbox.management_application_id, manager=False)

    def retire_management_key(self) -> None:
        self.sandbox.delete_key(self.sandbox.management_access_key)

    def turn_clock(self, by: timedelta) -> None:
        self.sandbox.configure(date_skew=by.total_seconds())

    def act(self, bearer: str, method: str, *, source: str, agent: str) -> None:
        self.sandbox.note_deed(bearer, method, source_ip=source, user_agent=agent)


@pytest.fixture
def sandbox() -> Iterator[ScalewaySandbox]:
    with ScalewaySandbox() as sandbox:
        yield sandbox


@pytest.fixture
def hand(sandbox: ScalewaySandbox) -> SandboxHand:
    return SandboxHand(sandbox)


@pytest.fixture
def provider(sandbox: ScalewaySandbox, hand: SandboxHand) -> Iterator[ScalewayProvider]:
    with provider_at(
        sandbox.url, organization_id=sandbox.organization_id, secret_key=lambda: Secret(sandbox.management_secret)
    ) as provider:
        yield provider


class TestScaleway(ProviderContract):
    pass


# --- what is Scaleway's own ------------------------------------------------------------------------------------------------


def test_b_list_pages_shift_under_a_concurrent_delete(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    """While the second page is on its way, a key of the first one goes: every later key moves up by one, and one is skipped."""
    sandbox.edit_organization(quota=1000)
    names = [hand.make(hand.bearer)[0] for _ in range(150)]
    deleted: list[str] = []
    pages = provider._page

    def page(call: ApiCall, path: str, name: str, params: dict[str, str]) -> tuple[list[object], int]:
        if params["page"] == "2" and not deleted:
            deleted.append(names[0])
            sandbox.delete_key(names[0])
        return pages(call, path, name, params)

    provider._page = page  # type: ignore[method-assign, assignment]  # the moment between two pages has no other handle
    listed = {key.access_key for key in provider.list_keys(hand.bearer)}
    assert deleted
    assert listed == set(names[1:])


def test_b_old_key_still_answers_after_delete(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    """The result stays VALID for as long as the secret is accepted, whatever DELETE said."""
    access_key, secret = hand.make(hand.bearer)
    sandbox.configure(revocation_delay=3600.0)
    assert provider.delete_key(access_key)
    assert provider.authenticate(access_key, secret) == "valid"
    assert provider.get_key(access_key) is None


def test_b_401_just_after_create(provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand) -> None:
    sandbox.configure(activation_delay=3600.0)
    key, secret = provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
    assert provider.authenticate(key.access_key, secret) == "rejected"


def test_b_create_lands_minutes_later(provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand) -> None:
    sandbox.faults.add("late", method="POST", status=504)
    with pytest.raises(Indeterminate):
        provider.create_key(hand.bearer, "marker", default_project_id=None, expires_at=None)
    assert provider.list_keys(hand.bearer) == ()
    sandbox.release()
    assert [key.description for key in provider.list_keys(hand.bearer)] == ["marker"]


@pytest.mark.parametrize("lifetime", [None, timedelta(days=400)])
def test_b_400_on_create_an_expiry_policy_names_the_option_to_set(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand, lifetime: timedelta | None
) -> None:
    sandbox.edit_organization(max_api_key_expiration_duration="31536000s")
    with pytest.raises(Rejected, match="lifetime") as caught:
        provider.create_key(
            hand.bearer, "", default_project_id=None, expires_at=datetime.now(UTC) + lifetime if lifetime else None
        )
    assert caught.value.argument == "expires_at"


def test_both_white_space_styles_are_read(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    hand.make(hand.bearer)
    sandbox.configure(spaced=True)
    spaced = provider.list_keys(hand.bearer)
    sandbox.configure(spaced=False)
    assert provider.list_keys(hand.bearer) == spaced


def test_a_whole_rotation_costs_few_calls(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    """One request for each verb, and none beside them."""
    sandbox.reset_calls()
    key, secret = provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
    provider.list_keys(hand.bearer)
    provider.get_key(key.access_key)
    provider.authenticate(key.access_key, secret)
    provider.bearer_exists(hand.bearer)
    provider.delete_key(key.access_key)
    assert sum(sandbox.calls().values()) == 6


def test_headroom_is_asked_once_a_minute_whoever_asks(provider: ScalewayProvider, sandbox: ScalewaySandbox) -> None:
    sandbox.reset_calls()
    for _ in range(20):
        provider.headroom()
    provider.urgent().headroom()
    assert sum(sandbox.calls().values()) == 2


def test_the_trail_is_read_from_all_regions_and_to_its_last_page(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    now = datetime.now(UTC)
    for number in range(250):
        sandbox.note_deed(hand.bearer, f"Do{number}", region="nl-ams" if number % 2 else "fr-par", ago=250 - number)
    trail = provider.trail(hand.bearer, now - timedelta(hours=1), now + timedelta(hours=1))
    assert [audit_event.method for audit_event in trail.audit_events] == [f"Do{number}" for number in range(250)]
    assert (trail.asked, trail.truncated) == (("fr-par", "nl-ams"), False)


def test_a_region_that_does_not_answer_hides_no_other(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    now = datetime.now(UTC)
    sandbox.note_deed(hand.bearer, "DeleteServer")
    sandbox.faults.add("status", status=404, path="*/nl-ams/events", times=None)
    trail = provider.trail(hand.bearer, now - timedelta(hours=1), now + timedelta(hours=1))
    assert [audit_event.method for audit_event in trail.audit_events] == ["DeleteServer"]
    assert trail.asked == ("fr-par",)
    assert trail.unavailable[0].startswith("nl-ams: ")


def test_a_right_that_is_missing_for_the_trail_is_named(
    provider: ScalewayProvider, sandbox: ScalewaySandbox, hand: SandboxHand
) -> None:
    hand.forbid()
    trail = provider.trail(hand.bearer, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    assert all("AuditTrailReadOnly" in why for why in trail.unavailable)


def test_every_application_is_listed_also_over_several_pages() -> None:
    with (
        ScalewaySandbox() as sandbox,
        provider_at(
            sandbox.url,
            organization_id=sandbox.organization_id,
            secret_key=lambda: Secret(sandbox.management_secret),
        ) as provider,
    ):
        made = {sandbox.create_application(f"application-{number:03}") for number in range(120)}
        listed = provider.list_bearers()
        assert made <= {bearer.id for bearer in listed}
        assert [bearer.name for bearer in listed] == sorted(bearer.name for bearer in listed)
