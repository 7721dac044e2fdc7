"""Speed, as ratios in one run: ``make bench`` (about ten minutes), or ``python -m tests.bench commands calls fleet emergency leak breach idle shared``.

Everything is measured on the sandbox, once with the latencies that were recorded from the real API and once with none. What is
compared stands beside it and was measured in the same run on the same machine, because only ratios travel.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from rotator.app import AppRuntime, open_runtime
from rotator.decision.observation import RotationRequest
from rotator.reconciler.context import LocalState
from rotator.reconciler.runner import drive, reconcile
from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import REAL_LATENCY
from tests.bench.before import COMMIT, commit_before, program, with_former_names
from tests.bench.idle import idle, shared
from tests.bench.script import rotate_by_script
from tests.bench.stand import NO_LATENCY, ONE_SUCCESS, Bench, adopted, bench, processor_seconds, row, say
from tests.e2e.breach import prepare
from tests.e2e.rig import Daemon

# --- commands -------------------------------------------------------------------------------------------------------------


def commands(runs: int = 15) -> None:
    """Processor time of commands in multiples of that of a Python that does nothing. The commands take turns with it."""
    say("processor time of a command, in multiples of that of python -c pass (medians)")
    rotator = (str(Path(sys.executable).with_name("rotator")),)
    _say_commands(rotator, runs, aims=True)
    with commit_before() as tree:
        if tree is None:
            say(f"  (no history here: {COMMIT} is not measured beside it)")
        else:
            _say_commands((sys.executable, *program(tree)), 5, tree)


def _say_commands(rotator: tuple[str, ...], runs: int, tree: Path | None = None, *, aims: bool = False) -> None:
    with bench() as rig:
        names = rig.fleet(2, "commands")
        rig.set_up('every = "1000d"\ngrace = "1h"', names)
        with rig.configuration.open("a") as file:
            file.write(f'[control]\ndirectory = "{rig.directory}"\n')
        if tree is not None:
            rig.configuration.write_text(with_former_names(rig.configuration.read_text()))
        daemon = rig.daemon(program=program(tree)) if tree else rig.daemon()
        wait_until(
            lambda: adopted(daemon.log) >= len(names) and daemon.said("daemon.ready"),
            "the daemon has taken over all of them and its sockets are open",
        )
        measured: dict[tuple[str, ...], list[float]] = {}
        for _ in range(runs):
            for words in (
                (sys.executable, "-c", "pass"),
                (*rotator, "--version"),
                (*rotator, "--help"),
                (*rotator, "status"),
            ):
                measured.setdefault(words, []).append(_command_seconds(words, rig.configuration))
        bare, *others = ((words[-1], statistics.median(seconds)) for words, seconds in measured.items())
        for name, seconds in others:
            aim = {"--version": "4 x", "status": "7 x"}.get(name, "") if aims else ""
            of = f" of {COMMIT}" if tree else ""
            row(f"rotator {name}{of} ({seconds * 1000:.0f} ms)", f"{seconds / bare[1]:.1f} x", aim)


def _command_seconds(words: tuple[str, ...], configuration: Path) -> float:
    """Processor seconds of one run of the command."""
    environment = {**os.environ, "ROTATOR_CONFIG": str(configuration)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime


# --- calls ----------------------------------------------------------------------------------------------------------------


def calls() -> None:
    """Provider and Vault calls in the whole life of a rotation, from its claim to the verified revocation of the old key."""
    say("calls in the whole life of one rotation (observations that found nothing to do are not part of it)")
    with bench() as rig:
        for successes, aim in ((3, ""), (2, ""), (1, "")):
            name = rig.fleet(1, f"calls{successes}")[0]
            rig.set_up(
                f'every = "30d"\ngrace = "1s"\nverification = {{ successes = {successes}, interval = "100ms", timeout = "30s" }}',
                [name],
            )
            app = open_runtime(rig.configuration)
            spec, memory = app.spec(name), LocalState()
            world = app.context(spec)
            rest = drive(reconcile(spec, world, memory), _sleep)  # logs in, adopts, and as the key is old, rotates once
            _end_grace(app, name, memory)
            provider_before, vault_before = rig.scaleway.calls(), dict(app.vault.calls())
            drive(
                reconcile(
                    spec, world, memory, RotationRequest("bench", rest.document.published if rest.document else None)
                ),
                _sleep,
            )
            _end_grace(app, name, memory)
            provider = rig.scaleway.calls() - provider_before
            headroom = sum(count for (_, route), count in provider.items() if "quota" in route)
            vault = {kind: count - vault_before.get(kind, 0) for kind, count in app.vault.calls().items()}
            vault["read"] -= 1  # our own look at the deadline
            total = sum(provider.values()) - headroom
            shown = "default" if successes == 3 else f"{successes} in a row"
            row(f"provider calls, proofs of {successes} ({shown})", f"{total}", "9" if successes == 2 else aim)
            row("Vault calls", f"{sum(vault.values())}", "13")
            row(
                "  of the provider",
                ", ".join(
                    f"{count} {method} {route.rsplit('/', 1)[-1]}"
                    for (method, route), count in sorted(provider.items())
                ),
            )
            row("  of Vault", ", ".join(f"{count} {kind}" for kind, count in sorted(vault.items()) if count))
            app.close()


def _sleep(until: Any) -> None:
    time.sleep(max(0.0, until.timestamp() - time.time()))


def _end_grace(app: AppRuntime, name: str, memory: LocalState) -> None:
    """Wait until the grace is over, look once, and see the old key dead."""
    spec = app.spec(name)
    ledger, _ = app.vault.read_ledger(name)
    assert ledger is not None
    if ledger.retiring:
        _sleep(max(entry.revoke_after for entry in ledger.retiring))
        time.sleep(1.2)  # the Date headers have whole seconds, and the slowest clock counts
    outcome = drive(reconcile(spec, app.context(spec), memory), _sleep)
    assert outcome.ledger is not None
    assert not outcome.ledger.retiring, outcome
    assert not outcome.ledger.revoking, outcome


# --- a fleet --------------------------------------------------------------------------------------------------------------


def fleet(count: int = 200) -> None:
    """Rotations a second of a fleet, against the script that one would write instead, and the processor time of each."""
    say(f"a fleet of {count}, every key due at once; the script is the official SDK and hvac, one after the other")
    with commit_before() as tree:
        if tree is None:
            say(f"  (no history here: {COMMIT} is not measured beside it)")
        for latencies, label, aim in ((REAL_LATENCY, "real latencies", "16 x"), (NO_LATENCY, "no latency", "0.3 x")):
            with bench() as rig:
                rig.scaleway.configure(**latencies)
                script, script_cost = _script(rig)
                row(f"script, {label} (its processor: {script_cost * 1000:.1f} ms a rotation)", f"{script:.1f} /s")
                rate, cost = _fleet(rig, count)
                row(f"rotator, {label}: claimed, verified, published, old key verified as revoked", f"{rate:.1f} /s")
                row("rotator against the script", f"{rate / script:.1f} x", aim)
                row("processor of the daemon for each rotation", f"{cost * 1000:.1f} ms", "12 ms")
                row("against that of the script", f"{cost / script_cost:.1f} x", "2.5 x")
            if tree is not None:
                with bench() as rig:
                    rig.scaleway.configure(**latencies)
                    rate, cost = _fleet(rig, count, tree)
                    row(f"the same of {COMMIT}: rotations; processor for each", f"{rate:.1f} /s; {cost * 1000:.1f} ms")


def _script(rig: Bench, count: int = 20) -> tuple[float, float]:
    """Rotations a second of the script, and its processor seconds for each."""
    some = rig.fleet(count, "script")
    began, used = time.monotonic(), time.process_time()
    for name in some:
        rotate_by_script(rig, name)
    return count / (time.monotonic() - began), (time.process_time() - used) / count


def _fleet(rig: Bench, count: int, tree: Path | None = None) -> tuple[float, float]:
    """Rotations a second of a fleet, and the daemon's processor seconds for each, its start and the adoption included."""
    names = rig.fleet(count)
    rig.set_up(f'every = "30d"\ngrace = "1s"\nresync_interval = "1h"\n{ONE_SUCCESS}', names)
    if tree is not None:
        rig.configuration.write_text(with_former_names(rig.configuration.read_text()))
    daemon = rig.daemon(program=program(tree)) if tree else rig.daemon()
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    wait_until(lambda: _revoked(daemon.log) >= count, "every old key is verified as revoked", timeout=600)
    pid = daemon.pid
    assert pid
    cost = processor_seconds(pid) / count
    moments = [
        _moment(line) for line in daemon.events() if line["event"] in {"rotation.claimed", "key.revoked", "key.dead"}
    ]
    daemon.end()
    return count / (max(moments) - min(moments)), cost


def _revoked(log: Path) -> int:
    text = log.read_bytes() if log.exists() else b""
    return text.count(b'"key.revoked"') + text.count(b'"key.dead"')  # the former name


def _moment(line: dict[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


# --- an emergency ---------------------------------------------------------------------------------------------------------


def emergency() -> None:
    """From ``rotate --compromised`` to proven death, as multiples of the bare sum of create, write and delete."""
    say("rotate --compromised, proofs of one success")
    for latencies, label in ((REAL_LATENCY, "real latencies"), (NO_LATENCY, "no latency")):
        with bench() as rig:
            rig.scaleway.configure(**latencies)
            names = rig.fleet(6, "leak")
            rig.set_up(f'every = "1000d"\ngrace = "1h"\n{ONE_SUCCESS}', names)
            _say_emergencies(rig, names, label)


def _say_emergencies(rig: Bench, names: list[str], label: str, *options: str, aims: bool = False) -> None:
    """Rotate all but the first of these as compromised, one after the other, and say how long their old keys lived on."""
    bare = min(_bare_sum(rig, names[0]) for _ in range(3))
    from_command, from_mark = [], []
    for name in names[1:]:
        began = time.time()
        rig.command("rotate", name, "--compromised", "--reason", "bench", *options)
        incident = rig.ledger(name)["incidents"][-1]
        dead, marked = (datetime.fromisoformat(incident[what]).timestamp() for what in ("closed_at", "opened_at"))
        from_command.append(dead - began)
        from_mark.append(dead - marked)
    row(f"create + write + delete, {label}", f"{bare * 1000:.0f} ms")
    for what, found, aim in (
        ("the start of the command", from_command, "2.5 x"),
        ("the mark", from_mark, "1.9 x"),
    ):
        middle = sorted(found)[len(found) // 2]
        row(f"verified as revoked, from {what} ({middle * 1000:.0f} ms)", f"{middle / bare:.1f} x", aim if aims else "")


def _bare_sum(rig: Bench, name: str) -> float:
    began = time.monotonic()
    rotate_by_script(rig, name)
    return time.monotonic() - began


# --- an emergency beside a fleet --------------------------------------------------------------------------------------------


def leak(count: int = 1000) -> None:
    """The same for a leaked key of one of many applications that a daemon has taken over, while a mass rotation of the others runs."""
    say(
        f"rotate --compromised beside a daemon and a rotation of its {count} other applications, real latencies, proofs of one success"
    )
    with bench() as rig:
        rig.scaleway.configure(**REAL_LATENCY)
        leaked, others = rig.fleet(16, "leak"), rig.fleet(count)
        rig.set_up(
            f'every = "1000d"\ngrace = "1h"\nresync_interval = "1h"\n{ONE_SUCCESS}', [*leaked, *others], rate_limit=50
        )
        with rig.configuration.open("a") as file:
            file.write(f'[control]\ndirectory = "{rig.directory}"\n')
        daemon = rig.daemon()
        wait_until(
            lambda: adopted(daemon.log) >= len(leaked) + count, "the daemon has taken over all of them", timeout=600
        )
        beside = Daemon(rig, "beside", rig.configuration, arguments=("rotate", "--match", "app-*", "--json")).start()
        rig.daemons.append(beside)
        published = {name: rig.published(name) for name in others[: count // 50]}
        wait_until(
            lambda: any(rig.published(name) != key for name, key in published.items()),
            "the fleet is on its way",
            timeout=300,
        )
        _say_emergencies(rig, leaked[:8], "beside the fleet, through the daemon", aims=True)
        _say_emergencies(rig, leaked[8:], "beside the fleet, without the daemon", "--direct")
        row("the fleet rotation was still running", "yes" if beside.alive() else "no", "yes")


def breach(count: int = 1000, quota: int = 1020, rate: float = 200.0) -> None:
    """Every key of an organisation with little room is compromised, answers go wrong, and whoever carries it out is killed."""
    say(
        f"{count} applications, all compromised, a quota of {quota} keys, 429 and 500 and lost answers, one kill -9 in the middle"
    )
    for ordered, who in (
        (True, "the daemon acts, by order of a command"),
        (False, "the command acts, beside a daemon"),
    ):
        with Bench() as rig:
            found = prepare(rig, count, quota, rate, ordered=ordered)
            found.settle(resync_interval="60s")
            found.misbehave(0.05)
            found.run(kill_at=count // 2)
            found.check()
            say(f"  {who}:")
            row("coverage proof empty, invariants hold, quota errors seen", "0")
            row(
                f"rotations a second, kill and resume included ({found.seconds:.0f} s in all)",
                f"{count / found.seconds:.1f} /s",
            )
            row(f"of what {rate:g} calls a second would allow if no call was in vain", f"{found.ratio:.2f} x")
            row(f"calls a second, of {rate:g} that are let through", f"{found.calls / found.seconds:.0f} /s")


PARTS: dict[str, Callable[[], None]] = {
    "commands": commands,
    "calls": calls,
    "fleet": fleet,
    "emergency": emergency,
    "leak": leak,
    "breach": breach,
    "idle": idle,
    "shared": shared,
}


def main() -> None:
    """Run the parts named, or all of them."""
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()
        say()


if __name__ == "__main__":
    main()
