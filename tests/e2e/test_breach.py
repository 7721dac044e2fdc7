"""A whole organisation is breached: one command, killed and given again, ends with a proof that nothing was missed."""

from __future__ import annotations

import pytest

from tests.e2e.breach import prepare
from tests.e2e.rig import Rig


@pytest.mark.parametrize(
    "ordered", [False, True], ids=["the command acts and is killed", "the daemon acts and is killed"]
)
def test_a2_a5_i1_i2_i3_i4_i5_i6_i8_a_breach_of_everything_ends_with_an_empty_proof_whatever_goes_wrong(
    ordered: bool,
) -> None:
    """60 applications and room for 3 keys more; the same with 1,000 is a part of ``make bench``."""
    with Rig() as rig:
        breach = prepare(rig, count=60, quota=64, rate=100.0, ordered=ordered)
        breach.settle()
        breach.misbehave(0.06)
        breach.run(kill_at=20)
        breach.check()
        assert breach.kills == 1
