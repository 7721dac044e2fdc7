"""When an audit trail tells all that the bearer did."""

from __future__ import annotations

import pytest

from rotator.domain.audit import AuditTrail


@pytest.mark.parametrize(
    ("trail", "complete"),
    [
        (AuditTrail(asked=("fr-par",)), True),
        (AuditTrail(), False),
        (AuditTrail(asked=("fr-par",), unavailable=("nl-ams: away",)), False),
        (AuditTrail(asked=("fr-par",), truncated=True), False),
    ],
    ids=["whole", "no region was asked", "a region did not answer", "more calls than were read"],
)
def test_a_trail_is_complete_when_every_region_answered_and_every_call_was_read(
    trail: AuditTrail, complete: bool
) -> None:
    assert trail.complete is complete
