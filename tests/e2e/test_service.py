"""The daemon as it is run for real: OpenBao on disk over TLS with AppRole, sealed, killed and restarted in the middle."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Prober, Rig

pytest.importorskip("cryptography", reason="certificates are made with it")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(tls=True, storage="raft") as found:
        for name in ("billing", "shop"):
            found.application(name)
        found.configure(FAST.format(every="3s", grace="1s"))
        yield found


@pytest.fixture
def slow(rig: Rig) -> None:
    """Nothing is due by itself."""
    rig.configure(FAST.format(every="30d", grace="24h"))


def test_the_whole_life_cycle_over_tls_and_approle(rig: Rig) -> None:
    daemon = rig.daemon("life")
    prober = Prober(rig, "billing")
    prober.start()
    rig.wait_for_rotations("billing", 2)
    wait_until(lambda: daemon.said("key.revoked"), "an old key is verified as revoked")
    prober.end()
    assert prober.refusals == []
    daemon.end(signal.SIGTERM)
    assert daemon.said("daemon.stopped")
    rig.check_history("billing", 1)
    rig.check_no_secret()


def test_b_vault_sealed_in_the_middle_is_said_and_work_goes_on_when_it_is_unsealed(rig: Rig) -> None:
    daemon = rig.daemon("sealed")
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    rig.wait_for_rotations("billing", 1)
    rig.vault.seal()
    wait_until(lambda: daemon.said("service.down", kind="sealed"), "it says that Vault is sealed")
    rig.vault.unseal()
    wait_until(lambda: daemon.said("service.up"), "it says that Vault is back")
    rig.wait_for_rotations("billing", 1)
    daemon.end(signal.SIGTERM)
    rig.check_history("billing", 1)


def test_b_a_daemon_that_starts_while_vault_is_sealed_is_ready_and_begins_when_it_is_unsealed(rig: Rig) -> None:
    rig.vault.seal()
    daemon = rig.daemon("early")
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready all the same")
    assert daemon.alive()
    rig.vault.unseal()
    rig.wait_for_rotations("shop", 1)
    daemon.end(signal.SIGTERM)


def test_b_vault_killed_and_restarted_in_the_middle_loses_nothing(rig: Rig) -> None:
    daemon = rig.daemon("restarted")
    prober = Prober(rig, "shop")
    prober.start()
    rig.wait_for_rotations("shop", 1)
    rig.vault.kill()
    rig.vault.restart()
    rig.wait_for_rotations("shop", 2)
    prober.end()
    daemon.end(signal.SIGTERM)
    assert prober.refusals == []
    rig.check_history("shop", 1)


@pytest.mark.usefixtures("slow")
def test_commands_work_beside_a_running_daemon_and_without_one(rig: Rig) -> None:
    daemon = rig.daemon("beside")
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    for running in (True, False):
        before = rig.published("billing")
        rig.command("rotate", "billing", "--reason", "a test")
        after = rig.published("billing")
        assert after != before
        status = json.loads(rig.command("status", "--json", check=False).stdout)
        billing = next(entry for entry in status["applications"] if entry["name"] == "billing")
        assert billing["current"]["access_key"] == after
        assert before in [entry["access_key"] for entry in billing["retiring"]]
        assert rig.scaleway.accepts(before), "the old key is in grace"
        if running:
            daemon.end(signal.SIGTERM)


@pytest.mark.usefixtures("slow")
def test_i3_rotate_compromised_returns_when_the_leaked_key_is_refused(rig: Rig) -> None:
    daemon = rig.daemon("drill")
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    leaked = rig.published("billing")
    in_grace = [entry["access_key"] for entry in rig.ledger("billing")["retiring"]]
    rig.command("rotate", "billing", "--compromised", "--reason", "found in a repository")
    for access_key in (leaked, *in_grace):
        assert not rig.scaleway.accepts(access_key)
    assert rig.published("billing") != leaked
    assert rig.ledger("billing")["compromised"] == []
    assert rig.scaleway.accepts(rig.published("billing"), everywhere=True)
    daemon.end(signal.SIGTERM)
    rig.check_no_secret()


@pytest.mark.usefixtures("slow")
def test_b_an_application_that_left_the_configuration_is_still_wound_up_on_time(rig: Rig) -> None:
    rig.configure(FAST.format(every="30d", grace="2s"))
    rig.command("rotate", "shop")
    old = rig.ledger("shop")["retiring"][-1]["access_key"]
    rig.configure(FAST.format(every="30d", grace="2s"), applications=["billing"])
    daemon = rig.daemon("orphan")
    wait_until(lambda: not rig.scaleway.accepts(old), "the key of the application that left is revoked")
    wait_until(lambda: rig.at_rest("shop"), "nothing is left to do for it")
    daemon.end(signal.SIGTERM)


@pytest.mark.usefixtures("slow")
def test_a_broken_reload_changes_nothing_and_says_so(rig: Rig) -> None:
    daemon = rig.daemon("reload")
    wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
    sound = rig.configuration.read_text()
    rig.configuration.write_text(sound + "\n[applications.billing.nonsense]\n")
    daemon.send(signal.SIGHUP)
    wait_until(lambda: daemon.said("daemon.reload_refused"), "the reload is refused")
    rig.configuration.write_text(sound)
    daemon.send(signal.SIGHUP)
    wait_until(lambda: daemon.said("daemon.reloaded"), "the sound one is taken")
    assert daemon.alive()
    daemon.end(signal.SIGTERM)


@pytest.mark.usefixtures("slow")
def test_run_once_makes_one_round_and_ends(rig: Rig) -> None:
    done = rig.command("run", "--once", "--log-format", "json")
    assert done.returncode == 0
    events = [json.loads(line)["event"] for line in done.stdout.splitlines() if line.startswith("{")]
    assert "run.completed" in events


@pytest.mark.usefixtures("slow")
def test_every_pass_has_a_line_for_who_asks_for_it(rig: Rig) -> None:
    for level, shown in (("info", False), ("debug", True)):
        done = rig.command("run", "--once", "--log-format", "json", "--log-level", level)
        events = [json.loads(line)["event"] for line in done.stdout.splitlines() if line.startswith("{")]
        assert ("pass.decided" in events) is shown
