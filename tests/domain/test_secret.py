"""A secret cannot print itself."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from rotator.decision.observation import InFlightRotation
from rotator.domain import secret
from rotator.domain.secret import FEW, LONGEST_MASKED, MASK, Secret, json_may_contain_secret, redact
from tests.vault.test_codec import full

VALUE = "8e3a0b7c-1111-4222-8333-944445555666"


@pytest.mark.parametrize("show", [str, repr, ascii, "{}".format, "{!r:>50}".format, lambda s: f"{s:x}", lambda s: str([s]), lambda s: str({"k": s})])  # fmt: skip
def test_i6_no_way_of_printing_shows_it(show: Callable[[object], str]) -> None:
    assert VALUE not in show(Secret(VALUE))


@pytest.mark.parametrize("escape", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_i6_it_cannot_be_copied_out(escape: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        escape(Secret(VALUE))


@pytest.mark.parametrize("escape", [pickle.dumps, copy.copy, copy.deepcopy])
def test_i6_what_tries_to_copy_it_is_answered_in_one_sentence(escape: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"^a secret cannot be pickled or copied$"):
        escape(Secret(VALUE))


def test_i6_a_traceback_of_a_value_that_holds_it_does_not_show_it() -> None:
    intent = full().intent
    assert intent is not None
    error = ValueError(InFlightRotation(intent, secret=Secret(VALUE)))
    assert VALUE not in "".join(traceback.format_exception(error))


def test_redact_finds_every_living_secret_in_any_text() -> None:
    secret = Secret(VALUE)
    assert redact(f"before {VALUE} after") == f"before {MASK} after"
    assert secret.reveal() == VALUE


@pytest.mark.parametrize("others", [0, 2 * FEW])
@pytest.mark.parametrize("value", ["twelve-chars", VALUE, "a" * 40, "hvs." + VALUE * 3])
def test_redact_finds_a_secret_at_every_place_of_a_text(value: str, others: int) -> None:
    secret, _held = Secret(value), [Secret(f"another secret, number {number:03}") for number in range(others)]
    for before in range(30):
        for after in range(8):
            left, right = "." * before, "," * after
            assert redact(left + value + right) == left + MASK + right
    assert secret.reveal() == value


@pytest.mark.parametrize("others", [0, 2 * FEW])
@pytest.mark.parametrize(
    "value", [VALUE, 'with-"quotes"-in', "back\\slash-within", "with-an-é-accent", "with\ttabulator"]
)
def test_a_json_text_with_a_secret_in_a_value_is_never_taken_for_one_without(value: str, others: int) -> None:
    secret, _held = Secret(value), [Secret(f"another secret, number {number:03}") for number in range(others)]
    for before in range(12):
        assert json_may_contain_secret(json.dumps({"a": "." * before + value}))
    del secret
    assert not json_may_contain_secret(json.dumps({"a": value}))


@pytest.mark.parametrize("others", [0, 2 * FEW])
def test_secrets_that_begin_alike_are_masked_until_each_is_forgotten(others: int) -> None:
    _held = [Secret(f"another secret, number {number:03}") for number in range(others)]
    one, other = Secret(f"{others}-begins-alike-one"), Secret(f"{others}-begins-alike-two")
    assert redact(f"{one.reveal()} {other.reveal()}") == f"{MASK} {MASK}"
    gone, last = one.reveal(), other.reveal()
    del one
    assert redact(f"{gone} {other.reveal()}") == f"{gone} {MASK}"
    del other
    assert redact(last) == last


def test_c14_a_word_that_is_too_short_for_a_secret_is_masked_nowhere() -> None:
    held = [Secret(text) for text in ('"', "e", "billing", "[secret]", "eleven-char")]
    text = 'the application "billing" says [secret] and eleven-char'
    assert redact(text) == text
    assert len(held) == 5


def test_c14_a_mask_is_never_masked_again_and_the_longest_secret_wins() -> None:
    held = [Secret(VALUE), Secret(VALUE + "-and-more"), Secret("aaaaaaaaaaaa")]
    assert redact(f"{VALUE}-and-more {VALUE}") == f"{MASK} {MASK}"
    assert redact("a" * 30) == MASK * 2 + "a" * 6
    assert len(redact("a" * 1_200_000)) <= 1_200_000
    assert len(held) == 3


def test_c14_a_secret_is_forgotten_with_its_last_copy() -> None:
    first, second = Secret(VALUE), Secret(VALUE)
    del first
    assert redact(VALUE) == MASK
    del second
    gc.collect()
    assert redact(VALUE) == VALUE


def test_c14_the_masked_secrets_are_bounded_in_size_and_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Secret("x" * (LONGEST_MASKED + 1))
    assert redact("x" * 50) == "x" * 50
    longest = Secret("y" * LONGEST_MASKED)
    assert redact(longest.reveal()) == MASK
    monkeypatch.setattr("rotator.domain.secret.MOST_MASKED", 0)
    beyond = Secret("beyond-the-bound-of-masks")
    assert redact(beyond.reveal()) == beyond.reveal()
    assert long.reveal()


def test_c14_the_last_secret_within_the_bound_is_masked_and_the_first_beyond_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gc.collect()
    redact("")  # what earlier tests have freed no longer counts
    monkeypatch.setattr(secret, "MOST_MASKED", len(secret._copies) + 1)
    last, beyond = Secret("last-within-the-bound"), Secret("first-beyond-the-bound")
    assert redact(last.reveal()) == MASK
    assert redact(beyond.reveal()) == beyond.reveal()


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE[::-1])
    assert Secret(VALUE) != VALUE


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a secret cannot be empty$"):
        Secret("")
