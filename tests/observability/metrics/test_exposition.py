"""What a scrape answers: the text of the library, at a small part of its price."""

from __future__ import annotations

import cProfile
import math
import pstats
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.catalogue import CATALOGUE
from rotator.observability.metrics.collector import Sample
from rotator.observability.metrics.exposition import Exposition

PLAIN, OPEN_METRICS = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"

SAMPLES: tuple[Sample, ...] = (
    ("rotator_application_phase", ("acme", "billing", "idle"), 1),
    ("rotator_application_phase", ("acme", 'a "name"\\with\nmore', "grace"), True),
    ("rotator_overdue_seconds", ("acme", "billing"), 0.25),
    ("rotator_key_published_timestamp_seconds", ("acme", "billing"), 1_766_966_400.123456),
    ("rotator_key_age_seconds", ("acme", "é"), 2_592_000),
    ("rotator_rotations_total", ("acme", "billing", "scheduled"), 7),
    ("rotator_events_total", ("daemon.ready",), 123_456_789),
    ("rotator_healthy", (), False),
    ("rotator_clock_skew_seconds", ("vault",), -1.5e-07),
    ("rotator_quota_headroom_keys", ("acme",), math.inf),
)


class ByTheLibrary(Collector):
    """The same samples as families of prometheus_client."""

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, labels, value in SAMPLES:
            about = CATALOGUE[name]
            kind = CounterMetricFamily if about.kind == "counter" else GaugeMetricFamily
            families.setdefault(name, kind(name, about.meaning, labels=about.labels)).add_metric(labels, float(value))
        yield from families.values()


@pytest.mark.parametrize("accept", [PLAIN, OPEN_METRICS])
def test_the_samples_are_written_as_the_library_writes_them(accept: str) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ByTheLibrary())
    encoder, content_type = choose_encoder(accept)
    expected = encoder(registry).decode()
    found_type, page = Exposition(lambda: SAMPLES, CallDurations()).answer(accept)
    assert found_type == content_type
    assert page.decode().endswith(expected)
    assert page.count(b"# EOF") == (accept == OPEN_METRICS)


def test_a_sample_costs_a_scrape_a_few_calls_of_functions() -> None:
    many = [("rotator_overdue_seconds", ("acme", f"billing-{number}"), 1.5) for number in range(2000)]
    exposition = Exposition(lambda: many, CallDurations())
    profile = cProfile.Profile()
    profile.runcall(exposition.answer, PLAIN)
    made = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]  # its stubs do not know it
    assert made < 20 * len(many)
