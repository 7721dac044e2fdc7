"""The shell completes what the daemon knows, also for a user who may not read the configuration."""

from __future__ import annotations

from pathlib import Path

from rotator.cli.completion import known
from rotator.cli.session import Session
from rotator.sandbox.process import wait_until
from tests.e2e.rig import Rig
from tests.setup.conftest import SLOW


def test_applications_accounts_and_keys_come_from_the_daemon(rig: Rig, tmp_path: Path) -> None:
    sockets = tmp_path / "sockets"
    sockets.mkdir(mode=0o755)
    rig.configure(SLOW)
    rig.configuration.write_text(rig.configuration.read_text() + f'[control]\ndirectory = "{sockets}"\n')
    rig.command("run", "--once")
    daemon = rig.daemon()
    try:
        session = Session(config=rig.configuration)
        wait_until(lambda: bool(known(session)["keys"]), "the daemon answers")
        found = known(session)
        assert found["applications"] == ["billing", "mailer"]
        assert found["accounts"] == ["acme"]
        assert set(found["keys"]) == {rig.published("billing"), rig.published("mailer")}
    finally:
        daemon.end()
        rig.daemons.remove(daemon)
