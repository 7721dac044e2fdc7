"""Nothing of the environment decides about connections, and no command leaves its memory behind: real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.listener import Listener
from tests.support.raw_server import RawServer, answer

LOOK = """
import os, resource, sys
sys.argv = ["rotator", "--help"]
try:
    __import__("rotator.cli").cli.main()
except SystemExit:
    pass
print(resource.getrlimit(resource.RLIMIT_CORE), os.stat("/proc/self/environ").st_uid, __import__("ctypes").CDLL(None).prctl(3))
print([name for name in os.environ if os.environ[name] == "/nowhere"])
"""
HOSTILE = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def test_a_command_writes_no_core_and_no_process_of_its_user_reads_its_memory() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    limits, dumpable = done.stdout.splitlines()[-2].rsplit(" ", 1)
    assert limits.startswith("(0, 0)")
    assert dumpable == "0"


def test_a_command_drops_what_the_environment_says_about_connections() -> None:
    environment = os.environ | dict.fromkeys(HOSTILE, "/nowhere")
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_message_goes_to_its_service_and_not_to_the_proxy_of_the_environment(tmp_path: Path) -> None:
    with RawServer(answer(502, b"")) as proxy, Listener() as service:
        target = tmp_path / "target"
        target.write_text(f"json://127.0.0.1:{service.port}/")
        target.chmod(0o600)
        script = (
            "import sys\n"
            "sys.argv = ['rotator', '--help']\n"
            "import contextlib, pathlib, rotator.cli\n"
            "with contextlib.suppress(SystemExit):\n"
            "    rotator.cli.main()\n"
            "from rotator.domain.secret import Secret\n"
            "from rotator.observability.notifications.digest import sample_message\n"
            "from rotator.observability.notifications.transport import send\n"
            f"send(lambda: Secret(pathlib.Path({str(target)!r}).read_text()), sample_message('here'))\n"
        )
        environment = (
            os.environ
            | dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), proxy.url)
            | {"NO_PROXY": "", "no_proxy": ""}
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert proxy.requests == []
