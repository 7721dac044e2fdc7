"""The examples for consumers in config/consumers, run for real: the agent, the shell script and the Python snippet."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rotator.domain.secret import Secret
from rotator.sandbox.openbao import OpenBao, find_binary
from rotator.sandbox.process import Process, wait_until
from rotator.sandbox.scaleway import ScalewaySandbox

EXAMPLES = Path(__file__).parents[2] / "config" / "consumers"
GUIDE = Path(__file__).parents[2] / "docs" / "consumers.md"
MOUNT, PATH = "secret", "apps/billing/scaleway"

APPLICATION = """
import os, sys, urllib.error, urllib.request
url = f"{sys.argv[1]}/iam/v1alpha1/api-keys/{os.environ['SCW_ACCESS_KEY']}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    status = opener.open(urllib.request.Request(url, headers={"X-Auth-Token": os.environ["SCW_SECRET_KEY"]}), timeout=20).status
except urllib.error.HTTPError as error:
    status = error.code
    error.close()
with open(sys.argv[2], "a") as log:
    log.write(f"{os.environ['SCW_ACCESS_KEY']} {status}\\n")
"""
"""An application: it takes its key from the environment, calls the API once and writes down how that went. 403 means that the
key authenticated, 401 that it was refused."""


class Scene:
    """A Vault, a provider and the application billing, of which consumers know no more than the guide says."""

    def __init__(self, vault: OpenBao, scaleway: ScalewaySandbox, directory: Path) -> None:
        self.vault, self.scaleway, self.directory = vault, scaleway, directory
        self.bearer = scaleway.create_application("billing")
        self.log = directory / "calls"
        self.program = directory / "application.py"
        self.program.write_text(APPLICATION)
        vault.policy("billing", policy_of_the_guide())
        vault.admin("DELETE", f"{MOUNT}/metadata/{PATH}")  # an earlier scene's

    def rotate(self) -> tuple[str, str]:
        """Publish a new key, as rotator does: the next version of the document."""
        pair = self.scaleway.create_key(self.bearer)
        fields = {"access_key": pair[0], "secret_key": pair[1], "default_project_id": self.scaleway.organization_id}
        self.vault.admin("POST", f"{MOUNT}/data/{PATH}", {"data": fields})
        return pair

    def file(self, name: str, content: Secret) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(content.reveal() + "\n")
        return path

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def policy_of_the_guide() -> str:
    """The policy that the documentation gives to a consumer, word for word."""
    _, _, rest = GUIDE.read_text().partition("```hcl\n")
    return rest.partition("```")[0]


@pytest.fixture(scope="module")
def vault() -> Iterator[OpenBao]:
    with OpenBao() as server:
        yield server


@pytest.fixture
def scene(vault: OpenBao, tmp_path: Path) -> Iterator[Scene]:
    with ScalewaySandbox() as scaleway:
        yield Scene(vault, scaleway, tmp_path)


@pytest.fixture
def agent(scene: Scene) -> Iterator[Process]:
    """The agent with the example, in which only what its head names is replaced."""
    role_id, secret_id = scene.vault.approle("billing", ["billing"])
    restart = scene.directory / "restart"
    restart.write_text(
        f'#!/bin/sh\nset -a; . "{scene.directory}/scaleway.env"; exec "{sys.executable}" "{scene.program}" "{scene.scaleway.url}" "{scene.log}"\n'
    )
    restart.chmod(0o700)
    text = (EXAMPLES / "agent.hcl").read_text()
    for said, meant in {
        "https://vault.example.com:8200": scene.vault.address,
        "/etc/billing/vault-role-id": str(scene.file("role-id", role_id)),
        "/etc/billing/vault-secret-id": str(scene.file("secret-id", secret_id)),
        'destination = "/run/billing/scaleway.env"': f'destination = "{scene.directory}/scaleway.env"',
        '["systemctl", "restart", "billing.service"]': f'["{restart}"]',
        '"5m"': '"1s"',
    }.items():
        assert text.count(said) == 1, f"{said} is to be replaced once"
        text = text.replace(said, meant)
    config = scene.directory / "agent.hcl"
    config.write_text(text)
    process = scene.vault.agent(config, scene.directory / "agent.log")
    yield process
    process.end()


def test_the_agent_brings_every_new_key_into_the_application(scene: Scene, agent: Process) -> None:
    """The first key is rendered, the second arrives by itself, and the application is restarted with each, once."""
    first, _ = scene.rotate()
    wait_until(lambda: len(scene.calls()) == 1, f"the application was started; see {scene.directory}/agent.log")
    second, secret = scene.rotate()
    wait_until(lambda: len(scene.calls()) == 2, f"the application was restarted; see {scene.directory}/agent.log")
    assert scene.calls() == [f"{first} 403", f"{second} 403"]

    environment = scene.directory / "scaleway.env"
    assert environment.read_text() == (
        f"SCW_ACCESS_KEY={second}\nSCW_SECRET_KEY={secret}\nSCW_DEFAULT_PROJECT_ID={scene.scaleway.organization_id}\n"
    )
    assert environment.stat().st_mode & 0o777 == 0o600
    assert agent.alive()
    assert (scene.directory / "secret-id").exists(), "the agent could not log in again after its own restart"
    assert secret not in (scene.directory / "agent.log").read_text()


def test_the_agent_does_not_restart_the_application_when_only_the_notes_change(scene: Scene, agent: Process) -> None:
    """A new version of the same values, and custom metadata, are no news to the application."""
    first, secret = scene.rotate()
    wait_until(lambda: len(scene.calls()) == 1, "the application was started")
    notes = {"custom_metadata": {"rotator_access_key": first}}
    scene.vault.admin("PATCH", f"{MOUNT}/metadata/{PATH}", notes, Content_Type="application/merge-patch+json")
    fields = {"access_key": first, "secret_key": secret, "default_project_id": scene.scaleway.organization_id}
    scene.vault.admin("POST", f"{MOUNT}/data/{PATH}", {"data": fields})
    second, _ = scene.rotate()
    wait_until(lambda: f"{second} 403" in scene.calls(), "the next key arrived")
    assert scene.calls() == [f"{first} 403", f"{second} 403"]


needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="the shell example needs jq, which this machine lacks")


def shell(scene: Scene, *program: str, path: str = PATH) -> subprocess.CompletedProcess[str]:
    """The example, for a person who is logged in to Vault with a token that may do no more than the guide says."""
    token = scene.vault.token(["billing"])
    scene.file(".vault-token", token)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scene.directory),
        "BAO_ADDR": scene.vault.address,
        "BAO": find_binary(),
    }
    return subprocess.run(
        [EXAMPLES / "read-secret.sh", MOUNT, path, *program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_jq
def test_the_shell_script_runs_a_program_with_the_key_of_now(scene: Scene) -> None:
    keys = [scene.rotate()[0], None]
    done = shell(scene, sys.executable, str(scene.program), scene.scaleway.url, str(scene.log))
    keys[1] = scene.rotate()[0]
    again = shell(scene, sys.executable, str(scene.program), scene.scaleway.url, str(scene.log))
    assert (done.returncode, again.returncode) == (0, 0), done.stderr + again.stderr
    assert scene.calls() == [f"{keys[0]} 403", f"{keys[1]} 403"]


@needs_jq
def test_the_shell_script_shows_no_secret_on_any_command_line(scene: Scene) -> None:
    """Everything that it starts is traced; arguments are what every user of the machine can read."""
    _, secret = scene.rotate()
    names = ("bao", "jq", "true")
    watched = scene.directory / "bin"
    watched.mkdir()
    for name in names:
        real = find_binary() if name == "bao" else shutil.which(name)
        (watched / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{scene.directory}/arguments"\nexec {real} "$@"\n')
        (watched / name).chmod(0o700)
    token = scene.vault.token(["billing"])
    scene.file(".vault-token", token)
    environment = {
        "PATH": f"{watched}:{os.environ['PATH']}",
        "HOME": str(scene.directory),
        "BAO_ADDR": scene.vault.address,
    }
    subprocess.run([EXAMPLES / "read-secret.sh", MOUNT, PATH, "true"], env=environment, check=True, timeout=60)
    arguments = (scene.directory / "arguments").read_text()
    assert [line.split()[0] for line in arguments.splitlines() if line.split()[0] in names] == list(names)
    assert secret not in arguments
    assert token.reveal() not in arguments


@needs_jq
@pytest.mark.parametrize("path", ["apps/billing/scaleway", "apps/nobody"])
def test_the_shell_script_starts_nothing_without_a_key(scene: Scene, path: str) -> None:
    """A document without our fields, and a document that the token may not read."""
    scene.vault.admin("POST", f"{MOUNT}/data/{PATH}", {"data": {"note": "not yet"}})
    done = shell(scene, sys.executable, "-c", "print('started')", path=path)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr != ""


@pytest.fixture(scope="module")
def snippet() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_secret", EXAMPLES / "read_secret.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_python_snippet_goes_on_when_the_key_that_it_remembers_is_revoked_at_once(
    scene: Scene, snippet: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a compromise: it reads again at the first 401 and does not wait for its refresh time."""
    monkeypatch.setenv("VAULT_ADDR", scene.vault.address)
    token_file = scene.file("token", scene.vault.token(["billing"]))
    first, _ = scene.rotate()
    keys = snippet.ScalewayKey(MOUNT, PATH, token_file=token_file, refresh=3600.0)
    used: list[str] = []

    def request(key: tuple[str, str]) -> int:
        used.append(key[0])
        return 200 if scene.scaleway.accepts(key[0]) and scene.scaleway.secret_of(key[0]) == key[1] else 401

    assert snippet.call(keys, request) == 200
    second, _ = scene.rotate()
    assert snippet.call(keys, request) == 200
    scene.scaleway.delete_key(first)
    assert snippet.call(keys, request) == 200
    assert used == [first, first, first, second]
    scene.scaleway.delete_key(second)
    assert snippet.call(keys, request) == 401, "there is no newer key, so it does not try for ever"
    assert used == [first, first, first, second, second]


def test_the_python_snippet_reads_again_after_its_refresh_time(
    scene: Scene, snippet: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", scene.vault.address)
    keys = snippet.ScalewayKey(MOUNT, PATH, token_file=scene.file("token", scene.vault.token(["billing"])), refresh=0.0)
    for _ in range(2):
        pair = scene.rotate()
        assert keys.current() == pair


def test_the_python_snippet_keeps_its_key_while_vault_is_away(
    scene: Scene, snippet: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", scene.vault.address)
    pair = scene.rotate()
    token_file = scene.file("token", scene.vault.token(["billing"]))
    keys = snippet.ScalewayKey(MOUNT, PATH, token_file=token_file, refresh=0.0)
    assert keys.current() == pair
    for away in ("http://127.0.0.1:1", scene.vault.address):
        monkeypatch.setenv("VAULT_ADDR", away)
        token_file.write_text("a token that Vault does not know\n")
        assert keys.current() == pair
        with pytest.raises(snippet.AWAY):
            snippet.ScalewayKey(MOUNT, PATH, token_file=token_file).current()


def test_a_consumer_may_read_its_own_document_and_nothing_else(scene: Scene) -> None:
    """The policy of the guide: no other application, no writing, no ledger."""
    token = scene.vault.token(["billing"])
    scene.rotate()
    assert scene.vault.call("GET", f"{MOUNT}/data/{PATH}", token=token).status == 200
    for method, path in (
        ("POST", f"data/{PATH}"),
        ("GET", "data/apps/shop/scaleway"),
        ("GET", "data/rotator/applications/billing"),
    ):
        assert (
            scene.vault.call(method, f"{MOUNT}/{path}", {"data": {}} if method == "POST" else None, token=token).status
            == 403
        )
