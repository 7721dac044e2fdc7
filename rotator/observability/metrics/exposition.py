"""Metrics as Prometheus reads them. The one place that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from rotator.observability.metrics.call_durations import BUCKETS, CallDurations
from rotator.observability.metrics.catalogue import CATALOGUE
from rotator.observability.metrics.collector import Sample

CALLS = "rotator_request_duration_seconds"


class Exposition:
    """What a scrape is answered. ``samples`` gives what was known at that moment."""

    def __init__(self, samples: Callable[[], Iterable[Sample]], calls: CallDurations) -> None:
        # The library's series of creation times double the number of series and are of no use here.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Calls(calls))
        ProcessCollector(registry=self._registry)
        self._registry.register(_Derived(samples))

    def answer(self, accept: str) -> tuple[str, bytes]:
        """The type and the text of the answer to a scraper that accepts these types."""
        encoder, content_type = choose_encoder(accept)
        text: bytes = encoder(self._registry)
        return content_type, text


class _Calls(Collector):
    def __init__(self, calls: CallDurations) -> None:
        self._durations = calls

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(CALLS, CATALOGUE[CALLS].meaning, labels=CATALOGUE[CALLS].labels)
        bounds = (*map(str, BUCKETS), "+Inf")
        for labels, (counts, seconds) in self._durations.values().items():
            family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), seconds)
        yield family


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
