"""The daemon rotates the key that it logs in to the provider with, and is killed meanwhile: it logs in afterwards every time."""

from __future__ import annotations

import json
import os
import random
import signal
import time

from rotator.domain.secret import Secret
from rotator.operations.commands.login_drill import LOGIN_STEPS
from rotator.sandbox.process import wait_until
from rotator.vault.policy import policy_text, required_rights
from rotator.vault.secret_ids import SecretIdFile
from tests.e2e.rig import FAST, Daemon, Prober, Rig

KILLS = int(os.environ.get("ROTATOR_KILLS", "100"))
LOGIN_KILLS = int(os.environ.get("ROTATOR_KILLS", "25"))
GRACE = 2
OWN = "acme-own-key"


def own_key(rig: Rig) -> str:
    """The table of the management key; the rig then knows its application like any other."""
    rig.bearers[OWN] = rig.scaleway.management_application_id
    rig.vault.admin("POST", f"secret/metadata/apps/{OWN}", {"max_versions": 1000})
    return f'[accounts.acme.own_key]\napplication_id = "{rig.bearers[OWN]}"\npath = "secret/apps/{OWN}"\n'


def with_socket(rig: Rig) -> str:
    """The table of the management key, and a socket that commands find the daemon at."""
    return f'{own_key(rig)}[control]\ndirectory = "{rig.directory}"\n'


def test_c20_two_daemons_killed_a_hundred_times_log_in_with_the_key_that_they_rotate() -> None:
    chance = random.Random(20261128)
    with Rig() as rig:
        rig.application("billing")
        table = own_key(rig)
        rig.scaleway.configure(
            instances=2, activation_delay=0.15, revocation_delay=0.1, latency_post=0.05, latency_delete=0.03
        )
        rig.configure(FAST.format(every="3s", grace=f"{GRACE}s"), account=table, applications=["billing"])
        daemons = [rig.daemon("one"), rig.daemon("two")]
        wait_until(lambda: rig.published(OWN) != "", "the first key of the account is published", timeout=60)
        # The key of the first login goes: from now on there is only what the daemons publish.
        rig.scaleway.delete_key(rig.scaleway.management_access_key)
        probers = [Prober(rig, name) for name in rig.bearers]
        for prober in probers:
            prober.start()
        rig.kill_at_random(daemons, KILLS, chance)
        assert rig.rotations(OWN) >= KILLS / 10, "the account's key was hardly rotated while they were killed"
        for daemon in daemons:
            daemon.end(signal.SIGTERM)
        rig.configure(FAST.format(every="1h", grace=f"{GRACE}s"), account=table, applications=["billing"])
        daemons[0].start()
        for name in rig.bearers:
            wait_until(lambda name=name: rig.at_rest(name), f"{name} is at rest", timeout=120)  # type: ignore[misc]  # bound on purpose
        for prober in probers:
            prober.end()
            assert prober.calls > 0
            assert prober.refusals == [], f"I1: {prober.application} was refused"
        for name in rig.bearers:
            rig.check_rest(name)
            assert rig.check_history(name, GRACE) > 0
        rig.check_no_secret()


def test_c20_a_leaked_management_key_is_contained_by_one_command() -> None:
    with Rig() as rig:
        table = own_key(rig)
        rig.configure(FAST.format(every="1h", grace="1h"), account=table, applications=[])
        daemon = rig.daemon()
        wait_until(lambda: rig.published(OWN) != "", "the first key of the account is published", timeout=60)
        leaked = rig.published(OWN)
        done = rig.command("rotate", OWN, "--compromised", "--reason", "found in a backup")
        assert "refused" in done.stdout + done.stderr, done
        assert not rig.scaleway.accepts(leaked)
        assert rig.scaleway.accepts(rig.published(OWN))
        rig.scaleway.delete_key(rig.scaleway.management_access_key)
        assert rig.command("plan").returncode == 0
        assert daemon.alive()


def test_c20_a_new_management_key_that_may_not_list_keys_is_not_published_and_the_right_is_named() -> None:
    with Rig() as rig:
        table = with_socket(rig)
        rig.configure(FAST.format(every="1h", grace="1h"), account=table, applications=[])
        daemon = rig.daemon()
        wait_until(lambda: rig.published(OWN) != "" and rig.at_rest(OWN), "the first key is published", timeout=60)
        wait_until(lambda: daemon.said("control.listening", orders=True), "it listens")
        rig.scaleway.delete_key(rig.scaleway.management_access_key)
        used = rig.published(OWN)
        # Until it is valid there is time to deny the new key, and no other, the list of keys.
        rig.scaleway.configure(activation_delay=2)
        command = Daemon(rig, "rotate", rig.configuration, arguments=("rotate", OWN)).start()

        def made() -> set[str]:
            return {key.access_key for key in rig.scaleway.keys(rig.bearers[OWN])} - {used}

        wait_until(lambda: made() != set(), "a new key is made", timeout=30)
        (restricted,) = made()
        fault = rig.scaleway.faults.add(
            "status", path="/iam/v1alpha1/api-keys", access_key=restricted, status=403, times=None
        )
        _wait_for_end(command)
        assert rig.published(OWN) == used
        assert (
            f"the new key {restricted} authenticates and was not seen to manage the account" in command.log.read_text()
        )
        assert "may not read api_key" in command.log.read_text()
        assert daemon.said("rotation.verification_failed", access_key=restricted)
        wait_until(lambda: not rig.scaleway.accepts(restricted), "the restricted key is revoked", timeout=60)
        rig.scaleway.faults.remove(fault.id)
        assert rig.command("rotate", OWN).returncode == 0
        assert rig.published(OWN) not in {used, restricted}


def test_a_drill_of_the_management_key_replaces_it_for_the_daemon_and_without_one() -> None:
    with Rig() as rig:
        table = with_socket(rig)
        rig.configure(FAST.format(every="1h", grace="1h"), account=table, applications=[])
        daemon = rig.daemon()
        wait_until(lambda: rig.published(OWN) != "", "the first key of the account is published", timeout=60)
        wait_until(lambda: daemon.said("control.listening", orders=True), "it listens")
        rig.scaleway.delete_key(rig.scaleway.management_access_key)
        for way in ((), ("--direct",)):
            before = rig.published(OWN)
            done = json.loads(rig.command("drill", OWN, "--yes", "--json", *way).stdout)
            assert done["result"]["outcome"] == "contained"
            assert set(done["calls"]) == {"create_key", "write_document", "delete_key"}
            assert done["steps"][-1]["what"] == "contained"
            assert not rig.scaleway.accepts(before)
            assert rig.scaleway.accepts(rig.published(OWN))
            assert rig.command("plan", *way).returncode == 0
            assert daemon.said("compromise.marked", access_keys=[before]) == (way == ()), "the other process did it"
        assert [incident["reason"] for incident in rig.ledger(OWN)["incidents"]] == ["drill", "drill"]
        assert daemon.alive()
        wait_until(lambda: rig.at_rest(OWN), f"{OWN} is at rest", timeout=60)
        rig.check_rest(OWN)


def _wait_for_end(machine: Daemon) -> None:
    wait_until(lambda: not machine.alive(), f"the command of {machine.name} ends", timeout=120)


def test_two_machines_whose_rotation_of_the_secret_id_is_killed_log_in_every_time() -> None:
    """Each machine has a file; both begin with the same configured secret id."""
    chance = random.Random(20261129)
    with Rig() as rig:
        rig.application("billing")
        role = "auth/approle/role/rotator"
        rig.vault.policy("rotator", policy_text(required_rights("secret/rotator", ["secret/apps/*"], role=role)))
        machines = []
        for name in ("one", "two"):
            (rig.directory / name).mkdir(mode=0o700)
            path = rig.directory / f"{name}.toml"
            own = f', own_secret_id = {{ role = "rotator", file = "{name}/secret-id" }}'
            rig.configure(FAST.format(every="1h", grace="1h"), to=path)
            path.write_text(path.read_text().replace('"file:secret-id" }', f'"file:secret-id"{own} }}'))
            machines.append(Daemon(rig, name, path, arguments=("rotate-login",)))
        began = time.monotonic()
        for machine in machines:
            machine.start()
            _wait_for_end(machine)
        usual = (time.monotonic() - began) / len(machines)
        for _ in range(LOGIN_KILLS):
            machine = chance.choice(machines)
            machine.start()
            time.sleep(usual * chance.random())  # any moment is as good as another
            machine.end(signal.SIGKILL)
            for other in machines:
                held = SecretIdFile(rig.directory / other.name / "secret-id").read()
                assert held.current is not None
                assert rig.logs_in(held.current), f"the machine {other.name} is locked out"
        for machine in machines:
            machine.start()
            _wait_for_end(machine)
            assert "a new secret id has logged in" in machine.log.read_text()
            assert SecretIdFile(rig.directory / machine.name / "secret-id").read().pending is None


def test_a_drill_of_the_login_replaces_the_secret_id_of_a_daemon_that_goes_on() -> None:
    with Rig() as rig:
        rig.application("billing")
        role = "auth/approle/role/rotator"
        rig.vault.policy("rotator", policy_text(required_rights("secret/rotator", ["secret/apps/*"], role=role)))
        rig.configure(FAST.format(every="1h", grace="1h"))
        text = rig.configuration.read_text()
        own = '"file:secret-id", own_secret_id = { role = "rotator", file = "login/secret-id" } }'
        rig.configuration.write_text(text.replace('"file:secret-id" }', own))
        (rig.directory / "login").mkdir(mode=0o700)
        file = SecretIdFile(rig.directory / "login" / "secret-id")
        daemon = rig.daemon()
        wait_until(lambda: file.read().current is not None, "the daemon has a secret id of its own", timeout=60)
        former = file.read().current
        assert former is not None
        done = json.loads(rig.command("drill", "--login", "--yes", "--json").stdout)
        current = file.read().current
        assert current is not None
        rig.secrets += [former, current]
        assert (done["rotated"], done["destroyed"], done["error"]) == (True, 1, None)
        assert [step["what"] for step in done["steps"]] == [*LOGIN_STEPS.values()]
        assert not rig.logs_in(former)
        assert rig.logs_in(current)
        assert rig.logs_in(Secret((rig.directory / "secret-id").read_text())), "another machine is locked out"
        # No token that was given before is valid: the daemon needs a login, and rotates.
        rig.vault.admin("POST", "sys/leases/revoke-prefix/auth/approle/login")
        assert rig.command("rotate", "billing").returncode == 0
        assert daemon.alive()
        rig.check_no_secret(json.dumps(done))
