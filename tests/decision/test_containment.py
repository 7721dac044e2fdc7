"""Marked keys whose place in the document, in the account or in the ledger is unusual."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.decision.observation import Preconditions, Presence
from rotator.decision.steps import DeleteKey
from rotator.domain.keys import ProbeResult
from rotator.domain.ledger import Hold, Predecessor
from tests.support.observations import (
    CURRENT,
    NOW,
    OTHER,
    PUBLISHED,
    THIRD,
    decided,
    key,
    mark,
    observe,
    records,
    revoking,
    waits,
)


def test_a_compromised_key_that_works_and_is_listed_nowhere_is_followed() -> None:
    found = records(
        observe(
            ledger={"current": replace(CURRENT, access_key=OTHER), "compromised": (mark(PUBLISHED),)},
            keys=(key(OTHER),),
            presence=Presence.GONE,
            published_probe=ProbeResult.VALID,
        )
    )
    assert found.ledger.current is not None
    assert (found.ledger.current.access_key, found.ledger.current.created_at) == (PUBLISHED, None)


def test_a_working_key_that_the_account_lacks_is_reported_in_one_sentence() -> None:
    waiting = waits(observe(keys=(), presence=Presence.GONE, published_probe=ProbeResult.VALID))
    assert waiting.problem is not None
    assert waiting.problem.message == (
        f"the published key {PUBLISHED} of billing works, and account acme has no such key: correct organization_id "
        "and secret_key of account acme"
    )


SKIPPED: dict[str, dict[str, Any]] = {
    "of another bearer": {"foreign": frozenset({OTHER})},
    "managed": {"keys": (key(), key(OTHER, deletable=False), key(THIRD))},
    "still published": {
        "ledger": {"compromised": (mark(PUBLISHED), mark(THIRD)), "revoking": (revoking(THIRD),)},
    },
    "published, and not replaceable": {
        "ledger": {"compromised": (mark(PUBLISHED, "revoke_first"), mark(THIRD)), "revoking": (revoking(THIRD),)},
        "preconditions": Preconditions(missing_capabilities=("update",)),
    },
    "held": {
        "ledger": {
            "compromised": (mark(OTHER), replace(mark(THIRD), override_hold=True)),
            "revoking": (revoking(THIRD),),
            "hold": Hold("audit", "ops", NOW),
        },
    },
    "published at a former path": {
        "ledger": {
            "compromised": (mark(OTHER), mark(THIRD)),
            "revoking": (revoking(THIRD),),
            "predecessors": (
                Predecessor("old", "secret/old", "access_key", "secret_key", taken_over=True, access_key=OTHER),
            ),
        },
    },
}


@pytest.mark.parametrize("kind", SKIPPED)
def test_a_marked_key_that_cannot_be_revoked_now_does_not_keep_the_next_one(kind: str) -> None:
    values: dict[str, Any] = {
        "ledger": {"compromised": (mark(OTHER), mark(THIRD)), "revoking": (revoking(THIRD),)},
        "keys": (key(), key(OTHER), key(THIRD)),
    }
    step = decided(observe(**{**values, **SKIPPED[kind]}))
    assert isinstance(step, DeleteKey)
    assert step.access_key == THIRD
