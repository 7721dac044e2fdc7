"""A login to Vault that fails while its token still lives is told at once, on every channel (hazard C4)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from rotator.daemon.health_rounds import UnhealthyReason, unhealthy_reason
from rotator.daemon.login_watch import LoginWatch
from rotator.domain.login import LoginProblem
from rotator.observability.notifications.digest import Digest
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from tests.daemon.test_unhealthy import task, vault
from tests.observability.metrics.conftest import Watched
from tests.support.daemon_stage import Recorder, eventually, main_loop, runtime

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
PROBLEM = LoginProblem("Vault refuses the AppRole login with the secret id of file:secret-id", timedelta(days=16))


def test_c4_a_failing_login_is_an_event_with_the_date_on_which_work_stops_and_so_is_its_end() -> None:
    sink = Recorder()
    watch = LoginWatch(sink)
    watch.look(None, NOW)
    for _ in range(3):
        watch.look(PROBLEM, NOW)
    assert sink.events == [
        ("login.failing", {"service": "vault", "message": PROBLEM.message, "until": NOW + timedelta(days=16)})
    ]
    assert "work stops at 2026-12-14 12:00" in watch.remark
    watch.look(None, NOW)
    watch.look(None, NOW)
    assert sink.events[1:] == [("login.recovered", {"service": "vault"})]
    assert watch.remark == ""


def test_c4_a_failing_login_stops_the_heartbeat() -> None:
    assert unhealthy_reason([task()], [vault()], NOW, login=PROBLEM) == UnhealthyReason("login_failing", "vault")


def test_c4_a_failing_login_is_a_metric_and_a_cause_of_not_being_ready() -> None:
    watched = Watched(runtime("billing"))
    try:
        watched.start()
        watched.at_rest()
        assert watched.value("rotator_vault_login_failing") == 0
        assert watched.ask("/readyz")[0] == 200
        watched.runtime.login_failure = PROBLEM
        assert watched.value("rotator_vault_login_failing") == 1
        status, text = watched.ask("/readyz")
        assert status == 503
        assert "FAILED login: fails, and work stops in 16d" in text
    finally:
        watched.close()


def test_c4_people_hear_of_a_failing_login_and_of_its_end() -> None:
    digest = Digest()
    digest.note("login.failing", {"service": "vault", "message": PROBLEM.message, "until": NOW}, 0.0)
    message = digest.take(1000.0)
    assert message is not None
    assert "the login fails while its token is still valid" in message.body
    digest.note("login.recovered", {"service": "vault"}, 2000.0)
    again = digest.take(3000.0)
    assert again is not None
    assert "the login works again" in again.body


def test_c4_the_daemon_looks_at_its_login_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.daemon.main_loop.MAINTENANCE_INTERVAL", timedelta(milliseconds=50))
    made = runtime("billing")
    sink = made.sink
    signals = Signals()
    with signals:
        daemon = main_loop(made, ServiceManager(), signals)
        thread = threading.Thread(target=daemon.run, daemon=True)
        thread.start()
        eventually(lambda: made.tended > 0)
        made.login_failure = PROBLEM
        eventually(lambda: any(event == "login.failing" for event, _ in sink.events))
        made.login_failure = None
        eventually(lambda: any(event == "login.recovered" for event, _ in sink.events))
        signals.stop = "SIGTERM"
        signals.wake()
        thread.join(30)
