"""A secret cannot print itself."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from rotator.decision.observation import InFlightRotation
from rotator.domain.secret import MASK, Secret, redact
from tests.vault.test_codec import full

VALUE = "8e3a0b7c-1111-4222-8333-944445555666"


@pytest.mark.parametrize("show", [str, repr, ascii, "{}".format, "{!r:>50}".format, lambda s: f"{s:x}", lambda s: str([s]), lambda s: str({"k": s})])  # fmt: skip
def test_i6_no_way_of_printing_shows_it(show: Callable[[object], str]) -> None:
    assert VALUE not in show(Secret(VALUE))


@pytest.mark.parametrize("escape", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_i6_it_cannot_be_copied_out(escape: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
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


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE[::-1])
    assert Secret(VALUE) != VALUE


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("")
