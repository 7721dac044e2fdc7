"""Data of one application that the program cannot compute with ends neither the daemon nor the work for another application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon import application_task, health_rounds
from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.engine import Engine
from rotator.daemon.main_loop import MainLoop
from rotator.decision.status import overdue_at
from rotator.domain.ledger import CompromisedKey, Hold, Intent, Ledger, RetiringKey, RevokingKey, RotationMode
from rotator.domain.secret import Secret
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from rotator.vault.codec import dump_ledger
from tests.support.daemon_stage import (
    FakeFleet,
    Recorder,
    bearer_of,
    eventually,
    main_loop,
    published,
    runtime,
    settled,
    single_run,
)
from tests.support.listener import Listener

DAY = timedelta(days=1)
LATEST = datetime.max.replace(tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC)


def current(**changes: datetime | None) -> Callable[[Ledger], Ledger]:
    def change(ledger: Ledger) -> Ledger:
        assert ledger.current
        return replace(ledger, current=replace(ledger.current, **changes))  # type: ignore[arg-type]  # only dates are named

    return change


def odd_ledgers(at: datetime) -> dict[str, Callable[[Ledger], Ledger]]:
    return {
        "created_at": current(created_at=at),
        "since": current(since=at, created_at=None),
        "expires_at": current(expires_at=at),
        "written": current(written=at),
        "not_before": lambda ledger: replace(ledger, failures=1, not_before=at),
        "retiring": lambda ledger: replace(ledger, retiring=(RetiringKey("SCWOLD", 1, at, "replaced"),)),
        "revoking": lambda ledger: replace(ledger, revoking=(RevokingKey("SCWOLD", 1, "x", True, at),)),
        "intent": lambda ledger: replace(
            ledger, intent=Intent("a" * 16, 1, "-", "x", RotationMode.SCHEDULED, "other", at)
        ),
        "compromised": lambda ledger: replace(ledger, compromised=(CompromisedKey("SCWOLD", "leak", "ann", at),)),
        "hold": lambda ledger: replace(ledger, hold=Hold("x", "ann", at)),
    }


ODD: dict[str, Callable[[Ledger], Ledger]] = {
    **{f"{name} far ahead": change for name, change in odd_ledgers(LATEST).items()},
    **{f"{name} long ago": change for name, change in odd_ledgers(EARLIEST).items()},
    "a grace of a million years": lambda ledger: replace(ledger, grace=timedelta(days=999_999_999)),
    "a negative grace": lambda ledger: replace(ledger, grace=-DAY),
}


def with_ledger(change: Callable[[Ledger], Ledger]) -> FakeFleet:
    """Two applications that are looked after, and then the ledger of one of them says something odd."""
    made = runtime("billing", "other", workers=2)
    settled("billing", made)
    single_run(made)
    for name, spec in made.applications.items():
        made.applications[name] = replace(spec, every=30 * DAY, resync_interval=timedelta(milliseconds=100))
    stage = made.stages["acme"]
    stage.append("ledger:billing", dump_ledger(change(stage.ledger("billing"))))
    made.sink = Recorder()
    return made


@contextmanager
def running(made: FakeFleet) -> Iterator[tuple[MainLoop, Listener]]:
    """A daemon whose loop checks its health all the time. It must not have ended before it is stopped."""
    signals = Signals()
    ended: list[str] = []
    with Listener() as switch, signals:
        ping = HeartbeatSettings(lambda: Secret(switch.url), every=timedelta(milliseconds=50))
        made.alarm = NotificationSettings(ping=ping)
        loop = main_loop(made, ServiceManager(), signals)

        def run() -> None:
            try:
                loop.run()
            finally:
                ended.append(signals.stop)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        eventually(lambda: len(loop.engine.tasks) == len(made.applications), "it has begun")
        try:
            yield loop, switch
            assert not ended, "the daemon has ended"
        finally:
            signals.stop = "SIGTERM"
            signals.wake()
            thread.join()


def checked_twice(loop: MainLoop) -> None:
    for _ in range(2):
        before = loop._rounds._at
        eventually(lambda before=before: loop._rounds._at != before, "the health is checked")  # type: ignore[misc]  # bound on purpose


def told(made: FakeFleet, event: str) -> list[dict[str, Any]]:
    return [fields for name, fields in list(made.sink.events) if name == event]


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_c18_a_date_beyond_all_bounds_in_a_ledger_blocks_its_application_and_nothing_else(
    change: Callable[[Ledger], Ledger],
) -> None:
    made = with_ledger(change)
    with running(made) as (loop, switch):
        eventually(
            lambda: loop.engine.tasks["billing"].summary and loop.engine.tasks["other"].last_success_at, "looked at"
        )
        checked_twice(loop)
        summary = loop.engine.tasks["billing"].summary
        assert summary
        assert summary.unreadable
        assert switch.count == 0
    assert not told(made, "pass.crashed") + told(made, "daemon.crashed")
    assert single_run(made) == 4


def test_c18_a_key_from_a_provider_with_a_far_date_is_rotated_like_any_other() -> None:
    made = runtime("billing")
    made.applications["billing"] = replace(made.applications["billing"], every=30 * DAY)
    stage = made.stages["acme"]
    key, secret = stage.make_key(
        bearer=bearer_of("billing"), created=datetime(2020, 1, 1, tzinfo=UTC), expires=datetime(9000, 1, 1, tzinfo=UTC)
    )
    stage.publish_by_hand(key.access_key, secret.reveal(), path=made.applications["billing"].path)
    assert single_run(made) == 0
    assert published(made, "billing") != key.access_key


# --- an error of the program about one application ---


def test_c18_an_error_in_judging_an_application_ends_neither_the_daemon_nor_the_work_and_is_never_called_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def judge(*_: object) -> str:
        raise OverflowError("date value out of range")

    made = with_ledger(lambda ledger: ledger)
    monkeypatch.setattr(health_rounds, "_unhealthy_reason", judge)
    with running(made) as (loop, switch):
        eventually(lambda: all(task.last_success_at for task in loop.engine.tasks.values()), "looked at")
        checked_twice(loop)
        seen = loop.engine.tasks["other"].last_reconciled_at
        eventually(lambda: loop.engine.tasks["other"].last_reconciled_at != seen, "the passes go on")
        assert switch.count == 0
    assert [fields["error"] for fields in told(made, "daemon.crashed")] == ["OverflowError"], (
        "told once, not every second"
    )


def test_c18_an_error_in_the_books_of_one_application_delays_only_its_own_next_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = overdue_at

    def broken(spec: Any, ledger: Ledger) -> datetime | None:
        if spec.application == "billing":
            raise OverflowError("date value out of range")
        return honest(spec, ledger)

    made = with_ledger(lambda ledger: ledger)
    monkeypatch.setattr(application_task, "overdue_at", broken)
    with running(made) as (loop, switch):
        eventually(
            lambda: loop.engine.tasks["billing"].crashes and loop.engine.tasks["other"].last_success_at,
            "both were begun",
        )
        checked_twice(loop)
        assert switch.count == 0
    assert {fields["application"] for fields in told(made, "pass.crashed")} == {"billing"}


def test_c18_an_error_in_dating_the_next_pass_of_an_application_loses_it_no_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = ApplicationTask.switch_runtime
    failed: list[str] = []

    def broken(self: ApplicationTask) -> bool:
        if self.name == "billing" and not failed:
            failed.append(self.name)
            raise OverflowError("date value out of range")
        return honest(self)

    made = with_ledger(lambda ledger: ledger)
    monkeypatch.setattr(ApplicationTask, "switch_runtime", broken)
    engine = Engine(made, made.sink)
    try:
        engine.start()
        eventually(lambda: told(made, "pass.crashed"), "the error is told")
        eventually(lambda: engine._schedule.has("billing"), "the pass has a date again")
    finally:
        engine.close()
