"""What every ``Provider`` must do. A subclass gives the fixtures ``provider`` (fresh) and ``hand``."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import pytest

from rotator.domain.keys import ProbeResult
from rotator.domain.ports import Provider
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, NotFound, PermissionDenied, QuotaExceeded, Rejected, Unavailable

Verb = Literal["create", "delete"]
DESCRIPTION = "rotator:1:inst/billing/0123456789abcdef/7/inc — marker"


class Hand(Protocol):
    """What a person does beside the provider, and the truth. ``bearer`` exists and has no keys; so does ``other_bearer``."""

    bearer: str
    other_bearer: str
    unknown_bearer: str
    project: str
    """A project that is not the default one."""
    unknown_key: str
    """The name of a key that never was, well-formed."""

    def make(self, bearer: str, description: str = "", expires_at: datetime | None = None) -> tuple[str, Secret]: ...
    def delete(self, access_key: str) -> None: ...
    def protect(self, access_key: str, *, deletable: bool, provider_managed: bool) -> None: ...
    def live(self, bearer: str) -> Collection[str]: ...
    def attempts(self, verb: Verb) -> int: ...
    def limit(self, room: int) -> None: ...
    def lose_answer(self, verb: Verb) -> None: ...
    def fail_before(self, verb: Verb) -> None: ...
    def down(self) -> AbstractContextManager[None]: ...
    def forbid(self) -> None: ...
    def retire_management_key(self) -> None: ...
    def turn_clock(self, by: timedelta) -> None: ...
    def act(self, bearer: str, method: str, *, source: str, agent: str) -> None: ...


class ProviderContract:
    # --- looking

    def test_a_bearer_without_keys_has_none(self, provider: Provider, hand: Hand) -> None:
        assert provider.list_keys(hand.bearer) == ()

    def test_a_key_is_described_as_it_was_made(self, provider: Provider, hand: Hand) -> None:
        expires_at = datetime(2035, 7, 6, 9, 0, 0, 123456, tzinfo=UTC)
        access_key, _ = hand.make(hand.bearer, DESCRIPTION, expires_at)
        (key,) = provider.list_keys(hand.bearer)
        assert (key.access_key, key.bearer, key.description, key.expires_at) == (
            access_key,
            hand.bearer,
            DESCRIPTION,
            expires_at,
        )
        assert key.created_at.tzinfo is not None
        assert abs(key.created_at - datetime.now(UTC)) < timedelta(minutes=5)
        assert key.revocable
        assert provider.get_key(access_key) == key

    def test_all_keys_of_a_bearer_are_listed_and_those_of_no_other(self, provider: Provider, hand: Hand) -> None:
        hand.limit(500)
        mine = {hand.make(hand.bearer)[0] for _ in range(230)}
        theirs = {hand.make(hand.other_bearer)[0] for _ in range(3)}
        listed = provider.list_keys(hand.bearer)
        assert len(listed) == 230
        assert {key.access_key for key in listed} == mine
        assert {key.access_key for key in provider.list_keys(hand.other_bearer)} == theirs

    def test_all_keys_of_the_account_are_listed_whoever_bears_them_and_also_those_that_have_expired(
        self, provider: Provider, hand: Hand
    ) -> None:
        hand.limit(500)
        before = {key.access_key for key in provider.list_all_keys()}
        made = {hand.make(bearer)[0] for bearer in (hand.bearer, hand.other_bearer) for _ in range(60)}
        made.add(hand.make(hand.bearer, "", datetime.now(UTC) - timedelta(days=1))[0])
        listed = provider.list_all_keys()
        assert len(listed) == len(before) + 121
        assert {key.access_key for key in listed} == before | made
        assert {key.bearer for key in listed if key.access_key in made} == {hand.bearer, hand.other_bearer}

    def test_expired_keys_stay_listed(self, provider: Provider, hand: Hand) -> None:
        access_key, secret = hand.make(hand.bearer, "", datetime.now(UTC) - timedelta(days=1))
        (key,) = provider.list_keys(hand.bearer)
        assert (key.access_key, key.expired(datetime.now(UTC))) == (access_key, True)
        assert provider.authenticate(access_key, secret) is ProbeResult.REJECTED

    def test_an_expired_key_is_found_by_its_name_and_can_be_deleted(self, provider: Provider, hand: Hand) -> None:
        access_key, _ = hand.make(hand.bearer, "", datetime.now(UTC) - timedelta(days=1))
        found = provider.get_key(access_key)
        assert found is not None
        assert found.expired(datetime.now(UTC))
        assert provider.delete_key(access_key) is True
        assert provider.list_keys(hand.bearer) == ()
        assert provider.get_key(access_key) is None

    def test_a5_expired_keys_take_room(self, provider: Provider, hand: Hand) -> None:
        hand.limit(1)
        hand.make(hand.bearer, "", datetime.now(UTC) - timedelta(days=1))
        with pytest.raises(QuotaExceeded):
            provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)

    @pytest.mark.parametrize(("deletable", "provider_managed"), [(False, False), (True, True)])
    def test_b_key_becomes_managed_or_not_deletable(
        self, provider: Provider, hand: Hand, deletable: bool, provider_managed: bool
    ) -> None:
        access_key, _ = hand.make(hand.bearer)
        hand.protect(access_key, deletable=deletable, provider_managed=provider_managed)
        (key,) = provider.list_keys(hand.bearer)
        assert (key.deletable, key.provider_managed, key.revocable) == (deletable, provider_managed, False)

    def test_without_an_answer_no_right_of_a_new_management_key_is_known(self, provider: Provider, hand: Hand) -> None:
        access_key, secret = hand.make(hand.bearer)
        (key,) = provider.list_keys(hand.bearer)
        assert key.access_key == access_key
        with hand.down(), pytest.raises(Unavailable):
            provider.missing_right(key, secret)

    def test_a_key_that_is_not_there_is_none(self, provider: Provider, hand: Hand) -> None:
        access_key, _ = hand.make(hand.bearer)
        hand.delete(access_key)
        assert provider.get_key(access_key) is None
        assert provider.get_key(hand.unknown_key) is None

    def test_a_bearer_exists_or_does_not(self, provider: Provider, hand: Hand) -> None:
        assert provider.bearer_exists(hand.bearer)
        assert not provider.bearer_exists(hand.unknown_bearer)

    def test_the_trail_tells_what_a_bearer_did_and_nothing_of_others(self, provider: Provider, hand: Hand) -> None:
        now = datetime.now(UTC)
        hand.act(hand.bearer, "DeleteServer", source="198.51.100.4", agent="curl/8")
        hand.act(hand.other_bearer, "CreateServer", source="198.51.100.5", agent="curl/8")
        trail = provider.trail(hand.bearer, now - timedelta(hours=1), now + timedelta(hours=1))
        assert [(audit_event.method, audit_event.source, audit_event.agent) for audit_event in trail.audit_events] == [
            ("DeleteServer", "198.51.100.4", "curl/8")
        ]
        assert abs(trail.audit_events[0].at - now) < timedelta(minutes=5)
        assert trail.asked
        assert not trail.unavailable
        assert not provider.trail(hand.bearer, now - timedelta(hours=2), now - timedelta(hours=1)).audit_events

    def test_a_trail_that_cannot_be_read_says_so_and_is_not_an_empty_one(self, provider: Provider, hand: Hand) -> None:
        now = datetime.now(UTC)
        with hand.down():
            trail = provider.trail(hand.bearer, now - timedelta(hours=1), now)
        assert (trail.asked, bool(trail.unavailable)) == ((), True)
        hand.forbid()
        trail = provider.trail(hand.bearer, now - timedelta(hours=1), now)
        assert (trail.asked, bool(trail.unavailable)) == ((), True)

    # --- creating

    def test_a_created_key_is_there_and_its_secret_works(self, provider: Provider, hand: Hand) -> None:
        expires_at = datetime.now(UTC) + timedelta(days=90)
        key, secret = provider.create_key(
            hand.bearer, DESCRIPTION, default_project_id=hand.project, expires_at=expires_at.astimezone()
        )
        assert (key.bearer, key.description, key.default_project_id) == (hand.bearer, DESCRIPTION, hand.project)
        assert key.expires_at == expires_at
        assert provider.list_keys(hand.bearer) == (key,)
        assert provider.authenticate(key.access_key, secret) is ProbeResult.VALID
        assert secret.reveal() not in f"{key}{secret}"

    def test_a_key_without_expiry_and_project_has_the_providers_own(self, provider: Provider, hand: Hand) -> None:
        key, _ = provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
        assert (key.expires_at, key.description) == (None, "")

    def test_creating_twice_makes_two_keys(self, provider: Provider, hand: Hand) -> None:
        for _ in range(2):
            provider.create_key(hand.bearer, DESCRIPTION, default_project_id=None, expires_at=None)
        assert len(hand.live(hand.bearer)) == 2

    def test_a_key_for_a_bearer_that_is_not_there_is_not_found(self, provider: Provider, hand: Hand) -> None:
        with pytest.raises(NotFound):
            provider.create_key(hand.unknown_bearer, "", default_project_id=None, expires_at=None)

    def test_a_key_in_a_project_that_is_not_there_is_rejected_and_not_called_a_missing_bearer(
        self, provider: Provider, hand: Hand
    ) -> None:
        with pytest.raises(Rejected) as caught:
            provider.create_key(hand.bearer, "", default_project_id=hand.unknown_bearer, expires_at=None)
        assert not isinstance(caught.value, NotFound)
        assert caught.value.argument == "default_project_id"

    def test_a_description_that_is_too_long_is_rejected(self, provider: Provider, hand: Hand) -> None:
        with pytest.raises(Rejected) as caught:
            provider.create_key(hand.bearer, "x" * 201, default_project_id=None, expires_at=None)
        assert caught.value.argument == "description"
        assert not hand.live(hand.bearer)

    def test_a5_a_quota_that_is_used_up_says_how_many_and_deletes_nothing(self, provider: Provider, hand: Hand) -> None:
        hand.make(hand.bearer)
        before = set(hand.live(hand.bearer)) | set(hand.live(hand.other_bearer))
        hand.limit(0)
        with pytest.raises(QuotaExceeded) as caught:
            provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
        assert caught.value.current >= caught.value.quota > 0
        assert caught.value.resource
        assert set(hand.live(hand.bearer)) | set(hand.live(hand.other_bearer)) == before

    def test_a3_a_lost_create_answer_is_unclear_and_is_never_repeated(self, provider: Provider, hand: Hand) -> None:
        hand.lose_answer("create")
        with pytest.raises(Indeterminate):
            provider.create_key(hand.bearer, DESCRIPTION, default_project_id=None, expires_at=None)
        assert hand.attempts("create") == 1
        (leftover,) = provider.list_keys(hand.bearer)
        assert leftover.description == DESCRIPTION

    def test_a3_a_create_that_fails_unseen_is_unclear_and_is_never_repeated(
        self, provider: Provider, hand: Hand
    ) -> None:
        hand.fail_before("create")
        with pytest.raises(Indeterminate):
            provider.create_key(hand.bearer, DESCRIPTION, default_project_id=None, expires_at=None)
        assert hand.attempts("create") == 1
        assert provider.list_keys(hand.bearer) == ()

    # --- deleting

    def test_a_deleted_key_is_gone_and_its_secret_is_refused(self, provider: Provider, hand: Hand) -> None:
        access_key, secret = hand.make(hand.bearer)
        kept, kept_secret = hand.make(hand.bearer)
        assert provider.delete_key(access_key) is True
        assert provider.get_key(access_key) is None
        assert provider.authenticate(access_key, secret) is ProbeResult.REJECTED
        assert set(hand.live(hand.bearer)) == {kept}
        assert provider.authenticate(kept, kept_secret) is ProbeResult.VALID

    def test_b_delete_404_is_done(self, provider: Provider, hand: Hand) -> None:
        access_key, _ = hand.make(hand.bearer)
        hand.delete(access_key)
        for _ in range(2):
            assert provider.delete_key(access_key) is False
        assert provider.delete_key(hand.unknown_key) is False

    def test_b_delete_answer_lost(self, provider: Provider, hand: Hand) -> None:
        access_key, _ = hand.make(hand.bearer)
        hand.lose_answer("delete")
        with pytest.raises(Indeterminate):
            provider.delete_key(access_key)
        assert hand.attempts("delete") == 1
        assert provider.delete_key(access_key) is False

    # --- trying secrets

    def test_a_secret_that_is_not_the_keys_is_refused(self, provider: Provider, hand: Hand) -> None:
        access_key, _ = hand.make(hand.bearer)
        nobodys = Secret("6f6f6f6f-0000-4000-8000-00000000beef")
        assert provider.authenticate(access_key, nobodys) is ProbeResult.REJECTED
        assert provider.authenticate(hand.unknown_key, nobodys) is ProbeResult.REJECTED

    def test_a_key_that_is_gone_has_no_other_name_to_live_by(self, provider: Provider, hand: Hand) -> None:
        """The secret is asked, not the name beside it: a dead one is refused also under the name of a key that lives."""
        dead, secret = hand.make(hand.bearer)
        kept, _ = hand.make(hand.bearer)
        hand.delete(dead)
        assert provider.authenticate(kept, secret) is ProbeResult.REJECTED

    def test_a_name_that_cannot_be_one_is_never_sent_and_proves_nothing(self, provider: Provider, hand: Hand) -> None:
        _, secret = hand.make(hand.bearer)
        for nonsense in ("", "../applications", "SCW?x=1", "nonsense"):
            assert provider.authenticate(nonsense, secret) is ProbeResult.INCONCLUSIVE
            for act in (provider.get_key, provider.delete_key):
                with pytest.raises(Rejected) as caught:
                    act(nonsense)
                assert caught.value.argument == "access_key"

    # --- when it cannot be reached or does not want

    def test_while_it_cannot_be_reached_nothing_is_said_to_be_empty_or_done(
        self, provider: Provider, hand: Hand
    ) -> None:
        access_key, secret = hand.make(hand.bearer)
        with hand.down():
            for look in (
                lambda: provider.list_keys(hand.bearer),
                provider.list_all_keys,
                lambda: provider.get_key(access_key),
                lambda: provider.bearer_exists(hand.bearer),
            ):
                with pytest.raises(Unavailable):
                    look()
            with pytest.raises((Unavailable, Indeterminate)):
                provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
            with pytest.raises((Unavailable, Indeterminate)):
                provider.delete_key(access_key)
            assert provider.authenticate(access_key, secret) is ProbeResult.INCONCLUSIVE
            provider.headroom()
        assert {key.access_key for key in provider.list_keys(hand.bearer)} == {access_key}

    def test_without_the_right_every_verb_is_denied_but_a_secret_can_be_tried(
        self, provider: Provider, hand: Hand
    ) -> None:
        access_key, secret = hand.make(hand.bearer)
        hand.forbid()
        for attempt in (
            lambda: provider.list_keys(hand.bearer),
            provider.list_all_keys,
            lambda: provider.get_key(access_key),
            lambda: provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None),
            lambda: provider.delete_key(access_key),
            lambda: provider.bearer_exists(hand.bearer),
        ):
            with pytest.raises(PermissionDenied) as caught:
                attempt()
            assert caught.value.capability
        assert provider.authenticate(access_key, secret) is ProbeResult.VALID
        assert provider.headroom() is None

    def test_b_401_for_our_own_management_key(self, provider: Provider, hand: Hand) -> None:
        """Denied, after the reference has been read again; and the keys are untouched."""
        access_key, secret = hand.make(hand.bearer)
        hand.retire_management_key()
        for attempt in (
            lambda: provider.list_keys(hand.bearer),
            lambda: provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None),
            lambda: provider.delete_key(access_key),
        ):
            with pytest.raises(PermissionDenied):
                attempt()
        assert provider.authenticate(access_key, secret) is ProbeResult.VALID
        assert set(hand.live(hand.bearer)) == {access_key}

    # --- the rest

    def test_headroom_tells_how_many_more_fit_and_counts_our_own(self, provider: Provider, hand: Hand) -> None:
        hand.limit(3)
        room = provider.headroom()
        if room is None:
            pytest.skip("this provider does not tell")
        assert room == 3
        key, _ = provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
        assert provider.headroom() == 2
        provider.delete_key(key.access_key)
        assert provider.headroom() == 3

    def test_headroom_asked_for_afresh_counts_what_others_made(self, provider: Provider, hand: Hand) -> None:
        hand.limit(3)
        if provider.headroom() is None:
            pytest.skip("this provider does not tell")
        hand.make(hand.other_bearer)
        assert provider.headroom(fresh=True) == 2

    def test_a_clock_that_differs_is_noticed(self, provider: Provider, hand: Hand) -> None:
        assert provider.clock_offset() == timedelta(0)
        provider.list_keys(hand.bearer)
        assert abs(provider.clock_offset()) < timedelta(seconds=2)
        hand.turn_clock(timedelta(minutes=10))
        provider.list_keys(hand.bearer)
        assert abs(provider.clock_offset() - timedelta(minutes=10)) < timedelta(seconds=2)

    def test_many_threads_may_use_it_at_once(self, provider: Provider, hand: Hand) -> None:
        made: list[str] = []

        def life() -> None:
            key, secret = provider.create_key(hand.bearer, "", default_project_id=None, expires_at=None)
            if provider.authenticate(key.access_key, secret) is ProbeResult.VALID and provider.delete_key(
                key.access_key
            ):
                made.append(key.access_key)

        threads = [threading.Thread(target=life) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(made)) == 16
        assert not hand.live(hand.bearer)
