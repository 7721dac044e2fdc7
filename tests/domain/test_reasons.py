"""What a reason, or the name of one, stands for: its exit code, its phase and what to do."""

from __future__ import annotations

import pytest

from rotator.domain.reasons import REASONS, Reason, Source, action_for, exit_code_of, phase_of, reason_of


def test_every_reason_is_found_by_its_name_and_by_the_kinds_of_error_that_it_stands_for() -> None:
    assert {reason_of(reason.value) for reason in Reason} == set(Reason) == set(REASONS)
    kinds = {kind: reason for reason, info in REASONS.items() for kind in info.kinds if kind not in set(Reason)}
    assert kinds
    assert {kind: reason_of(kind) for kind in kinds} == kinds


def test_what_a_plug_in_made_up_is_no_reason_fails_and_has_no_advice() -> None:
    assert reason_of("never_heard") is None
    assert exit_code_of("never_heard") == 1
    assert phase_of("never_heard") == "failing"
    assert action_for("never_heard", application="a", account="b", path="c", bearer="d") == ""


@pytest.mark.parametrize("reason", Reason)
def test_the_exit_code_of_a_reason_is_the_one_beside_it(reason: Reason) -> None:
    assert exit_code_of(reason.value) == REASONS[reason].exit_code


@pytest.mark.parametrize("reason", Reason)
def test_the_phase_follows_from_what_a_reason_stops(reason: Reason) -> None:
    expected = {Reason.LEDGER_UNREADABLE: "unreadable", Reason.HELD: "held"}.get(
        reason, "failing" if REASONS[reason].source in (Source.ATTEMPT, Source.SERVICE) else "blocked"
    )
    assert phase_of(reason.value) == expected


NAMES = {"application": "billing", "account": "acme", "path": "kv/shop", "bearer": "bearer-7"}


@pytest.mark.parametrize("reason", Reason)
def test_the_action_names_the_application_its_account_its_path_and_its_bearer(reason: Reason) -> None:
    template = REASONS[reason].action
    action = action_for(reason.value, **NAMES)
    assert "{" not in action
    assert all(
        (value in action) == ("{" + name + "}" in template or value in template) for name, value in NAMES.items()
    )


@pytest.mark.parametrize("reason", Reason)
def test_the_general_action_holds_words_in_capitals_in_place_of_names(reason: Reason) -> None:
    general = REASONS[reason].general_action
    placeholders = {"{" + name + "}": name.upper() for name in NAMES}
    expected = REASONS[reason].action
    for written, word in placeholders.items():
        expected = expected.replace(written, word)
    assert general == expected


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_recorded_when_every_process_sees_it_the_same(reason: Reason) -> None:
    assert REASONS[reason].recorded == (REASONS[reason].source is Source.SHARED)
