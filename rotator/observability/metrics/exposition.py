"""Metrics as Prometheus reads them. The one place that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rotator.observability.metrics.catalogue import CATALOGUE
from rotator.observability.metrics.collector import Sample

CALLS = "rotator_request_duration_seconds"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""Seconds; the last is the usual ``timeout`` of a call."""


class Exposition:
    """What a scrape is answered. ``samples`` gives what was known at that moment."""

    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        # The library's own habit of telling when each series was made doubles them and tells nobody anything.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self._registry = CollectorRegistry(auto_describe=False)
        self._calls = Histogram(
            CALLS, CATALOGUE[CALLS].meaning, CATALOGUE[CALLS].labels, buckets=BUCKETS, registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Derived(samples))

    def called(self, service: str, outcome: str, seconds: float) -> None:
        """Count one call. From any thread."""
        self._calls.labels(service, outcome).observe(seconds)

    def answer(self, accept: str) -> tuple[str, bytes]:
        """The type and the text of the answer to a scraper that accepts these types."""
        encoder, content_type = choose_encoder(accept)
        text: bytes = encoder(self._registry)
        return content_type, text


class _Derived(Collector):
    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for name, labels, value in self._samples():
            family = families.get(name)
            if family is None:
                about = CATALOGUE[name]
                kind = CounterMetricFamily if about.kind == "counter" else GaugeMetricFamily
                family = families[name] = kind(name, about.meaning, labels=about.labels)
            family.add_metric(labels, float(value))
        yield from families.values()
