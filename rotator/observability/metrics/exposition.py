"""Metrics in the formats of Prometheus. The only module that uses prometheus_client.

The library renders the calls and the process. The samples of applications, twenty for each, are
rendered here in the same two formats: the library takes four times as long for each sample and
holds the interpreter lock meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

import prometheus_client
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from rotator.observability.metrics.call_durations import BUCKETS, CallDurations
from rotator.observability.metrics.catalogue import CATALOGUE
from rotator.observability.metrics.collector import Sample

CALLS = "rotator_request_duration_seconds"

OPEN_METRICS = "application/openmetrics-text"
END = b"# EOF\n"
"""How a page in the OpenMetrics format ends."""


class Exposition:
    """Answers scrapes. ``samples`` returns the current samples."""

    def __init__(self, samples: Callable[[], Iterable[Sample]], calls: CallDurations) -> None:
        # The library's series of creation times would double the number of series.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Calls(calls))
        ProcessCollector(registry=self._registry)
        self._samples = samples

    def answer(self, accept: str) -> tuple[str, bytes]:
        """Content type and text for a scraper with this ``Accept`` header."""
        encoder, content_type = choose_encoder(accept)
        text: bytes = encoder(self._registry)
        if content_type.startswith(OPEN_METRICS):
            return content_type, b"".join((text.removesuffix(END), *rendered(self._samples(), open_metrics=True), END))
        return content_type, b"".join((text, *rendered(self._samples(), open_metrics=False)))


class _Calls(Collector):
    def __init__(self, calls: CallDurations) -> None:
        self._durations = calls

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(CALLS, CATALOGUE[CALLS].meaning, labels=CATALOGUE[CALLS].labels)
        bounds = (*map(str, BUCKETS), "+Inf")
        for labels, (counts, seconds) in self._durations.values().items():
            family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), seconds)
        yield family


def rendered(samples: Iterable[Sample], *, open_metrics: bool) -> Iterable[bytes | bytearray]:
    """The samples as text, one piece for each metric."""
    pages: dict[str, bytearray] = {}
    escaped: dict[str, str] = {}
    for name, labels, value in samples:
        page = pages.get(name)
        if page is None:
            page = pages[name] = bytearray(_head(name, open_metrics=open_metrics))
        for text in labels:
            if text not in escaped:
                escaped[text] = _escape(text).replace('"', '\\"')
        pairs = ",".join(
            [f'{label}="{escaped[text]}"' for label, text in zip(CATALOGUE[name].labels, labels, strict=True)]
        )
        page += f"{name}{{{pairs}}} {_number(value)}\n".encode() if pairs else f"{name} {_number(value)}\n".encode()
    return pages.values()


def _head(name: str, *, open_metrics: bool) -> bytes:
    about = CATALOGUE[name]
    family = name.removesuffix("_total") if open_metrics and about.kind == "counter" else name
    meaning = _escape(about.meaning)
    meaning = meaning.replace('"', '\\"') if open_metrics else meaning
    return f"# HELP {family} {meaning}\n# TYPE {family} {about.kind}\n".encode()


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    number = float(value)
    if number.is_integer() and abs(number) < 1_000_000:
        return f"{number:.1f}"
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]  # it has no annotations
    return text
