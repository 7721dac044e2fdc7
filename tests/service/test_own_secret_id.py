"""The drop-in own-secret-id.conf, on a booted systemd: the service keeps the secret ids of its login, and logs in with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.domain.secret import Secret
from rotator.sandbox.process import wait_until
from rotator.vault.policy import policy_text, required_rights
from tests.service.conftest import ROOT
from tests.service.installed import Installed, installed

DROP_IN = "systemd/own-secret-id.conf"
KEPT = "var/lib/private/rotator-login/secret-id"
ROLE = "auth/approle/role/rotator"


@pytest.fixture(scope="module")
def here(package: Path) -> Iterator[Installed]:
    with installed(package, applications=("billing",)) as found:
        vault = found.rig.vault
        vault.policy("rotator", policy_text(required_rights("secret/rotator", ["secret/apps/*"], role=ROLE)))
        configuration = found.machine.root / "etc/rotator/rotator.toml"
        text = configuration.read_text()
        named = 'secret_id = "credential:vault-secret-id"'
        assert text.count(named) == 1
        configuration.write_text(text.replace(named, f'{named}, own_secret_id = {{ role = "rotator" }}'))
        yield found


def held(here: Installed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((here.machine.root / KEPT).read_text())
    return found


def logs_in(here: Installed, secret_id: str) -> bool:
    role_id = (here.rig.directory / "role-id").read_text()
    return here.rig.vault.call("POST", "auth/approle/login", {"role_id": role_id, "secret_id": secret_id}).status == 200


def test_without_the_drop_in_the_configured_secret_id_stays_in_use_and_the_reason_is_logged(here: Installed) -> None:
    here.start()
    wait_until(lambda: here.machine.said("login.secret_id_failed"), "the rotation of the secret id fails")
    [entry, *_] = here.machine.journal("ROTATOR_EVENT=login.secret_id_failed")
    assert "own-secret-id.conf" in entry["MESSAGE"]
    assert here.machine.show("ActiveState") == "active"


def test_with_the_drop_in_the_service_logs_in_with_what_it_keeps_after_every_rotation(here: Installed) -> None:
    machine, vault = here.machine, here.rig.vault
    machine.write("/etc/systemd/system/rotator.service.d/own-secret-id.conf", (ROOT / DROP_IN).read_text())
    machine.systemctl("daemon-reload")
    here.start()
    wait_until(lambda: machine.said("login.secret_id_rotated"), "the service has made a secret id of its own")
    here.rig.secrets.append(Secret(held(here)["current"]))

    configured = here.secret("vault-secret-id")
    vault.admin("POST", f"{ROLE}/secret-id/destroy", {"secret_id": configured})
    assert not logs_in(here, configured)
    works_after_a_restart(here)

    before = held(here)["current"]
    done = machine.run("rotator", "rotate-login", "--compromised")
    assert "a new secret id has logged in" in done.stdout
    here.rig.secrets.append(Secret(held(here)["current"]))
    assert held(here)["current"] != before
    assert not logs_in(here, before)
    works_after_a_restart(here)
    here.rig.check_no_secret(machine.run("journalctl", "--unit=rotator", "--no-pager").stdout)

    file = machine.root / KEPT
    assert file.stat().st_mode & 0o777 == 0o600
    assert {one.stat().st_uid for one in file.parent.iterdir()} == {file.parent.stat().st_uid}


def test_doctor_finds_the_unit_as_it_is_shipped_and_the_secret_id_of_the_login(here: Installed) -> None:
    here.machine.systemctl("enable", "rotator")
    answer = json.loads(here.machine.run("rotator", "doctor", "--json", check=False).stdout)
    lines = {check["name"]: (check["outcome"], check["message"]) for check in answer["checks"]}
    assert lines["unit"] == ("ok", "active, starts with the machine, restricted as shipped")
    assert lines["vault secret id"] == ("ok", "it has no end")
    weaker = "[Service]\nMemoryDenyWriteExecute=no\nPrivateUsers=no\n"
    here.machine.write("/etc/systemd/system/rotator.service.d/weaker.conf", weaker)
    here.machine.systemctl("daemon-reload")
    answer = json.loads(here.machine.run("rotator", "doctor", "--json", check=False).stdout)
    [unit] = [check for check in answer["checks"] if check["name"] == "unit"]
    assert unit["message"] == "rotator.service is less restricted than shipped: MemoryDenyWriteExecute, PrivateUsers"


def works_after_a_restart(here: Installed) -> None:
    """No token that was given before is valid: the service needs a login, and rotates."""
    here.rig.vault.admin("POST", "sys/leases/revoke-prefix/auth/approle/login")
    here.start()
    done = here.machine.run("rotator", "rotate", "billing")
    assert "billing: rotated" in done.stdout
    assert not here.machine.journal("ROTATOR_EVENT=login.secret_id_failed", f"_PID={here.machine.show('MainPID')}")
