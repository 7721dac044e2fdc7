"""`rotator init`: a configuration from answers, which the printed commands make work, on a real OpenBao and the stand-in."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.e2e.rig import Rig
from tests.support.watched.sitecustomize import watched

ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def init(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `rotator init` in the folder, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "rotator", "init", "--config", str(folder / "new.toml"), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**ENVIRONMENT, "HOME": str(folder), **environment},
        check=False,
    )


def answers(
    folder: Path, sandbox: ScalewaySandbox, *, applications: str = '["*"]', vault: str = "", account: str = ""
) -> Path:
    """A file of answers, with the management key in a file beside it."""
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(sandbox.management_secret)
    path = folder / "answers.toml"
    path.write_text(
        f'[vault]\naddress = "{vault or "https://vault.internal:8200"}"\n'
        f'[accounts.acme]\norganization_id = "{sandbox.organization_id}"\naccess_key = "{sandbox.management_access_key}"\n'
        f'api_url = "{sandbox.url}"\ndiscover_with = "file:key"\napplications = {applications}\npath = "secret/apps/{{name}}"\n{account}\n'
        '[defaults]\nevery = "90d"\ngrace = "36h"\n'
    )
    return path


@pytest.fixture
def sandbox() -> object:
    with ScalewaySandbox() as found:
        yield found


def test_the_printed_commands_and_nothing_else_lead_to_a_first_rotated_key(
    rig: Rig, tools: Path, tmp_path: Path
) -> None:
    made = init(tmp_path, "--from-answers", str(answers(tmp_path, rig.scaleway, vault=rig.vault.address)), "--json")
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert [one["name"] for one in found["applications"]] == ["billing", "mailer"]
    assert rig.vault.root_token
    (tmp_path / "credentials").mkdir(mode=0o700)
    environment = {
        **ENVIRONMENT,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BAO_ADDR": rig.vault.address,
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
        "MANAGEMENT_KEY": str(tmp_path / "key"),
    }
    for step in found["instructions"]:
        if not step["title"].startswith(("At the provider", "Validate")):
            done = subprocess.run(
                ["sh", "-eu"],
                input=step["script"],
                env={**environment, "BAO_TOKEN": rig.vault.root_token.reveal()},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    for command in (["check"], ["rotate", "billing"]):
        done = subprocess.run(
            [sys.executable, "-m", "rotator", *command, "--config", str(tmp_path / "new.toml")],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), (command, done.stderr)
    assert rig.ledger("billing")["current"]["access_key"] == rig.published("billing")


def test_init_only_reads_at_the_provider_and_never_calls_vault(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    for name in ("billing", "mailer"):
        sandbox.create_key(sandbox.create_application(name))
    sandbox.reset_calls()
    made = init(tmp_path, "--from-answers", str(answers(tmp_path, sandbox)))  # there is no Vault at this address
    assert made.returncode == 0, made.stderr
    assert {method for method, _ in sandbox.calls()} == {"GET"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.toml", "key", "new.toml"]


def test_the_file_has_a_comment_for_each_application_and_is_not_for_others_to_read(
    tmp_path: Path, sandbox: ScalewaySandbox
) -> None:
    sandbox.create_key(sandbox.create_application("Billing Service (EU)"))
    sandbox.create_application("billing service eu")
    sandbox.create_application("\x1b[31mred\x9b")
    made = init(tmp_path, "--from-answers", str(answers(tmp_path, sandbox)))
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "new.toml").read_text()
    assert "# Billing Service (EU): 1 key, the oldest 0s old" in re.sub(r"oldest \d+s", "oldest 0s", text)
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert re.findall(r"^\[applications\.(.*)\]", text, re.MULTILINE) == [
        "31mred",
        "billing-service-eu",
        "billing-service-eu-2",
    ]
    assert stat.S_IMODE((tmp_path / "new.toml").stat().st_mode) == 0o644
    checked = subprocess.run(
        [sys.executable, "-m", "rotator", "check", "--without-credentials", "--config", str(tmp_path / "new.toml")],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("kind", ["file", "link"])
def test_init_overwrites_nothing_and_asks_nothing_before_it_says_so(
    tmp_path: Path, sandbox: ScalewaySandbox, kind: str
) -> None:
    target = tmp_path / "new.toml"
    if kind == "file":
        target.write_text("# mine\n")
    else:
        target.symlink_to(tmp_path / "elsewhere")
    sandbox.reset_calls()
    made = init(tmp_path, "--from-answers", str(answers(tmp_path, sandbox)))
    assert made.returncode == 4
    assert f"{target} exists and is not overwritten" in made.stderr
    assert not sandbox.calls()
    assert not (tmp_path / "elsewhere").exists()
    assert kind == "link" or target.read_text() == "# mine\n"


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:
    from rotator.errors import Refused
    from rotator.setup.rendering import write_new

    text = (
        '[vault]\naddress = "https://vault.internal:8200"\nledger_path = "secret/rotator"\n'
        'auth = { method = "token", token = "credential:t" }\n'
        '[accounts.acme]\norganization_id = "5e0c1b8e-5f53-4b44-9a38-0d8bb2f6c1ab"\nsecret_key = "credential:k"\n'
    )
    (tmp_path / "new.toml").write_text("# mine\n")
    with pytest.raises(Refused, match="is not overwritten"):
        write_new(tmp_path / "new.toml", text)
    assert (tmp_path / "new.toml").read_text() == "# mine\n"
    assert [path.name for path in tmp_path.iterdir()] == ["new.toml"]


def test_every_wrong_answer_is_named_at_once_and_no_value_is_repeated(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    path = tmp_path / "answers.json"
    path.write_text(
        json.dumps(
            {
                "vault": {"address": "vault.internal", "ledgr_path": "secret/rotator"},
                "accounts": {
                    "Acme!": {"organization_id": "o", "applications": []},
                    "beta": {"secret_key": sandbox.management_secret, "applications": ["*"], "path": "secret/apps"},
                },
                "defaults": {"every": 30},
                "application": {},
            }
        )
    )
    made = init(tmp_path, "--from-answers", str(path))
    assert made.returncode == 2
    for place in (
        "application: is not an answer",
        "vault.address: is not a web address",
        "vault.ledgr_path: is not an option here; did you mean ledger_path?",
        "accounts.'Acme!': is not a good name",
        "accounts.'Acme!'.applications: is not a choice",
        "accounts.beta.organization_id: is missing",
        "accounts.beta.secret_key: is written in the open",
        "accounts.beta.access_key: is missing",
        "accounts.beta.path: is not a pattern",
        "defaults.every: is a bare number",
    ):
        assert place in made.stderr
    assert sandbox.management_secret not in made.stderr + made.stdout
    assert not (tmp_path / "new.toml").exists()


def test_wishes_that_the_provider_cannot_meet_are_named_at_once(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    sandbox.create_application("billing")
    for _ in range(2):
        sandbox.create_application("twin")
    made = init(tmp_path, "--from-answers", str(answers(tmp_path, sandbox, applications='["biling", "twin"]')))
    assert made.returncode == 2
    assert "there is no application biling; did you mean billing?" in made.stderr
    assert "twin is the name of several applications; write the id of one" in made.stderr
    assert not (tmp_path / "new.toml").exists()


def test_applications_with_ids_need_no_management_key(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    bearer = sandbox.create_application("billing")
    path = answers(tmp_path, sandbox, applications=f'{{ payments = "{bearer}" }}')
    path.write_text(path.read_text().replace('discover_with = "file:key"\n', ""))
    sandbox.reset_calls()
    made = init(tmp_path, "--from-answers", str(path))
    assert made.returncode == 0, made.stderr
    assert not sandbox.calls()
    assert (
        f'[applications.payments]\napplication_id = "{bearer}"\npath = "secret/apps/payments"'
        in (tmp_path / "new.toml").read_text()
    )


def test_the_application_of_the_management_key_is_left_out(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    sandbox.create_application("billing")
    assert init(tmp_path, "--from-answers", str(answers(tmp_path, sandbox))).returncode == 0
    assert sandbox.management_application_id not in (tmp_path / "new.toml").read_text()


def test_a_management_key_that_cannot_be_read_is_a_wrong_answer(tmp_path: Path, sandbox: ScalewaySandbox) -> None:
    path = answers(tmp_path, sandbox)
    (tmp_path / "key").unlink()
    made = init(tmp_path, "--from-answers", str(path))
    assert made.returncode == 2
    assert "accounts.acme.discover_with: file:" in made.stderr
    assert "does not exist" in made.stderr


def test_without_a_terminal_and_without_answers_init_says_what_it_needs(tmp_path: Path) -> None:
    made = init(tmp_path)
    assert made.returncode == 2
    assert "--from-answers" in made.stderr


# --- at a terminal --------------------------------------------------------------------------------------------------------


class Terminal:
    """`rotator init` at a pseudo-terminal; ``typed`` waits for a question before it answers."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "rotator", "init", "--config", str(folder / "new.toml")]
        self.pid, self._descriptor = pty.fork()
        if not self.pid:
            os.execve(sys.executable, command, watched({**ENVIRONMENT, "HOME": str(folder), "TERM": "xterm"}))
        os.set_blocking(self._descriptor, False)
        self.shown = ""

    def answer(self, question: str, text: str) -> None:
        before = len(self.shown)
        wait_until(lambda: question in self._read()[before:], f"{question} is asked", timeout=60)
        os.write(self._descriptor, f"{text}\n".encode())
        time.sleep(0)

    def end(self) -> int:
        code: list[int] = []

        def ended() -> bool:
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            code.extend([os.waitstatus_to_exitcode(status)] if pid else [])
            return bool(pid)

        wait_until(ended, "init ends", timeout=60)
        self._read()
        os.close(self._descriptor)
        return code[0]

    def _read(self) -> str:
        try:
            while chunk := os.read(self._descriptor, 65536):
                self.shown += chunk.decode(errors="replace").replace("\r\n", "\n")
        except OSError:
            pass
        return self.shown


def test_the_questions_at_a_terminal_lead_to_a_sound_configuration_and_show_no_secret(
    tmp_path: Path, sandbox: ScalewaySandbox
) -> None:
    for name in ("alpha", "beta", "gamma"):
        sandbox.create_key(sandbox.create_application(name))
    terminal = Terminal(tmp_path)
    terminal.answer("Address", "vault.internal")
    terminal.answer("is not a web address", "https://vault.internal:8200")
    terminal.answer("How to log in", "")
    terminal.answer("Where the ledgers are", "")
    terminal.answer("Name of the account", "acme")
    terminal.answer("Organisation id", sandbox.organization_id)
    terminal.answer("Access key", sandbox.management_access_key)
    terminal.answer("Address of the API", sandbox.url)
    terminal.answer("Secret key", sandbox.management_secret)
    terminal.answer("Path of each", "kv/{name}/key")
    terminal.answer("Which of them", "1,4")
    terminal.answer("numbers from 1 to 3", "1, 3")
    terminal.answer("is replaced at the age of", "")
    terminal.answer("stays valid for", "48h")
    assert terminal.end() == 0, terminal.shown
    text = (tmp_path / "new.toml").read_text()
    assert re.findall(r"^\[applications\.(.*)\]", text, re.MULTILINE) == ["alpha", "gamma"]
    assert 'path = "kv/gamma/key"' in text
    assert 'grace = "2d"' in text
    assert "1 key, the oldest" in terminal.shown
    assert "bao policy write rotator -" in terminal.shown
    assert 'path "kv/data/alpha/key"' in terminal.shown
    assert sandbox.management_secret not in terminal.shown + text


def test_ctrl_c_at_a_question_writes_nothing(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.answer("Address", "\x03")
    assert terminal.end() == 130
    assert list(tmp_path.iterdir()) == []
