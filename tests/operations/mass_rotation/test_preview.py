"""What a mass rotation would do, told beforehand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.domain.account import MassRotation
from rotator.domain.ledger import Hold
from rotator.domain.spec import VerificationPolicy
from rotator.operations.coverage import CoverageReport
from rotator.operations.mass_rotation.coordinator import begin_mass_rotation
from rotator.operations.mass_rotation.estimate import Estimate, estimate
from rotator.operations.mass_rotation.free_quota import RESERVE
from rotator.operations.mass_rotation.preview import Preview, PreviewEntry, build_preview
from rotator.operations.mass_rotation.selection import Selection
from tests.operations.mass_rotation.test_coordinator import DAY, NOW, Account, request
from tests.support.simulated import EPOCH
from tests.support.store import SimStore

ENTRY = PreviewEntry("billing", ("SCW1", "SCW2"), EPOCH, needs_room=True)
PREVIEW = Preview(
    MassRotation("i1", "--all", NOW, True, "leaked", "ops", NOW),
    (ENTRY,),
    5,
    50.0,
    Estimate(3, 8, timedelta(seconds=2.6)),
    again=True,
    remaining=CoverageReport("acme", NOW, NOW, 3),
    unread={"z": "damaged", "a": "newer"},
)


def test_a_preview_says_to_machines_what_would_be_done() -> None:
    assert PREVIEW.as_json() == {
        "account": "acme",
        "created_before": "2026-01-01T01:00:00Z",
        "compromised": True,
        "goes_on_with": "i1",
        "room": 5,
        "at_once": 3,
        "calls": 8,
        "seconds": 3,
        "applications": [
            {
                "name": "billing",
                "keys": ["SCW1", "SCW2"],
                "oldest": "2026-01-01T00:00:00Z",
                "needs_room": True,
                "held": False,
            }
        ],
        "remaining": [],
        "broken": ["a", "z"],
    }
    nothing = replace(PREVIEW, order=replace(PREVIEW.order, id=""), turns=(), foreseen=None).as_json()
    assert (nothing["goes_on_with"], nothing["at_once"], nothing["calls"], nothing["seconds"]) == (None, 0, 0, 0)


@pytest.mark.parametrize(("room", "fit"), [(None, None), (0, 0), (1, 1), (RESERVE, 1), (RESERVE + 3, 3)])
def test_so_many_fit_now_as_there_is_room_for_less_the_reserve(room: int | None, fit: int | None) -> None:
    assert replace(PREVIEW, room=room).fit_now == fit


def test_it_is_blocked_only_where_there_is_no_room_and_a_key_is_needed() -> None:
    assert replace(PREVIEW, room=0).blocked
    assert not replace(PREVIEW, room=0, turns=(replace(ENTRY, needs_room=False),)).blocked
    assert not replace(PREVIEW, room=1).blocked
    assert not replace(PREVIEW, room=None).blocked


def previewed(account: Account, **changes: Any) -> Preview:
    return build_preview(account.scope, request(**changes))


def test_a_preview_of_a_breach_names_each_turn_oldest_first_and_what_is_left_afterwards() -> None:
    account = Account()
    account.sim.quota = 8
    unmanaged, _ = account.sim.make_key(bearer="of no application", created=NOW - DAY)
    before = {where: len(versions) for where, versions in account.sim.kv.items()}
    found = previewed(account, compromised=True)
    keys = sorted(name for name in account.sim.keys if name != unmanaged.access_key)
    assert found.turns == tuple(
        PreviewEntry(f"app-{number}", (keys[number],), NOW - DAY * (3 - number), needs_room=True) for number in range(3)
    )
    assert [row.key.access_key for row in found.remaining.rows] == [unmanaged.access_key]
    assert (found.account, found.room, found.rate_limit, found.again, found.unread) == ("acme", 4, 50.0, False, {})
    assert (account.provider.questions, account.provider.fresh) == (1, True)
    assert (found.order.id, found.order.by, found.order.begun_at, found.order.created_before) == ("", "ops", NOW, NOW)
    assert found.foreseen == estimate(3, 4, 50.0, account.specs["app-0"].emergency_verification)
    assert {where: len(versions) for where, versions in account.sim.kv.items()} == before


def test_a_preview_of_an_ordinary_mass_rotation_leaves_the_old_keys_to_their_grace() -> None:
    account = Account()
    found = previewed(account, selection=Selection(names=("app-1",)))
    assert [turn.name for turn in found.turns] == ["app-1"]
    assert [row.application for row in found.remaining.rows] == ["app-1"]
    assert found.foreseen == estimate(1, None, 50.0, account.specs["app-1"].verification)


def test_the_time_is_foreseen_by_the_slowest_verification() -> None:
    account = Account()
    slow = VerificationPolicy(4, timedelta(minutes=1), timedelta(minutes=9))
    many = VerificationPolicy(9, timedelta(seconds=1), timedelta(minutes=9))
    account.specs["app-1"] = replace(account.specs["app-1"], verification=slow)
    account.specs["app-2"] = replace(account.specs["app-2"], verification=many)
    assert previewed(account).foreseen == estimate(3, None, 50.0, slow)


def test_who_is_on_hold_is_named_and_its_keys_remain() -> None:
    account = Account(2)
    store = SimStore(account.sim)
    ledger, version = store.read_ledger("app-0")
    assert ledger
    store.write_ledger(replace(ledger, hold=Hold("migration", "bob", NOW)), cas=version)
    found = previewed(account, compromised=True)
    assert [(turn.name, turn.held) for turn in found.turns] == [("app-0", True), ("app-1", False)]
    assert [row.application for row in found.remaining.rows] == ["app-0"]


def test_a_ledger_that_cannot_be_read_is_named_with_the_reason() -> None:
    account = Account(2)
    account.sim.append("ledger:app-1", {"schema": 99})
    found = previewed(account, compromised=True)
    assert list(found.unread) == ["app-1"]
    assert found.unread["app-1"].startswith("the ledger of app-1 was written by a newer rotator")


def test_nothing_is_foreseen_where_nothing_is_old_enough() -> None:
    found = previewed(Account(), created_before=NOW - 9 * DAY)
    assert (found.turns, found.foreseen, found.remaining.rows) == ((), None, ())


def test_a4_a_preview_of_what_was_begun_says_that_it_goes_on_with_it_and_by_its_time() -> None:
    account = Account()
    begun = begin_mass_rotation(account.scope, request(), account.sleep, "i1")
    account.sim.time.advance(timedelta(days=1))
    found = previewed(account, created_before=account.sim.time.now, at=account.sim.time.now)
    assert (found.order, found.again) == (begun, True)
