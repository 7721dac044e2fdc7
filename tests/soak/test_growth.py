"""What a soak calls growth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.soak.growth import MIB, Sample, growth
from tests.soak.picture import picture

STEADY = [
    Sample(
        at=10.0 * n,
        memory=60 * MIB + n % 3 * MIB,
        threads=40,
        descriptors=30 + n % 2,
        rotations=5 * n,
        log_bytes=9000 * n,
        ledger_bytes=9000,
        versions=10,
    )
    for n in range(30)
]


def test_a_steady_daemon_does_not_grow() -> None:
    assert growth(STEADY) == []


def test_the_warm_up_may_grow() -> None:
    assert (
        growth([replace(sample, memory=sample.memory // 2) if n < 10 else sample for n, sample in enumerate(STEADY)])
        == []
    )


@pytest.mark.parametrize(
    ("name", "each"),
    [("memory", MIB), ("threads", 1), ("descriptors", 1), ("ledger_bytes", 100), ("versions", 1)],
)
def test_what_grows_with_time_is_named(name: str, each: int) -> None:
    grown = [replace(sample, **{name: getattr(sample, name) + n * each}) for n, sample in enumerate(STEADY)]
    (sentence,) = growth(grown)
    assert sentence.startswith(name.replace("_", " ") + " grew from ")


def test_a_log_that_tells_more_of_each_rotation_is_named() -> None:
    (sentence,) = growth([replace(sample, log_bytes=sample.log_bytes + n * n * 300) for n, sample in enumerate(STEADY)])
    assert sentence.startswith("log bytes per rotation grew from ")


def test_a_run_that_shows_nothing_does_not_pass() -> None:
    assert growth(STEADY[:5]) == ["only 5 samples were taken, and 9 are needed: let it run longer"]
    assert growth([replace(sample, rotations=7) for sample in STEADY]) == [
        "nothing was rotated in one of the last two thirds, so nothing was shown"
    ]


def test_the_picture_has_a_curve_for_each_measure() -> None:
    assert picture(STEADY).count("<polyline") == 7
