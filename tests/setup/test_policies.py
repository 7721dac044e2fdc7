"""Each policy that is printed is tried on a real OpenBao: with it everything works, and without any one line something does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rotator.config import load
from rotator.domain.secret import Secret
from rotator.setup.policies import PERMISSION_SET, Policy, consumer_policies, daemon_policy, render, watcher_policy
from rotator.vault.policy import policy_line, policy_text
from tests.e2e.rig import Rig


def install(rig: Rig, policy: Policy, form: str) -> None:
    """Make the policy that is printed in this form the one that the rig's logins have, and nothing else."""
    text = render([policy], form)
    if form == "terraform":
        text = re.sub(r"^    ", "", re.search(r"<<-EOT\n(.*?)  EOT", text, re.DOTALL)[1], flags=re.MULTILINE)  # type: ignore[index]  # it is there
    rig.vault.policy("rotator", text)


@pytest.fixture
def restored(rig: Rig) -> Any:
    """The rig's own policy afterwards, whatever a test made of it."""
    yield
    rig.vault.policy("rotator", policy_text(daemon_policy(load(rig.configuration)).rights))


@pytest.mark.parametrize("form", ["hcl", "json", "terraform"])
@pytest.mark.usefixtures("restored")
def test_with_the_printed_policy_an_application_is_rotated_and_contained(rig: Rig, form: str) -> None:
    install(rig, daemon_policy(load(rig.configuration)), form)
    rig.command("rotate", "billing")
    rig.command("rotate", "billing", "--compromised", "--reason", "a test of the policy")
    assert json.loads(rig.command("plan", "--json").stdout)["applications"][0]["warnings"] == []
    assert rig.command("status", "--check", "billing").returncode == 0


def test_the_printed_shell_commands_make_a_login_that_rotates(rig: Rig, tools: Path) -> None:
    script = rig.command("policy", "--format", "shell", "--cidr", "127.0.0.0/8").stdout.replace("rotator", "pasted")
    assert rig.vault.root_token
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(rig.directory),
        "BAO_ADDR": rig.vault.address,
        "BAO_TOKEN": rig.vault.root_token.reveal(),
    }
    script = script.replace("secret/data/pasted/", "secret/data/rotator/").replace(
        "secret/metadata/pasted/", "secret/metadata/rotator/"
    )
    done = subprocess.run(["sh", "-eu"], input=script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    role = rig.vault.admin("GET", "auth/approle/role/pasted").data
    assert (role["token_no_default_policy"], role["token_ttl"], role["token_max_ttl"]) == (True, 3600, 86400)
    assert role["secret_id_bound_cidrs"] == role["token_bound_cidrs"] == ["127.0.0.0/8"]
    role_id = rig.vault.admin("GET", "auth/approle/role/pasted/role-id").data["role_id"]
    secret_id = rig.vault.admin("POST", "auth/approle/role/pasted/secret-id").data["secret_id"]
    rig.keep("pasted-role-id", Secret(role_id))
    rig.keep("pasted-secret-id", Secret(secret_id))
    text = rig.configuration.read_text()
    try:
        rig.configuration.write_text(
            text.replace("file:role-id", "file:pasted-role-id").replace("file:secret-id", "file:pasted-secret-id")
        )
        rig.command("rotate", "billing")
    finally:
        rig.configuration.write_text(text)


def test_terraform_and_shell_say_the_same_of_the_role(rig: Rig) -> None:
    policy = daemon_policy(load(rig.configuration))
    shell, terraform = (render([policy], form, cidrs=["192.0.2.7/32"]) for form in ("shell", "terraform"))
    in_shell = dict(re.findall(r"^    ([a-z_]+)=(\S+?)(?: \\)?$", shell, re.MULTILINE))
    in_terraform = dict(re.findall(r"^  ([a-z_]+) += (.*?)(?: #.*)?$", terraform, re.MULTILINE))
    assert in_shell.pop("token_policies") == "rotator"
    assert in_shell == {
        "token_no_default_policy": "true",
        "token_ttl": "1h",
        "token_max_ttl": "24h",
        "token_num_uses": "0",
        "secret_id_num_uses": "0",
        "secret_id_bound_cidrs": "192.0.2.7/32",
        "token_bound_cidrs": "192.0.2.7/32",
    }
    seconds = {"1h": "3600", "24h": "86400", "192.0.2.7/32": '["192.0.2.7/32"]'}
    for name, value in in_shell.items():
        assert in_terraform[name] == seconds.get(value, value)
    assert policy_text(policy.rights).replace("path", "    path") in terraform


# --- who watches ----------------------------------------------------------------------------------------------------------


def watching(rig: Rig, text: str) -> tuple[int, str]:
    """What `rotator status` answers without the daemon to a login with this policy."""
    rig.vault.policy("watcher", text)
    rig.keep("watcher", rig.vault.token(["watcher"], no_default_policy=True))
    before = rig.configuration.read_text()
    approle = re.search(r"auth = .*", before)
    assert approle
    try:
        rig.configuration.write_text(before.replace(approle[0], 'auth = { method = "token", token = "file:watcher" }'))
        done = rig.command("status", "--direct", check=False)
    finally:
        rig.configuration.write_text(before)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_policy_of_a_watcher_shows_the_state_of_every_application(rig: Rig) -> None:
    rig.command("run", "--once")
    assert watching(rig, policy_text(watcher_policy(load(rig.configuration)).rights))[0] == 0


def test_the_policy_of_a_watcher_reads_no_credential_and_writes_nothing(rig: Rig) -> None:
    rig.vault.policy("watcher", policy_text(watcher_policy(load(rig.configuration)).rights))
    token = rig.vault.token(["watcher"], no_default_policy=True)
    assert rig.vault.call("GET", "secret/data/apps/billing", token=token).status == 403
    assert rig.vault.call("POST", "secret/data/rotator/applications/billing", {"data": {}}, token=token).status == 403


@pytest.mark.parametrize("line", ["secret/data/rotator/*", "secret/metadata/rotator/*"])
def test_without_one_line_the_error_of_a_watcher_names_it(rig: Rig, line: str) -> None:
    rig.command("run", "--once")
    rights = watcher_policy(load(rig.configuration)).rights
    (right,) = [one for one in rights if one.path == line]
    code, said = watching(rig, policy_text(one for one in rights if one != right))
    assert code != 0
    inside = "applications/billing" if "/data/" in line else "applications"
    assert policy_line(line.replace("*", inside), right.capabilities) in said


# --- who consumes ---------------------------------------------------------------------------------------------------------


def test_the_policy_of_a_consumer_reads_its_own_document_and_no_other(rig: Rig) -> None:
    (policy,) = consumer_policies(load(rig.configuration), ["billing"])
    rig.vault.policy("consumer", policy_text(policy.rights))
    token = rig.vault.token(["consumer"], no_default_policy=True)
    assert rig.vault.call("GET", "secret/data/apps/billing", token=token).status == 200
    assert rig.vault.call("GET", "secret/data/apps/mailer", token=token).status == 403
    assert rig.vault.call("POST", "secret/data/apps/billing", {"data": {}}, token=token).status == 403
    rig.vault.policy("consumer", policy_line("nothing", ["deny"]))
    assert rig.vault.call("GET", "secret/data/apps/billing", token=token).status == 403


def test_policies_of_several_consumers_are_one_for_each(rig: Rig) -> None:
    found = json.loads(rig.command("policy", "--for", "consumer", "--format", "json").stdout)
    assert found == {
        f"{name}-consumer": {"path": {f"secret/data/apps/{name}": {"capabilities": ["read"]}}}
        for name in ("billing", "mailer")
    }
    assert (
        rig.command("policy", "--for", "consumer", "mailer").stdout
        == 'path "secret/data/apps/mailer" { capabilities = ["read"] }\n'
    )


def test_a_policy_for_an_application_that_does_not_exist_is_refused_with_the_nearest_name(rig: Rig) -> None:
    done = rig.command("policy", "--for", "consumer", "biling", check=False)
    assert done.returncode == 2
    assert "there is no application biling; did you mean billing?" in done.stderr
    done = rig.command("policy", "billing", check=False)
    assert done.returncode == 2
    assert "--for consumer" in done.stderr


# --- the provider ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["shell", "terraform", "json", "hcl"])
def test_the_right_of_the_management_key_names_organization_and_permission_set(rig: Rig, form: str) -> None:
    text = rig.command("policy", "--for", "provider", "--format", form).stdout
    assert rig.scaleway.organization_id in text
    assert PERMISSION_SET in text
    if form == "json":
        assert json.loads(text)["rules"] == [
            {"organization_id": rig.scaleway.organization_id, "permission_set_names": [PERMISSION_SET]}
        ]
    if form == "shell":
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
