"""Every alert fires when its condition is real and clears when that is over, and every metric is told by a real daemon.

A real daemon with OpenBao and the stand-in of Scaleway, scraped by a real Prometheus that evaluates the rules that we ship. Only
their patience (``for``) is taken away; that is tested in tests/observability/metrics/test_rules.py. The tests are one story, in their order.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Self

import pytest
import yaml

from rotator.observability.metrics.catalogue import CATALOGUE
from rotator.sandbox.process import Process, free_port, wait_until
from rotator.vault.codec import dump_ledger, load_ledger
from tests.e2e.prometheus import RULES, Prometheus, binary
from tests.e2e.rig import FAST, POLICY, Rig

pytestmark = pytest.mark.skipif(binary() is None, reason="a real Prometheus is needed: apt-get install prometheus")

CALM = FAST.format(every="30d", grace="24h").replace('publish_timeout = "20s"', 'publish_timeout = "3s"')
MANAGEMENT = 1
"""Keys that are there beside those of applications."""

FIRED: set[str] = set()


class World:
    """Everything that runs, and what an operator or an accident does to it."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.port = free_port()
        self.log = self.rig.directory / "watched.log"
        self.process: Process | None = None
        self.text = ""

    def __enter__(self) -> Self:
        rig = self.rig.__enter__()
        # Tokens that live for seconds, so that one is seen dying.
        rig.vault.admin("POST", "auth/approle/role/rotator", {"token_policies": ["rotator"], "token_ttl": "12s"})
        rig.scaleway.configure(clock_offset=-40 * 86400.0)
        rig.application("old")
        rig.scaleway.configure(clock_offset=0.0)
        for name in ("billing", "shop"):
            rig.application(name)
        # Full from the start, so that what is overdue stays so.
        rig.scaleway.edit_organization(quota=MANAGEMENT + 3)
        self.configure(CALM)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(rig.directory / "notify"))
        threading.Thread(target=self._drain, daemon=True).start()
        self.prometheus = Prometheus(self.port).__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end(signal.SIGKILL)
        self.prometheus.__exit__(*exc)
        self.rig.__exit__(*exc)
        self.notify.shutdown(socket.SHUT_RDWR)
        self.notify.close()

    def _drain(self) -> None:
        while True:
            try:
                if not self.notify.recv(65536):
                    return
            except OSError:
                return

    def configure(self, defaults: str, more: str = "") -> None:
        # What is late is to fail at once, not at its turn within an hour; one worker is easily kept busy.
        daemon = f'workers = 1\nshare_looks = true\nstartup_spread = "0s"\n[metrics]\nlisten = "127.0.0.1:{self.port}"'
        self.rig.configure(defaults, daemon=daemon, timeout="120s", more=more)

    def start(self) -> None:
        """With a supervisor that waits for eight seconds."""
        environment = [f"NOTIFY_SOCKET={self.rig.directory / 'notify'}", "WATCHDOG_USEC=8000000"]
        command = [
            sys.executable,
            "-m",
            "rotator",
            "run",
            "--config",
            str(self.rig.configuration),
            "--log-format",
            "json",
        ]
        self.process = Process([str(shutil.which("env")), *environment, *command], self.log)

    def end(self, number: int) -> None:
        if self.process:
            self.process.end(number)

    def reload(self) -> None:
        assert self.process
        self.process.send(signal.SIGHUP)

    def room(self, quota: int) -> None:
        """Change the quota; a reload reads it at once."""
        self.rig.scaleway.edit_organization(quota=quota)
        self.reload()

    def page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def value(self, expression: str) -> float:
        found = self.prometheus.query(expression)
        return float(found[0]["value"][1]) if found else float("nan")

    def shows(self, path: str, status: int, *words: str) -> None:
        def so() -> bool:
            found, text = self.page(path)
            return found == status and all(word in text for word in words)

        wait_until(so, f"{path} answers {status} {words}")

    def counts(self, metric: str, number: int) -> None:
        wait_until(lambda: self.value(metric) >= number, f"{metric} reaches {number}")

    def fires(self, alert: str, **labels: str) -> None:
        wait_until(lambda: self.prometheus.fires(alert, **labels), f"{alert} fires")
        FIRED.add(alert)

    def clears(self, alert: str, **labels: str) -> None:
        wait_until(lambda: self.prometheus.is_clear(alert, **labels), f"{alert} clears")

    @contextmanager
    def fault(self, method: str) -> Iterator[None]:
        """The provider refuses everything of that method."""
        fault = self.rig.scaleway.faults.add("status", method=method, status=403, times=None)
        try:
            yield
        finally:
            self.rig.scaleway.faults.remove(fault.id)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as found:
        yield found


def test_a6_silence_is_an_alarm_until_a_daemon_tells_something(world: World) -> None:
    world.fires("RotatorSilent")
    world.start()
    world.clears("RotatorSilent")


def test_a5_no_room_is_an_alarm_before_and_while_it_hurts_and_so_is_what_became_past_due(world: World) -> None:
    world.fires("RotatorQuotaLow", account="acme")
    world.fires("RotatorStuck", application="old", reason="quota")
    world.fires("RotatorPastDue", application="old")
    assert world.value('rotator_overdue_seconds{application="old"}') > 9 * 86400
    assert world.rig.command("status", check=False).returncode == 5
    checked = world.rig.command("status", "--check", check=False)
    assert (checked.returncode, checked.stdout[:28]) == (2, "ROTATOR CRITICAL - overdue: ")
    world.room(100)
    world.clears("RotatorQuotaLow")
    world.clears("RotatorPastDue")
    world.clears("RotatorStuck")
    assert world.rig.command("status", "--check").stdout.startswith("ROTATOR OK - 3 applications")
    assert world.rig.command("status").returncode == 0
    assert world.value('rotator_rotations_total{application="old", mode="scheduled"}') == 1
    assert world.value('rotator_keys{application="old", state="grace"}') == 1
    assert world.value('rotator_grace_ends_timestamp_seconds{application="old"} - time()') > 23 * 3600


def test_a4_rotations_that_fail_are_an_alarm(world: World) -> None:
    with world.fault("POST"):
        world.configure(FAST.format(every="3s", grace="1s"))
        world.reload()
        world.fires("RotatorFailing", application="billing")
        world.configure(CALM)
        world.reload()
    assert world.value('sum(rotator_rotations_abandoned_total{application="billing"})') >= 1
    world.rig.command("rotate", *world.rig.bearers)
    world.clears("RotatorFailing")


def test_i3_a_compromised_key_that_cannot_be_deleted_is_an_alarm_until_it_is_dead(world: World) -> None:
    with world.fault("DELETE"):
        assert world.rig.command("rotate", "shop", "--compromised", "--reason", "a leak", check=False).returncode != 0
        world.fires("RotatorCompromisedKeyAlive", application="shop")
    world.clears("RotatorCompromisedKeyAlive")
    assert world.value('rotator_keys{application="shop", state="compromised"}') == 0


def test_b_a_document_that_a_person_deleted_is_an_alarm_with_its_reason(world: World) -> None:
    version = world.rig.document("shop")["metadata"]["version"]  # type: ignore[index]  # it is there
    world.rig.vault.admin("DELETE", "secret/data/apps/shop")
    world.fires("RotatorStuck", application="shop", reason="document_deleted")
    world.rig.vault.admin("POST", "secret/undelete/apps/shop", {"versions": [version]})
    world.clears("RotatorStuck")


def test_b_clocks_that_differ_are_an_alarm(world: World) -> None:
    world.rig.scaleway.configure(date_skew=-120.0)
    world.fires("RotatorClocksDiffer", service="acme")
    world.rig.scaleway.configure(date_skew=0.0)
    world.clears("RotatorClocksDiffer")


def test_a_hold_without_an_end_is_an_alarm_after_a_week(world: World) -> None:
    world.rig.command("hold", "shop", "--reason", "an audit")
    path = "secret/data/rotator/applications/shop"

    def a_week_ago() -> bool:
        found = world.rig.vault.admin("GET", path).data
        ledger = load_ledger(found["data"])
        assert ledger.hold is not None
        hold = replace(ledger.hold, at=ledger.hold.at - timedelta(days=8))
        body = {"data": dump_ledger(replace(ledger, hold=hold)), "options": {"cas": found["metadata"]["version"]}}
        return world.rig.vault.call("POST", path, body, token=world.rig.vault.root_token).status == 200

    wait_until(a_week_ago, "the ledger says that it was held a week ago")
    world.reload()  # applications are observed at once
    world.fires("RotatorHoldForgotten", application="shop")
    world.rig.command("resume", "shop")
    world.clears("RotatorHoldForgotten")


def test_a_configuration_that_was_refused_is_an_alarm(world: World) -> None:
    sound = world.rig.configuration.read_text()
    world.rig.configuration.write_text(sound + "\n[applications.billing.nonsense]\n")
    world.reload()
    world.fires("RotatorReloadRefused")
    world.shows("/readyz", 200, "the newer one has 1 problem and was refused")
    world.rig.configuration.write_text(sound)
    world.reload()
    world.clears("RotatorReloadRefused")


def test_b_vault_sealed_is_an_alarm_then_the_login_dies_then_nothing_is_looked_at(world: World) -> None:
    world.rig.vault.seal()
    world.fires("RotatorServiceDown", service="vault")
    world.shows("/readyz", 503, "FAILED vault: sealed")
    world.shows("/healthz", 200, "ok workers")
    world.fires("RotatorVaultTokenDying")
    world.fires("RotatorOverlooked", application="billing")
    checked = world.rig.command("status", "--check", check=False)
    assert (checked.returncode, checked.stdout[:17]) == (3, "ROTATOR UNKNOWN -")
    world.rig.vault.unseal()
    for alert in ("RotatorServiceDown", "RotatorVaultTokenDying", "RotatorOverlooked"):
        world.clears(alert)
    world.shows("/readyz", 200, "ok vault: answers")


def test_c4_a_login_that_fails_while_its_token_is_valid_is_an_alarm(world: World) -> None:
    secret_id = world.rig.directory / "secret-id"
    right = secret_id.read_text()
    secret_id.write_text("22222222-wrong-secret-id")
    world.rig.vault.policy("rotator", POLICY.replace("auth/token/renew-self", "auth/token/something-else"))
    world.fires("RotatorVaultLoginFailing")
    world.shows("/readyz", 503, "FAILED login: fails, and work stops in ")
    world.rig.vault.policy("rotator", POLICY)
    secret_id.write_text(right)
    world.clears("RotatorVaultLoginFailing")
    world.shows("/readyz", 200, "ok vault: answers")


def test_a_daemon_whose_workers_all_hang_is_an_alarm(world: World) -> None:
    world.rig.vault.pause()
    try:
        world.fires("RotatorStalled")
        world.shows("/healthz", 503, "ok loop: ", "FAILED workers: ")
    finally:
        world.rig.vault.resume()
    world.clears("RotatorStalled")
    world.shows("/healthz", 200)


def test_rotations_and_revocations_are_counted(world: World) -> None:
    world.configure(FAST.format(every="3s", grace="1s"))
    world.reload()
    world.counts('rotator_rotations_total{application="billing", mode="scheduled"}', 2)
    world.counts('rotator_keys_revoked_total{application="billing"}', 2)
    world.configure(CALM)
    world.reload()


def test_b_an_application_that_leaves_is_told_as_an_orphan_and_its_alerts_go_with_it(world: World) -> None:
    gone = world.rig.bearers.pop("old")
    world.configure(CALM)
    world.reload()
    wait_until(lambda: world.value('rotator_application_configured{application="old"}') == 0, "it shows as an orphan")
    assert world.value('rotator_keys{application="old", state="current"}') == 1
    world.rig.bearers["old"] = gone
    world.configure(CALM)
    world.reload()
    wait_until(lambda: world.value('rotator_application_configured{application="old"}') == 1, "it is back")


def test_a6_a_daemon_that_is_killed_is_an_alarm(world: World) -> None:
    world.end(signal.SIGKILL)
    world.fires("RotatorSilent", instance=f"127.0.0.1:{world.port}")
    world.start()
    world.clears("RotatorSilent")


# --- what only the whole story shows; these tests come last ---


def test_every_alert_was_seen_to_fire() -> None:
    alerts = {rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]}
    assert alerts == FIRED


def test_every_metric_was_told(world: World) -> None:
    told = world.prometheus.names()
    assert {name if metric.kind != "histogram" else f"{name}_count" for name, metric in CATALOGUE.items()} <= told


def test_a16_nothing_that_was_told_holds_a_secret_or_the_name_of_a_key(world: World) -> None:
    everything = world.prometheus.everything()
    assert len(json.loads(everything)["data"]) > 100
    everything += "".join(world.page(path)[1] for path in ("/metrics", "/healthz", "/readyz"))
    for secret in world.rig.all_secrets():
        assert secret not in everything
    for bearer in world.rig.bearers.values():
        for key in world.rig.scaleway.keys(bearer, deleted=True):
            assert key.access_key not in everything
    assert world.rig.vault.address not in everything
    assert world.rig.scaleway.url not in everything
