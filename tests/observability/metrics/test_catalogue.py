"""The catalogue holds for what the daemon tells, and docs/metrics.md for the catalogue."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.domain.ledger import Hold, RetiringKey
from rotator.domain.ports import NullEventSink
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.catalogue import CATALOGUE, table
from rotator.observability.metrics.collector import samples
from rotator.observability.metrics.counters import EventCounters
from rotator.observability.metrics.exposition import Exposition
from rotator.observability.metrics.snapshot import ApplicationSample, MetricsSnapshot, ServiceSample
from tests.observability.metrics.conftest import ROOT
from tests.observability.metrics.test_collector import of
from tests.support.simulated import EPOCH, spec

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
ABOUT = {"account": "acme", "application": "billing"}


def everything() -> dict[str, tuple[str, frozenset[str]]]:
    """Every metric of a world in which all is true at once: its kind and its labels."""
    counters = EventCounters(NullEventSink())
    counters.emit("rotation.abandoned", reason="quota", **ABOUT)
    counters.emit("pass.failed", reason="sealed", **ABOUT)
    ledger = of(retiring=(RetiringKey("SCW0", 1, EPOCH, "x"),), hold=Hold("x", "ann", EPOCH))
    billing = ApplicationSample(spec(), EPOCH, ledger, 1, 0, EPOCH, EPOCH, "quota")
    services = (ServiceSample("vault", up=True), ServiceSample("acme", up=True, headroom=1))
    hour = timedelta(hours=1)
    now = MetricsSnapshot(EPOCH + hour, True, hour, EPOCH, False, (billing,), services, (hour, hour), daemons=2)
    calls = CallDurations()
    calls.observe("vault", "2xx", 0.1)
    exposition = Exposition(lambda: samples(now, counters.counts()), calls)
    found = {}
    for family in text_string_to_metric_families(exposition.answer("")[1].decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, frozenset(label for sample in family.samples for label in sample.labels) - {"le"})
    return found


def test_what_is_told_is_in_the_catalogue_with_its_kind_and_its_labels_and_nothing_is_missing() -> None:
    assert everything() == {name: (metric.kind, frozenset(metric.labels)) for name, metric in CATALOGUE.items()}


def test_the_document_has_the_table_of_every_metric() -> None:
    assert table() in DOCUMENT, "make it with: python -m rotator.observability.metrics.catalogue"


@pytest.mark.parametrize(
    "document", ["docs/metrics.md", "config/prometheus/rotator.rules.yml", "config/grafana/rotator.json"]
)
def test_no_metric_is_named_anywhere_that_does_not_exist(document: str) -> None:
    named = set(
        re.findall(
            r"\b(?:rotator|process)_[a-z_]+_[a-z]+\b|\brotator_(?:healthy|keys)\b", (ROOT / document).read_text()
        )
    )
    known = set(CATALOGUE) | {f"rotator_request_duration_seconds_{part}" for part in ("bucket", "count", "sum")}
    assert named
    assert named <= known


def test_names_and_units_are_those_that_prometheus_recommends() -> None:
    for name, metric in CATALOGUE.items():
        assert re.fullmatch(r"(rotator|process)_[a-z_]+", name)
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert not re.search(r"_(minutes|hours|days|milliseconds|ms)\b", name), name
        assert metric.meaning.endswith("."), name


def test_no_label_can_have_more_values_than_there_are_names_and_words_of_ours() -> None:
    bounded = {
        "account",
        "application",
        "service",
        "phase",
        "reason",
        "cause",
        "mode",
        "state",
        "outcome",
        "event",
        "version",
        "python",
    }
    assert {label for metric in CATALOGUE.values() for label in metric.labels} <= bounded
