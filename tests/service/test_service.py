"""The service as it is installed, under a really booted systemd: it starts, says how it is, reloads, is watched, killed and stopped,
and can do nothing but its work."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from tests.service.installed import CREDENTIALS, Installed, installed


@pytest.fixture(scope="module")
def here(package: Path) -> Iterator[Installed]:
    with installed(package) as found:
        found.start()
        yield found


@pytest.fixture(autouse=True)
def running(here: Installed) -> None:
    """Every test begins with a service that works for a slow configuration, whatever the one before left."""
    here.configure()
    here.rig.scaleway.faults.clear()
    here.rig.scaleway.configure(activation_delay=0.0)
    here.start()


def limits(pid: int) -> dict[str, list[str]]:
    rows = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {row[:25].strip(): row[25:].split() for row in rows}


def summary(pid: int) -> dict[str, str]:
    rows = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in rows}


def test_a_start_returns_when_the_daemon_is_ready_and_its_status_is_a_sentence(here: Installed) -> None:
    assert here.machine.show("ActiveState") == "active"
    assert here.machine.said("daemon.ready")
    wait_until(
        lambda: "2 applications; next: billing rotates in 2" in here.machine.show("StatusText"), "it says what is next"
    )
    assert here.machine.show("StatusText") in here.machine.systemctl("status", "rotator").stdout


def test_a_whole_rotation_and_every_key_is_proven_dead_in_its_time(here: Installed) -> None:
    before = here.rig.published("billing")
    here.configure(every="3s", grace="1s")
    here.machine.systemctl("reload", "rotator")
    here.rig.wait_for_rotations("billing", 2)
    wait_until(
        lambda: here.machine.said("key.revoked", "ROTATOR_APPLICATION=billing"), "an old key is verified as revoked"
    )
    assert not here.rig.scaleway.accepts(before)
    here.rig.check_history("billing", 1)


def test_a_reload_returns_when_the_new_configuration_is_in_force(here: Installed) -> None:
    here.configure(applications=["billing"])
    here.machine.systemctl("reload", "rotator")
    assert here.machine.said("daemon.reloaded", "ROTATOR_APPLICATIONS=1", 'ROTATOR_REMOVED=["shop"]')
    here.configure()
    here.machine.systemctl("reload", "rotator")
    assert here.machine.said("daemon.reloaded", "ROTATOR_APPLICATIONS=2", 'ROTATOR_ADDED=["shop"]')


def test_a_reload_fails_with_the_reason_when_the_configuration_is_refused_and_the_old_one_stays(
    here: Installed,
) -> None:
    pid = here.machine.show("MainPID")
    path = here.machine.root / "etc/rotator/rotator.toml"
    path.write_text(path.read_text() + "\n[applications.billing.nonsense]\n")
    assert here.machine.systemctl("reload", "rotator", check=False).returncode != 0
    assert here.machine.show("ActiveState") == "active"
    assert here.machine.show("MainPID") == pid
    assert "the old one is in force" in here.machine.show("StatusText")
    assert "nonsense" in here.machine.run("journalctl", "--unit=rotator", "--no-pager", "-n", "20").stdout
    here.configure()
    here.machine.systemctl("reload", "rotator")
    assert "the old one is in force" not in here.machine.show("StatusText")


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_comes_back(here: Installed) -> None:
    restarts = int(here.machine.show("NRestarts"))
    pid = here.machine.pid()
    os.kill(pid, signal.SIGSTOP)
    here.restarted(restarts)
    assert here.machine.pid() != pid
    said = here.machine.run("journalctl", "--unit=rotator", "--no-pager").stdout
    assert "Watchdog timeout" in said
    assert "code=killed, status=9/KILL" in said  # by the signal that asks for no core


def test_killed_in_the_middle_of_a_rotation_it_goes_on_at_once_and_leaves_nothing_behind(here: Installed) -> None:
    before = here.rig.published("shop")
    # A new key does not become valid, so that the rotation is in the middle of its proof when it is cut short.
    here.rig.scaleway.configure(activation_delay=3600.0)
    here.configure(every="3s", grace="1s")
    here.machine.systemctl("reload", "rotator")
    wait_until(lambda: here.machine.said("rotation.created", "ROTATOR_APPLICATION=shop"), "a rotation is under way")
    intent = here.rig.ledger("shop")["intent"]
    here.rig.scaleway.configure(activation_delay=0.0)
    here.configure()  # the next process has nothing to do but to finish it
    restarts = int(here.machine.show("NRestarts"))
    os.kill(here.machine.pid(), signal.SIGKILL)
    here.restarted(restarts)
    # Nobody waits for `stale_claim_timeout`: the process that claimed it is known to be gone.
    wait_until(lambda: here.rig.published("shop") != before, "the rotation is done by the next process")
    wait_until(lambda: here.rig.ledger("shop")["intent"] is None, "it is committed")
    assert here.machine.said("rotation.taken_over", "ROTATOR_APPLICATION=shop")
    assert intent["id"] != here.rig.ledger("shop")["history"][-1].get("rotation_id")
    assert here.rig.scaleway.accepts(before), "the old key is in grace"
    bearer = here.rig.bearers["shop"]
    wait_until(
        lambda: not any(intent["id"] in key.description for key in here.rig.scaleway.keys(bearer)),
        "the half-made key is gone",
    )


def test_a_stop_lets_a_rotation_end_whose_key_is_made_already(here: Installed) -> None:
    before = here.rig.published("shop")
    ours = f"_PID={here.machine.show('MainPID')}"
    here.rig.scaleway.faults.add(method="POST", path="*/api-keys", action="hang", executed=True, times=1)
    here.configure(every="3s", grace="1s", applications=["shop"])
    here.machine.systemctl("reload", "rotator")
    wait_until(lambda: here.machine.said("rotation.claimed", ours), "its create is under way")
    here.machine.systemctl("stop", "--no-block", "rotator")
    wait_until(lambda: here.machine.said("daemon.stopping", ours), "it was told to stop")
    here.rig.scaleway.release()
    wait_until(lambda: here.machine.show("ActiveState") == "inactive", "it has stopped")
    assert here.rig.published("shop") != before, "consumers have the new key"
    assert here.rig.ledger("shop")["intent"] is None, "and it is committed"
    (stopped,) = here.machine.journal("ROTATOR_EVENT=daemon.stopped", ours)
    assert stopped["ROTATOR_UNFINISHED"] == "[]", "nothing was cut short"


def test_a_stop_ends_what_is_in_hand_and_goes_in_good_order(here: Installed) -> None:
    here.machine.systemctl("stop", "rotator")
    assert here.machine.show("Result") == "success"
    assert here.machine.said("daemon.stopped")
    assert not (here.machine.root / "run/rotator").exists() or not here.machine.run(
        "ls", "/run", check=False
    ).stdout.count("rotator\n")


def test_credentials_are_encrypted_on_the_disk_and_read_by_the_service_alone(here: Installed) -> None:
    machine = here.machine
    for name in CREDENTIALS:
        stored = (machine.root / "etc/rotator/credentials" / name).read_bytes()
        assert here.secret(name).encode() not in stored
        assert machine.run("cat", f"/run/credentials/rotator.service/{name}").stdout == here.secret(name)
        assert (
            machine.run(
                "setpriv", "--reuid=nobody", "cat", f"/run/credentials/rotator.service/{name}", check=False
            ).returncode
            != 0
        )
    environment = machine.run("cat", f"/proc/{machine.show('MainPID')}/environ").stdout
    for secret in here.rig.all_secrets():
        assert secret not in environment


def test_root_can_act_without_the_service_because_the_machine_decrypts_for_it(here: Installed) -> None:
    here.machine.systemctl("stop", "rotator")
    assert "is sound" in here.machine.run("rotator", "check").stdout
    before = here.rig.published("billing")
    here.machine.run("rotator", "rotate", "billing", "--reason", "a test")
    assert here.rig.published("billing") != before


def test_the_journal_can_be_filtered_by_priority_application_and_event(here: Installed) -> None:
    here.machine.run("rotator", "rotate", "billing", "--compromised", "--reason", "a test")
    here.machine.write("/etc/rotator/rotator.toml", "nonsense")
    here.machine.systemctl("reload", "rotator", check=False)
    wait_until(lambda: here.machine.said("daemon.reload_refused"), "the refusal is in the journal")
    errors = here.machine.journal("--unit=rotator", "--priority=err", "_TRANSPORT=journal", "SYSLOG_IDENTIFIER=rotator")
    assert "daemon.reload_refused" in {entry["ROTATOR_EVENT"] for entry in errors}
    assert all(int(entry["PRIORITY"]) <= 3 for entry in errors)
    mine = here.machine.journal("ROTATOR_APPLICATION=shop")
    assert mine
    assert {entry["ROTATOR_APPLICATION"] for entry in mine} == {"shop"}
    assert {entry["_SYSTEMD_UNIT"] for entry in mine} == {"rotator.service"}
    text = json.dumps(here.machine.journal())
    for secret in here.rig.all_secrets():
        assert secret not in text


def test_it_has_no_capability_no_way_to_one_a_filter_of_system_calls_and_no_limit_for_cores(here: Installed) -> None:
    pid = here.machine.pid()
    found = summary(pid)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[kind], 16) == 0, kind
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    assert found["Uid"].split()[0] != "0"
    assert found["Groups"].split() == found["Gid"].split()[:1]
    assert limits(pid)["Max core file size"][:2] == ["0", "0"]
    assert Path(f"/proc/{pid}/environ").stat().st_uid == 0, "whoever is dumpable owns its own files"
    assert here.machine.show("MemorySwapMax") == "0"


def test_a_crash_leaves_no_core(here: Installed) -> None:
    restarts = int(here.machine.show("NRestarts"))
    os.kill(here.machine.pid(), signal.SIGSEGV)
    here.restarted(restarts)
    said = here.machine.run("journalctl", "--unit=rotator", "--no-pager").stdout
    assert "code=killed, status=11/SEGV" in said
    assert "code=dumped" not in said


def test_it_can_write_to_nothing_but_its_own_directory(here: Installed) -> None:
    pid = here.machine.pid()
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    writable = {mount[4] for mount in mounts if "rw" in mount[5].split(",")}
    assert "/run/rotator" in writable
    assert writable <= {"/run/rotator", "/proc", "/dev/pts"}
    for path in (
        "/x",
        "/etc/rotator/x",
        "/run/x",
        "/tmp/x",
        "/var/tmp/x",
        "/dev/shm/x",
        "/dev/x",
        "/usr/lib/rotator/x",
    ):
        assert inside(pid, f"open({path!r}, 'w')").returncode != 0, path
    assert inside(pid, "open('/run/rotator/x', 'w')").returncode == 0


def test_it_sees_the_program_and_the_settings_of_the_machine_and_can_run_nothing_else(here: Installed) -> None:
    pid = here.machine.pid()
    found = inside(pid, "import os; print(*os.listdir('/'), *os.listdir('/var'), *os.listdir('/home'))").stdout.split()
    assert set(found) <= {
        "bin",
        "dev",
        "etc",
        "home",
        "lib",
        "lib64",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "usr",
        "var",
    }
    for tool in ("/usr/bin/true", "/bin/sh"):
        assert "PermissionError" in inside(pid, f"import subprocess; subprocess.run([{tool!r}])").stderr, tool
    assert (
        "processes: 0"
        in inside(pid, "import os; print('processes:', sum(n.isdigit() for n in os.listdir('/proc')))").stdout
    )


def test_a_missing_credential_is_named_by_the_service_and_those_that_nothing_names_may_be_missing(
    here: Installed,
) -> None:
    """Row 32: systemd starts no service whose credential is missing, and says only "Protocol error"."""
    file = here.machine.root / "etc/rotator/credentials/vault-secret-id"
    kept = file.read_bytes()
    file.unlink()
    here.machine.run("journalctl", "--rotate")
    begun = here.machine.run("date", "+%Y-%m-%d %H:%M:%S").stdout.strip()
    assert here.machine.systemctl("restart", "rotator", check=False).returncode != 0
    said = here.machine.run("journalctl", "--unit=rotator", "--no-pager", f"--since={begun}").stdout
    file.write_bytes(kept)
    assert "Protocol error" not in said
    assert "systemd-creds encrypt --name=vault-secret-id - /etc/rotator/credentials/vault-secret-id" in said
    assert here.machine.show("ExecMainStatus") == "2"


def test_another_way_to_log_in_needs_no_change_of_the_unit(here: Installed) -> None:
    """Row 32: the credentials that a unit loads were those of one way to log in."""
    token = here.rig.vault.token(["rotator"]).reveal()
    names = ("vault-role-id", "vault-secret-id")
    folder = here.machine.root / "etc/rotator/credentials"
    kept = {name: (folder / name).read_bytes() for name in names}
    here.machine.run(
        "systemd-creds", "encrypt", "--name=vault-token", "-", "/etc/rotator/credentials/vault-token", stdin=token
    )
    path = here.machine.root / "etc/rotator/rotator.toml"
    path.write_text(
        re.sub(r"auth = .*", 'auth = { method = "token", token = "credential:vault-token" }', path.read_text())
    )
    for name in names:
        (folder / name).unlink()
    try:
        here.start()
        assert here.machine.show("ActiveState") == "active"
        assert here.machine.run("rotator", "check").returncode == 0
    finally:
        (folder / "vault-token").unlink()
        for name, content in kept.items():
            (folder / name).write_bytes(content)


def inside(pid: int, code: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python where the service is, as its user."""
    found = summary(pid)
    uid, gid = found["Uid"].split()[0], found["Gid"].split()[0]
    begin = ["nsenter", f"--target={pid}", "--mount", "--root", "--wd", f"--setuid={uid}", f"--setgid={gid}", "--"]
    command = [*begin, "/usr/bin/python3", "-ISc", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
