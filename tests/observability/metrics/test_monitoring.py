"""What the daemon answers, on a simulated stage: each page tells the truth, whatever happens behind it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.config import Listener
from rotator.daemon import monitoring as monitor
from rotator.daemon.services import ServiceState
from rotator.errors import Unavailable
from rotator.observability.metrics.server import MetricsResponse, MetricsServer
from rotator.sandbox.process import free_port
from tests.observability.metrics.conftest import Watched
from tests.support.daemon_stage import application, eventually, runtime

BILLING = {"account": "acme", "application": "billing"}


def test_a_working_daemon_is_alive_and_able(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    status, text = watched.ask("/healthz")
    assert (status, [line.partition(":")[0] for line in text.splitlines()]) == (200, ["ok loop", "ok workers"])
    status, text = watched.ask("/readyz")
    assert status == 200
    assert text.splitlines()[0].startswith("ok configuration: in force for ")
    assert text.splitlines()[1:] == ["ok vault: answers", "ok acme: answers"]


def test_a_loop_that_does_not_turn_is_dead_and_one_that_turns_again_is_alive(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    watched.time.ahead = monitor.WATCHDOG_LIMIT.total_seconds() + 1
    watched.engine.progressed_at += watched.time.ahead
    status, text = watched.ask("/healthz")
    assert status == 503
    assert [line.partition(":")[0] for line in text.splitlines()] == ["FAILED loop", "ok workers"]
    assert watched.value("rotator_healthy") == 0
    watched.monitor.loop_ticked()
    assert watched.ask("/healthz")[0] == 200
    assert watched.value("rotator_healthy") == 1


def test_workers_that_get_nothing_done_are_dead_although_the_loop_turns(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    watched.time.ahead = monitor.WATCHDOG_LIMIT.total_seconds() + 1
    watched.monitor.loop_ticked()
    status, text = watched.ask("/healthz")
    assert status == 503
    assert [line.partition(":")[0] for line in text.splitlines()] == ["ok loop", "FAILED workers"]
    assert (watched.value("rotator_worker_idle_seconds") or 0) > monitor.WATCHDOG_LIMIT.total_seconds()


def test_a_supervisor_with_less_patience_is_heeded(watched: Watched) -> None:
    short = monitor.Monitoring(
        watched.engine, watched.counters, watched.calls, watchdog_interval=timedelta(seconds=2), clock=watched.time
    )
    watched.time.ahead = 10
    assert [well for _, well, _ in short.health()] == [False, False]
    assert [well for _, well, _ in watched.monitor.health()] == [True, True]


def test_b_vault_sealed_is_not_ready_says_why_and_is_ready_again_when_it_is_unsealed(watched: Watched) -> None:
    watched.runtime.stages["acme"].sealed = True
    watched.start()
    eventually(lambda: watched.engine.services["vault"].state is ServiceState.DOWN)
    status, text = watched.ask("/readyz")
    assert status == 503
    assert "FAILED vault: sealed for " in text
    assert watched.value("rotator_service_up", service="vault") == 0
    assert watched.ask("/healthz")[0] == 200, "a daemon that waits for Vault is alive"
    watched.runtime.stages["acme"].sealed = False
    watched.at_rest()
    assert watched.ask("/readyz")[0] == 200
    assert watched.value("rotator_service_up", service="vault") == 1


def test_before_the_first_answer_it_is_not_ready_and_no_service_is_called_up_or_down(watched: Watched) -> None:
    watched.monitor.maintain()
    status, text = watched.ask("/readyz")
    assert status == 503
    assert "FAILED vault: no answer yet\n" in text
    assert "rotator_service_up" not in watched.scrape()


def test_a_refused_reload_is_told_but_the_daemon_is_able_by_the_old_configuration(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    watched.monitor.reloaded(2)
    status, text = watched.ask("/readyz")
    assert status == 200
    assert "; the newer one has 2 problems and was refused" in text
    assert watched.value("rotator_config_reload_refused") == 1
    before = watched.value("rotator_config_applied_timestamp_seconds")
    watched.monitor.reloaded()
    assert watched.value("rotator_config_reload_refused") == 0
    assert (watched.value("rotator_config_applied_timestamp_seconds") or 0) > (before or 0)


def test_a_stopping_daemon_is_not_ready(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    watched.monitor.stopping()
    status, text = watched.ask("/readyz")
    assert (status, text.splitlines()[-1]) == (503, "FAILED daemon: stopping")


def test_an_engine_that_never_gives_its_lock_back_delays_no_answer(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with watched.engine.lock:
            taken.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        assert [watched.ask(page)[0] for page in ("/metrics", "/readyz", "/healthz")] == [200, 200, 200]
    finally:
        release.set()
        holder.join()
    assert watched.ask("/metrics")[0] == 200


def test_a_scrape_contacts_nobody(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    calls = len(watched.runtime.stages["acme"].calls)
    for path in ("/metrics", "/healthz", "/readyz"):
        watched.ask(path)
    assert len(watched.runtime.stages["acme"].calls) == calls


def test_a16_nothing_that_is_told_holds_a_secret_or_the_name_of_a_key(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    everything = "".join(watched.ask(path)[1] for path in ("/metrics", "/healthz", "/readyz"))
    stage = watched.runtime.stages["acme"]
    assert stage.keys
    for access_key, true in stage.keys.items():
        assert access_key not in everything
        assert true.secret not in everything
    assert "secret/apps" not in everything


def test_openmetrics_is_spoken_to_whoever_asks_for_it(watched: Watched) -> None:
    watched.start()
    status, text = watched.ask("/metrics", "application/openmetrics-text; version=1.0.0")
    assert status == 200
    assert text.endswith("# EOF\n")


# --- listening ---


def test_a_port_in_use_is_said_once_and_taken_as_soon_as_it_is_free(watched: Watched) -> None:
    other = MetricsServer(watched.at, lambda path, accept: MetricsResponse(200, b"somebody else")).open()
    watched.start()
    watched.monitor.maintain()
    assert watched.sink.names().count("metrics.unavailable") == 1
    watched.at_rest()
    other.close()
    watched.monitor.maintain()
    assert watched.sink.names().count("metrics.listening") == 1
    assert watched.ask("/healthz")[0] == 200


def test_a_reload_moves_the_listener_and_a_configuration_without_one_closes_it(
    watched: Watched, tmp_path: Path
) -> None:
    watched.start()
    first = watched.at
    watched.at = watched.runtime.listen = Listener("127.0.0.1", free_port())
    watched.monitor.reloaded()
    assert watched.ask("/healthz")[0] == 200
    watched.at = first
    with pytest.raises(ConnectionRefusedError):
        watched.ask("/healthz")
    watched.runtime.listen = Listener(path=tmp_path / "metrics.sock")
    watched.monitor.reloaded()
    assert (tmp_path / "metrics.sock").exists()
    watched.runtime.listen = None
    watched.monitor.reloaded()
    assert not (tmp_path / "metrics.sock").exists()


def test_the_provider_is_asked_for_head_room_only_while_somebody_listens(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("tests.support.simulated.SimProvider.headroom", lambda provider: asked.append(provider.name))
    watched.runtime.listen = None
    watched.start()
    watched.at_rest()
    asked.clear()
    watched.monitor.maintain()
    assert asked == []
    watched.runtime.listen = watched.at
    watched.monitor.maintain()
    assert asked == ["acme"]


# --- what is told of applications ---


def test_calls_are_counted_by_service_and_outcome(watched: Watched) -> None:
    watched.start()
    watched.calls.observe("vault", "2xx", 0.003)
    watched.calls.observe("vault", "timeout", 15.0)
    assert watched.value("rotator_request_duration_seconds_count", service="vault", outcome="2xx") == 1
    assert watched.value("rotator_request_duration_seconds_sum", service="vault", outcome="timeout") == 15


def test_a_rotation_counts_and_its_key_is_told(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    assert watched.value("rotator_rotations_total", mode="scheduled", **BILLING) == 1
    assert watched.value("rotator_keys", state="current", **BILLING) == 1
    assert watched.value("rotator_live_keys", **BILLING) == 1


def test_what_was_last_known_is_told_while_vault_is_away(watched: Watched) -> None:
    watched.start()
    watched.at_rest()
    watched.runtime.stages["acme"].sealed = True
    with watched.engine.lock:
        watched.engine._schedule_task(watched.engine.tasks["billing"], datetime.now(UTC))
    eventually(lambda: watched.value("rotator_service_up", service="vault") == 0)
    assert watched.value("rotator_keys", state="current", **BILLING) == 1
    assert watched.value("rotator_reconcile_errors_total", cause="sealed", **BILLING) == 1
    assert "rotator_application_problem" not in watched.scrape(), "it is Vault that is in trouble"
    assert (watched.value("rotator_last_reconcile_timestamp_seconds", **BILLING) or 0) > 0


def test_b_an_application_that_leaves_is_told_as_an_orphan_until_its_keys_are_gone(watched: Watched) -> None:
    watched.runtime.applications["reports"] = application("reports", resync_interval=timedelta(seconds=1))
    watched.start()
    watched.at_rest()
    fresh = runtime("billing", listen=watched.at)
    fresh.stages = watched.runtime.stages
    with watched.engine.lock:
        watched.engine.apply_runtime(fresh)
        [left] = [one for one in watched.monitor.snapshot().applications if not one.spec.configured]
    assert left.spec.application == "reports"
    eventually(lambda: watched.value("rotator_application_configured", account="acme", application="reports") is None)
    names = {labels for values in watched.scrape().values() for labels in values}
    assert not [labels for labels in names if ("application", "reports") in labels]


def test_an_account_without_room_says_so(watched: Watched) -> None:
    watched.runtime.stages["acme"].quota = 3
    watched.start()
    watched.at_rest()
    watched.monitor.maintain()
    assert watched.value("rotator_quota_headroom_keys", account="acme") == 1


def test_a_provider_that_will_not_tell_its_room_is_not_told_of(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: object) -> int:
        raise Unavailable("away", service="acme", kind="timeout")

    watched.start()
    watched.at_rest()
    monkeypatch.setattr("tests.support.simulated.SimProvider.headroom", away)
    watched.monitor.maintain()
    assert "rotator_quota_headroom_keys" not in watched.scrape()


def test_what_was_closed_is_not_opened_again_by_a_chore_that_was_on_its_way(watched: Watched) -> None:
    watched.start()
    watched.monitor.close()
    watched.monitor.maintain()
    with pytest.raises(ConnectionRefusedError):
        watched.ask("/healthz")
