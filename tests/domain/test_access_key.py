"""The form of an access key, and why a text that is nearly one is none; values of the domain that only adapters make."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from rotator.domain.access_key import access_key_fault, is_access_key
from rotator.domain.keys import own_key_message
from rotator.domain.ledger import Incident
from rotator.domain.secret import Secret
from tests.support.observations import BORN, NOW, SECOND, key
from tests.support.scenarios import adopted, rotate

KEY = "SCWAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (KEY, ""),
        ("billing", ""),
        (f" {KEY}", "begins or ends with a blank"),
        (f"{KEY[:8]} {KEY[9:]}", "has a blank in it"),
        (KEY.lower(), "has small letters"),
        (f"scw{KEY[3:]}", "has small letters"),
        (KEY[:-1], "has 19 characters, one is missing"),
        (f"{KEY}A", "has 21 characters, one is too many"),
        (f"{KEY}AA", "has 22 characters, 2 are too many"),
        (f"{KEY[:-1]}-", "has a character that is neither a capital letter nor a digit"),
    ],
)
def test_what_keeps_a_text_from_being_an_access_key_is_named(text: str, fault: str) -> None:
    assert access_key_fault(text) == fault
    assert is_access_key(text) == (text == KEY)


def test_a_key_that_is_still_in_use_is_named_with_its_account() -> None:
    assert own_key_message(KEY, "acme") == (
        f"{KEY} is the key that account acme logs in with, and no other published key authenticates yet: "
        "it is deleted once one does"
    )


@pytest.mark.parametrize(
    ("expires", "expired"),
    [
        (None, False),
        (BORN - SECOND, False),
        (BORN, False),
        (BORN + SECOND, True),
        (NOW, True),
        (NOW + SECOND, False),
    ],
    ids=["without an end", "before its creation", "at its creation", "soon after it", "this moment", "not yet"],
)
def test_a_key_has_expired_from_the_date_on_unless_that_is_not_after_its_creation(
    expires: datetime | None, expired: bool
) -> None:
    assert key(expires_at=expires).expired(NOW) is expired


def test_a_ledger_in_memory_has_no_past_and_the_same_present() -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    ledger = replace(sim.ledger(), incidents=(Incident("i1", NOW, "leaked", "ops", (KEY,)),))
    assert ledger.without_past() == replace(ledger, history=(), incidents=())
    assert ledger.without_past().current == ledger.current


def test_i6_the_hash_of_a_secret_says_nothing_of_what_it_holds() -> None:
    one, other = Secret("a" * 20), Secret("a" * 20)
    assert one == other
    assert len({one, other}) == 2
