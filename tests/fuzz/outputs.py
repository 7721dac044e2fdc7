"""Hostile values on their way out: log lines, entries of the journal, metrics, messages."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from functools import cache
from random import Random

from prometheus_client.parser import text_string_to_metric_families

from rotator.domain.ports import NullEventSink
from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.observability.events import CATALOGUE
from rotator.observability.log_fields import FORMATS
from rotator.observability.logs import LogSink
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.collector import samples
from rotator.observability.metrics.counters import EventCounters
from rotator.observability.metrics.exposition import Exposition
from rotator.observability.metrics.snapshot import ApplicationSample, MetricsSnapshot, ServiceSample
from rotator.observability.notifications.digest import TOPICS, Digest
from rotator.system.journald import entry
from rotator.vault.codec import load_ledger
from tests.fuzz.hostile import SECRET, plain, string
from tests.fuzz.services import LEDGER, secret
from tests.fuzz.worlds import MAY_ACT, SPEC, stored
from tests.vault.test_codec import NOW

FIELDS = [
    "application",
    "account",
    "access_key",
    "reason",
    "message",
    "kind",
    "rotation_id",
    "mode",
    "at",
    "service",
    "detail",
]


@cache
def sinks() -> tuple[tuple[LogSink, int], ...]:
    """A log of each form and where its lines can be read."""
    made = []
    for form in FORMATS[:2]:
        file = os.memfd_create(form, os.MFD_CLOEXEC)
        made.append((LogSink(form, descriptor=file, level="debug"), file))
    return tuple(made)


def log(rng: Random) -> None:
    """An event with any values is one line: of JSON with escapes only, or one that no terminal obeys."""
    fields = {rng.choice(FIELDS): plain(rng) for _ in range(rng.randint(1, 4))}
    fields["secret"] = Secret(SECRET)
    fields["of_it"] = f"Bearer {secret().reveal()} {string(rng)}"
    event = rng.choice(list(CATALOGUE))
    (structured, end), (console, terminal) = sinks()
    structured.emit(event, **fields)
    raw = read(end)
    line = raw.decode()
    assert line.count("\n") == 1
    assert line.isascii()
    assert SECRET not in line
    found = json.loads(line)
    assert found["event"] == event
    for name, text in entry(found).items():
        assert re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name), name
        text.encode()
    console.emit(event, **fields)
    shown = read(terminal).decode()
    assert not MAY_ACT.search(shown), ascii(MAY_ACT.findall(shown))
    assert SECRET not in shown
    assert shown.count("\n") <= 1


def read(file: int) -> bytes:
    """What was written, which is then forgotten."""
    found = os.pread(file, os.fstat(file).st_size, 0)
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    return found


def metrics(rng: Random) -> None:
    """Whatever is known, the answer to a scrape can be parsed, and holds no sentence of others."""
    ledger = None
    if (data := stored(rng, LEDGER)) is not None:
        try:
            ledger = load_ledger(data, "billing")
        except RotatorError:
            ledger = None
    counters = EventCounters(NullEventSink())
    for _ in range(3):
        counters.emit(
            rng.choice(list(CATALOGUE)),
            application=SPEC.application,
            account=SPEC.account,
            reason=plain(rng),
            mode=plain(rng),
        )
    application = ApplicationSample(
        SPEC, NOW, ledger, keys=rng.choice((None, 0, 3)), problem=string(rng), last_reconciled_at=NOW
    )
    service = ServiceSample(
        "vault", rng.choice((None, True, False)), timedelta(days=rng.choice((0, 10**6))), rng.choice((None, 0, 2**53))
    )
    snapshot = MetricsSnapshot(
        NOW, True, timedelta(0), NOW, False, (application,), (service,), (timedelta(days=1), timedelta(days=9))
    )
    exposition = Exposition(lambda: samples(snapshot, counters.counts()), CallDurations())
    for accept in ("", string(rng).encode(errors="replace").decode(), "application/openmetrics-text; version=1.0.0"):
        _, text = exposition.answer(accept)
    families = list(text_string_to_metric_families(exposition.answer("")[1].decode()))
    assert families
    assert SECRET not in text.decode()


def notification(rng: Random) -> None:
    """A message is made of fixed sentences, names and identifiers: whatever an event carries, no other text is in it."""
    digest, names = Digest(), list[object]()
    for _ in range(rng.randint(1, 4)):
        event = rng.choice(list(TOPICS))
        fields = {name: plain(rng) for name in (*FIELDS, "subject")}
        names += [fields[name] for name in ("application", "service", "subject", "reason", "kind")]
        digest.note(event, fields | {"message": SECRET}, 1.0)
    digest.ready_at()
    if message := digest.take(100.0):
        assert not MAY_ACT.search(message.body)
        assert SECRET not in message.body or SECRET in str(names)
        assert not MAY_ACT.search(message.title)
        assert "\n" not in message.title
        assert len(message.body) < 10_000
