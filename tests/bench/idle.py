"""A daemon with very many applications for which nothing is due: its start, its memory, and its share of a core.

Shares are processor time of the daemon alone, so they say the same on a machine with other work. Three starts are measured: one that
adopts every application, one that finds a ledger of each, and one that finds full histories in some of them.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rotator.domain.ledger import HISTORY_LIMIT, INCIDENT_LIMIT, HistoryEntry, Incident
from rotator.sandbox.process import free_port, wait_until
from rotator.vault.budget import reduced_ledgers
from rotator.vault.codec import load_ledger
from tests.bench.stand import Bench, adopted, bench, memory, processor_seconds, row, say
from tests.e2e.rig import Daemon

SHARED_RESYNC = 60
"""The same where daemons share their looks, or it would take an hour."""

IDLE_SECONDS = 40
FULL_HISTORIES = 1000


@dataclass(frozen=True)
class Start:
    """What one start of the daemon took until every application was observed once."""

    ready: float
    ready_processor: float
    processor: float
    vault_calls: float
    provider_calls: float
    memory: int


def idle(counts: tuple[int, ...] = (1000, 10_000)) -> None:
    """Processor time and memory of a daemon with many applications for which nothing is due; time to READY."""
    measured = [_idle(count) for count in counts]
    for (small, a), (large, b) in itertools.pairwise(measured):
        row(
            f"processor of a second start, {small:,} to {large:,}",
            f"{b.processor / a.processor:.1f} x",
            f"{large / small:g} x",
        )
        row(f"memory, {small:,} to {large:,}", f"{b.memory / a.memory:.1f} x", f"{large / small:g} x")


def _idle(count: int) -> tuple[int, Start]:
    say(f"a daemon with {count:,} idle applications (observed every 15 minutes, the default)")
    with bench() as rig:
        names, port = rig.fleet(count, "idle"), free_port()
        rig.set_up('every = "1000d"\ngrace = "24h"\n', names, daemon='startup_spread = "1h"')
        with rig.configuration.open("a") as file:
            file.write(f'[control]\ndirectory = "{rig.directory}"\n[metrics]\nlisten = "127.0.0.1:{port}"\n')
        daemon, first = _start(rig, "first", count, port)
        row("time to READY, every application new", f"{first.ready:.1f} s", "3 s")
        row("processor for the adoption of one", f"{first.processor / count * 1000:.1f} ms")
        row("calls for it: Vault, provider", f"{first.vault_calls / count:.1f}, {first.provider_calls / count:.1f}")
        daemon.end(signal.SIGTERM)
        daemon, second = _start(rig, "second", count, port)
        row("time to READY, every application known", f"{second.ready:.1f} s", "3 s")
        row("processor until READY", f"{second.ready_processor:.1f} s")
        row("processor for the first look at one", f"{second.processor / count * 1000:.1f} ms", "11 ms before")
        row("calls for it: Vault, provider", f"{second.vault_calls / count:.1f}, {second.provider_calls / count:.1f}")
        row("memory (resident)", f"{second.memory / 2**20:.0f} MiB", "150 MiB")
        share = _share(daemon)
        row("processor with one look at each in 15 minutes, of one core", f"{share:.2f} %", f"{6 * count / 10_000:g} %")
        _say_answers(rig, daemon, port)
        daemon.end(signal.SIGTERM)
        several = names[:FULL_HISTORIES]
        with ThreadPoolExecutor(4) as many:
            list(many.map(lambda name: _fill(rig, name), several))
        text = rig.configuration.read_text().replace("[defaults]\n", '[defaults]\nresync_interval = "1d"\n')
        rig.configuration.write_text(text)
        daemon, third = _start(rig, "third", count, port)
        growth = (third.memory - second.memory) / len(several)
        row(f"memory for each full history ({len(several):,} of them)", f"{growth / 1000:.1f} kB")
        row("memory with them", f"{third.memory / 2**20:.0f} MiB", "150 MiB")
        row("processor between the looks (one a day), of one core", f"{_share(daemon):.2f} %", "1 %")
        daemon.end(signal.SIGTERM)
        return count, second


def shared(count: int = 1000, daemons: int = 3) -> None:
    """Looks of several daemons that share them, in sum and against one: with a short interval and quick presences."""
    say(f"{daemons} daemons that share their looks at {count:,} idle applications (every {SHARED_RESYNC} s)")
    with bench() as rig:
        names = rig.fleet(count, "shared")
        defaults = f'every = "1000d"\ngrace = "24h"\nresync_interval = "{SHARED_RESYNC}s"\n'
        rig.set_up(defaults, names, daemon='startup_spread = "1h"\nshare_looks = true')
        running: list[Daemon] = []
        one = 0.0
        for number in range(daemons):
            running.append(rig.daemon(f"shares-{number}", program=("-m", "tests.support.quick_presence")))
            wait_until(lambda: running[-1].said("daemon.ready"), "the daemon is ready")
            if number not in (0, daemons - 1):
                continue
            wait_until(lambda: _sharing(rig, count, number + 1), "all look at their shares", timeout=1200)  # noqa: B023  # at once
            time.sleep(SHARED_RESYNC)
            before, used, began = _listed(rig), _used(running), time.monotonic()
            time.sleep(2 * SHARED_RESYNC)
            looks, seconds = _listed(rig) - before, time.monotonic() - began
            each = looks / count / (seconds / SHARED_RESYNC)
            one = one or each
            row(f"looks at each in an interval, {number + 1} daemons", f"{each:.2f}", f"{one:.2f}")
            row("processor of all of them, of one core", f"{(_used(running) - used) / seconds * 100:.1f} %")
        for daemon in running:
            daemon.end(signal.SIGTERM)


def _used(daemons: list[Daemon]) -> float:
    return sum(processor_seconds(daemon.pid) for daemon in daemons if daemon.pid)


def _sharing(rig: Bench, count: int, daemons: int) -> bool:
    """Whether so many daemons say that they can look at everything, and the last of them has seen everything once."""
    time.sleep(1)
    found = []
    for place in range(1, daemons + 1):
        answer = rig.vault.call("GET", f"secret/data/rotator/daemons/{place}", token=rig.vault.root_token)
        said = answer.data["data"] if answer.status == 200 else {}
        found.append(said.get("accounts") == ["acme"] and said.get("failing") == [])
    return all(found) and _listed(rig) >= count * daemons


def _start(rig: Bench, name: str, count: int, port: int) -> tuple[Daemon, Start]:
    """Start a daemon and wait until it has observed every application."""
    rig.scaleway.reset_calls()
    began = time.monotonic()
    daemon = rig.daemon(name)
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    ready, pid = time.monotonic() - began, daemon.pid
    assert pid
    ready_processor = processor_seconds(pid)
    wait_until(lambda: _listed(rig) >= count, "every application was looked at", timeout=1800)
    time.sleep(3)  # the last of them are decided
    if name == "first":
        wait_until(lambda: adopted(daemon.log) >= count, "every application was adopted", timeout=900)
    used = processor_seconds(pid)
    resident = memory(pid)
    vault, provider = _requests(port)
    return daemon, Start(ready, ready_processor, used, vault, provider, resident)


def _listed(rig: Bench) -> int:
    """How often keys were listed."""
    time.sleep(0.5)
    return sum(
        n for (method, route), n in rig.scaleway.calls().items() if method == "GET" and route.endswith("api-keys")
    )


def _scrape(port: int) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    return answer.status, answer.read()


def _page(port: int) -> str:
    """A whole page of metrics; the daemon hangs up on one that takes it more than ten seconds beside other work."""
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return _scrape(port)[1].decode()
        time.sleep(5)


def _requests(port: int) -> tuple[float, float]:
    """How many requests the daemon has sent to Vault and to the provider, as its metrics say."""
    vault = provider = 0.0
    for line in _page(port).splitlines():
        if line.startswith("rotator_request_duration_seconds_count"):
            value = float(line.rpartition(" ")[2])
            vault, provider = (vault + value, provider) if 'service="vault"' in line else (vault, provider + value)
    return vault, provider


def _share(daemon: Daemon) -> float:
    """What the daemon takes of one core, in per cent, with the looks that fall into the time."""
    pid = daemon.pid
    assert pid
    before, at = processor_seconds(pid), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (processor_seconds(pid) - before) / (time.monotonic() - at) * 100


def _say_answers(rig: Bench, daemon: Daemon, port: int) -> None:
    """How long a status and a scrape take, and what they cost the daemon."""
    pid = daemon.pid
    assert pid
    command = [sys.executable, "-m", "rotator", "status", "--json", "--config", str(rig.configuration)]
    before, began = processor_seconds(pid), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    seconds, mine = time.monotonic() - began, processor_seconds(pid) - before
    row(
        f"status --json (processor: client {used.ru_utime + used.ru_stime:.2f} s, daemon {mine:.2f} s)",
        f"{seconds:.1f} s",
        "2 s",
    )
    before, began = processor_seconds(pid), time.monotonic()
    _, body = _scrape(port)
    seconds, mine = time.monotonic() - began, processor_seconds(pid) - before
    row(f"a scrape of /metrics ({len(body) / 2**20:.1f} MiB, processor {mine:.2f} s)", f"{seconds:.1f} s", "2 s")


def _fill(rig: Bench, name: str) -> None:
    """Give the ledger of an application all the past that it keeps."""
    answer = rig.vault.call("GET", f"secret/data/rotator/applications/{name}", token=rig.vault.root_token)
    ledger, then = load_ledger(answer.data["data"], name), datetime(2026, 1, 1, tzinfo=UTC)
    entry = HistoryEntry(
        then, "revoked", "SCWAAAAAAAAAAAAAAAAA", 3, "0123456789abcdef", "scheduled, at the end of its grace"
    )
    incident = Incident("1", then, "leaked", "root", ("SCWAAAAAAAAAAAAAAAAA",), then + timedelta(minutes=1))
    full = replace(ledger, history=(entry,) * HISTORY_LIMIT, incidents=(incident,) * INCIDENT_LIMIT)
    rig.vault.admin("POST", f"secret/data/rotator/applications/{name}", {"data": next(reduced_ledgers(full))})
