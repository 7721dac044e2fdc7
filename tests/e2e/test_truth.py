"""The verdict can be against us: each kind of violation is told from the innocent case beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.truth import Death, Published, Refusal, Truth

START = datetime(2026, 11, 25, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


#            0        10          20          30
#  published OLD      NEW         NEW (v3)    NEXT        (grace 5)
VERSIONS = [Published(n + 1, at(10 * n), key) for n, key in enumerate(("OLD", "NEW", "NEW", "NEXT"))]
PEACE = Truth(timedelta(seconds=5), VERSIONS, [], {}, {"NEW", "NEXT", "LEFT"})


@pytest.mark.parametrize(
    ("key", "died", "marked", "verdict"),
    [
        ("OLD", 15, None, ""),
        ("OLD", 14.9, None, "I2"),
        ("OLD", 10.1, 10, ""),
        ("OLD", 10.1, 10.2, "I2"),  # the mark came after the death
        ("OLD", 9.9, 5, "I1"),  # compromised, but still published
        ("NEW", 20.1, None, "I1"),  # a version with the same key is no end of its publication
        ("NEW", 35, None, ""),
        ("NEW", 5, None, "I1"),  # published after its death
        ("NEXT", 99, None, "I1"),
        ("LEFT", 1, None, ""),
        ("STRANGER", 1, None, "I5"),
        ("STRANGER", 1, 0.5, ""),
    ],
)
def test_a_deletion_is_judged_by_what_consumers_could_read(
    key: str, died: float, marked: float | None, verdict: str
) -> None:
    truth = replace(PEACE, revocations=[Death(key, at(died))], marked={} if marked is None else {key: at(marked)})
    assert [found[:2] for found in truth.violations()] == ([verdict] if verdict else [])


@pytest.mark.parametrize(
    ("key", "died", "refused", "marked", "blamed"),
    [
        ("OLD", 15, 15.1, False, False),  # a read older than the grace
        ("OLD", 12, 12.1, False, True),
        ("OLD", 12, 12.1, True, False),
        ("OLD", 9, 9.1, True, True),
        ("NEW", 15, 15.1, False, True),
        ("NEW", None, 12, False, True),  # not alive yet when it was published
        ("NEW", 16, 15.9, False, True),
        ("LEFT", 1, 2, False, True),  # never published: where does a consumer have it from?
    ],
)
def test_a_refusal_is_our_doing_unless_the_key_had_its_due(
    key: str, died: float | None, refused: float, marked: bool, blamed: bool
) -> None:
    revocations = [] if died is None else [Death(key, at(died))]
    truth = replace(PEACE, revocations=revocations, marked={key: at(0)} if marked else {})
    assert bool(truth.blame(Refusal(key, at(refused - 1), at(refused)))) is blamed
