"""The coverage proof: it begins with what the provider has, and fails until nothing old is alive or each such key is waived."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.publication import new_ledger
from rotator.decision.transitions.revocation import start_revocation
from rotator.domain.account import AccountDocument, Waiver
from rotator.domain.keys import Key
from rotator.domain.ledger import CurrentKey, Ledger, RetiringKey
from rotator.domain.marker import Marker
from rotator.operations.coverage import KINDS, CoverageReport, Inventory, coverage_report
from tests.support.simulated import BEARER, spec

BREACH = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOW = BREACH + timedelta(hours=2)
HOUR = timedelta(hours=1)
INSTALLATION = "1" * 16


def key(name: str, age: timedelta = HOUR, **said: Any) -> Key:
    """A key that was made so long before the breach."""
    return Key(name, said.pop("bearer", BEARER), said.pop("description", ""), BREACH - age, **said)


def proof(
    *keys: Key, ledger: Ledger | None = None, document: AccountDocument | None = None, **known: Any
) -> CoverageReport:
    ledgers = {"billing": ledger} if ledger else {}
    about = Inventory(document or AccountDocument("acme"), {BEARER: "billing"}, ledgers, INSTALLATION, **known)
    return coverage_report(keys, about, created_before=BREACH, now=NOW)


def test_a2_a_key_that_nobody_thought_of_fails_the_proof_by_name() -> None:
    found = proof(key("SCWOLD", bearer="somebody"), key("SCWNEW", -HOUR))
    assert not found.complete
    assert [(row.key.access_key, row.kind, row.application) for row in found.open] == [("SCWOLD", "unmanaged", "")]
    assert found.listed == 2


def test_without_an_old_key_the_proof_holds_and_a_key_made_at_that_very_time_is_not_old() -> None:
    assert proof(key("SCWNEW", timedelta(0))).complete
    assert not proof(key("SCWOLD", timedelta(microseconds=1))).complete


def test_old_keys_are_told_oldest_first() -> None:
    found = proof(key("SCWB", HOUR), key("SCWA", 3 * HOUR), key("SCWC", HOUR))
    assert [row.key.access_key for row in found.rows] == ["SCWA", "SCWB", "SCWC"]


def test_an_expired_key_is_told_apart_and_only_when_every_clock_says_that_it_has_expired() -> None:
    found = proof(key("SCWOVER", expires_at=NOW), key("SCWNEARLY", expires_at=NOW + timedelta(microseconds=1)))
    assert [row.key.access_key for row in found.rows] == ["SCWNEARLY"]
    assert [expired.access_key for expired in found.expired] == ["SCWOVER"]


def test_each_key_is_told_for_what_it_is() -> None:
    ledger = replace(
        new_ledger(spec()),
        current=CurrentKey("SCWCURRENT", 4, BREACH),
        retiring=(RetiringKey("SCWGRACE", 3, NOW + HOUR, "replaced"), RetiringKey("SCWGONE", 2, NOW, "replaced")),
    )
    ledger = start_revocation(ledger, "SCWGONE", 2, "replaced")
    ledger = mark_compromised(
        ledger, {"SCWLEAKED"}, reason="leak", by="ops", at=NOW, incident="i", mode="replace_first"
    )
    marker = Marker(INSTALLATION, "billing", "2" * 16, 1, "-")
    keys = {
        "SCWCURRENT": "current",
        "SCWGRACE": "grace",
        "SCWGONE": "revoking",
        "SCWLEAKED": "compromised",
        "SCWMADE": "untracked",
        "SCWOTHERS": "unmanaged",
        "SCWMANAGED": "protected",
        "SCWSTUCK": "protected",
        "SCWOWN": "management",
        "SCWSTRANGER": "unmanaged",
    }
    said: dict[str, dict[str, Any]] = {
        "SCWMADE": {"description": marker.render()},
        "SCWOTHERS": {"description": replace(marker, installation="f" * 16).render()},
        "SCWMANAGED": {"provider_managed": True},
        "SCWSTUCK": {"deletable": False},
    }
    found = proof(*(key(name, **said.get(name, {})) for name in keys), ledger=ledger, management_key="SCWOWN")
    assert {row.key.access_key: row.kind for row in found.rows} == keys
    assert set(keys.values()) == set(KINDS) - {"unknown"}
    assert {row.revoke_at for row in found.rows if row.kind == "grace"} == {NOW + HOUR}
    assert not found.complete


@pytest.mark.parametrize(("until", "complete"), [(None, True), (NOW + HOUR, True), (NOW, False)])
def test_a_waived_key_is_shown_and_does_not_fail_the_proof_for_as_long_as_the_waiver_counts(
    until: datetime | None, complete: bool
) -> None:
    document = AccountDocument("acme").with_waiver(Waiver("SCWOLD", "break glass", "ops", BREACH, until))
    found = proof(key("SCWOLD"), document=document)
    assert found.complete is complete
    assert [row.key.access_key for row in found.rows] == ["SCWOLD"]
    assert (found.as_json()["keys"][0]["waiver"] or {}).get("reason") == ("break glass" if complete else None)


def known_ledger() -> Ledger:
    """A ledger with a current key, one in grace and one whose revocation is not verified."""
    ledger = replace(
        new_ledger(spec()),
        current=CurrentKey("SCWCURRENT", 4, BREACH),
        retiring=(RetiringKey("SCWGRACE", 3, NOW + HOUR, "replaced"), RetiringKey("SCWGONE", 2, NOW, "replaced")),
    )
    return start_revocation(ledger, "SCWGONE", 2, "replaced")


KNOWN = ("SCWCURRENT", "SCWGRACE", "SCWGONE", "SCWOWN")


@pytest.mark.parametrize("lacks", [{name} for name in KNOWN] + [set(KNOWN)], ids=lambda lacks: "+".join(sorted(lacks)))
def test_c13_a_list_that_lacks_what_is_known_to_be_there_proves_nothing(lacks: set[str]) -> None:
    listed = [key(name, -HOUR) for name in KNOWN if name not in lacks]
    found = proof(*listed, ledger=known_ledger(), management_key="SCWOWN")
    assert (found.missing, found.complete, found.exit_code) == (tuple(sorted(lacks)), False, 6)
    assert found.as_json()["missing"] == sorted(lacks)
    assert proof(*(key(name, -HOUR) for name in KNOWN), ledger=known_ledger(), management_key="SCWOWN").exit_code == 0


def test_c13_a_key_with_a_date_in_the_future_is_never_taken_for_a_new_one() -> None:
    found = proof(key("SCWFUTURE", -HOUR * 24 * 365), key("SCWNEW", -HOUR))
    assert [row.key.access_key for row in found.open] == ["SCWFUTURE"]


@pytest.mark.parametrize("expiry", [datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), BREACH - 2 * HOUR])
def test_c13_a_key_is_not_expired_by_a_date_before_its_creation(expiry: datetime) -> None:
    found = proof(key("SCWZERO", HOUR, expires_at=expiry))
    assert (found.expired, [row.key.access_key for row in found.open]) == ((), ["SCWZERO"])


def test_a_ledger_that_could_not_be_read_is_told_where_it_concerns_an_old_key() -> None:
    assert proof(key("SCWOLD"), unread=["billing", "mailer"]).unread == ("billing",)
    assert proof(key("SCWNEW", -HOUR), unread=["billing"]).unread == ()
