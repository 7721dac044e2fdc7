"""The presences of daemons on a real OpenBao, with the policy that is generated and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.domain.presence import MAX_DAEMONS
from rotator.errors import Conflict, PermissionDenied
from rotator.sandbox.openbao import OpenBao
from rotator.vault import KvStore
from rotator.vault.policy import required_rights
from tests.vault.conftest import Build, RootHand
from tests.vault.test_policy import store_with


def test_a_presence_is_written_by_check_and_set_and_read_with_its_version_and_time(store: KvStore) -> None:
    assert store.presences.read_presences() == ()
    store.presences.write_presence(2, {"schema": 1}, cas=0)
    store.presences.write_presence(1, {"schema": 7}, cas=0)
    with pytest.raises(Conflict):
        store.presences.write_presence(1, {"schema": 8}, cas=0)
    store.presences.write_presence(1, {"accounts": ["acme"]}, cas=1)
    first, second = store.presences.read_presences()
    assert (first.place, first.version, first.content) == (1, 2, {"accounts": ["acme"]})
    assert (second.place, second.version, second.content) == (2, 1, {"schema": 1})
    assert first.created_time is not None
    age = datetime.now(UTC) + store.clock_offset() - first.created_time
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)


def test_what_is_no_place_is_not_read_and_a_deleted_document_leaves_its_place_free(
    store: KvStore, hand: RootHand
) -> None:
    for name in ("0", str(MAX_DAEMONS + 1), "hello", "01", "1/2"):
        hand.put(f"{hand.prefix}/daemons/{name}", {"schema": 1})
    store.presences.write_presence(3, {"schema": 1}, cas=0)
    hand.delete(f"{hand.prefix}/daemons/3")
    (deleted,) = store.presences.read_presences()
    assert (deleted.place, deleted.version, deleted.content) == (3, 1, {})
    store.presences.write_presence(3, {"schema": 1}, cas=1)
    hand.delete_all(f"{hand.prefix}/daemons/3")
    assert store.presences.read_presences() == ()
    store.presences.write_presence(3, {"schema": 1}, cas=0)


def test_presences_are_no_ledgers_and_need_no_other_policy(bao: OpenBao, make: Build, hand: RootHand) -> None:
    store = store_with(bao, make, hand, list(required_rights(hand.prefix, [f"{hand.root}/billing"])))
    store.presences.write_presence(1, {"schema": 1}, cas=0)
    store.presences.write_presence(1, {"schema": 1}, cas=1)
    assert len(store.presences.read_presences()) == 1
    assert store.list_ledgers() == ()
    assert store.installation(), "a presence does not count as something that the installation id is missing for"


def test_without_the_right_to_list_presences_the_error_names_the_line_of_the_policy(
    bao: OpenBao, make: Build, hand: RootHand
) -> None:
    rights = [right for right in required_rights(hand.prefix, [hand.root]) if "list" not in right.capabilities]
    store = store_with(bao, make, hand, rights)
    with pytest.raises(PermissionDenied, match=r"does not allow list on .*/daemons"):
        store.presences.read_presences()
