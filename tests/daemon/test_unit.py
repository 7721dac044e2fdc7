"""The unit file: systemd has nothing to say against it, and its times fit the daemon's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.config.schema import Daemon
from rotator.daemon.loop import FIRST_LOOK

UNIT = Path(__file__).parents[2] / "systemd" / "rotator.service"
SECONDS = {"s": 1, "min": 60}


def setting(name: str) -> str:
    (found,) = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{name}=")]
    return found


def seconds(name: str) -> float:
    text = setting(name)
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * SECONDS[unit]


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    copy = tmp_path / "rotator.service"
    copy.write_text(UNIT.read_text().replace("/opt/rotator/bin/rotator", sys.executable))
    found = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False)
    # It ends with 0 also when it merely warns, of an unknown option for example: any word is a complaint.
    assert (found.stdout + found.stderr).strip() == ""


def test_the_stop_timeout_of_the_unit_leaves_room_for_the_daemons_own() -> None:
    own = Daemon.model_fields["stop_timeout"].default
    assert timedelta(seconds=seconds("TimeoutStopSec")) >= own + timedelta(seconds=10)


def test_the_start_timeout_of_the_unit_leaves_room_for_the_first_look() -> None:
    assert seconds("TimeoutStartSec") > 2 * FIRST_LOOK


def test_every_setting_of_the_service_is_explained_by_a_comment_above_its_group() -> None:
    commented = False
    for line in UNIT.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif not line.strip() or line.startswith("["):
            commented = line.startswith(("[Unit]", "[Install]"))
        else:
            assert commented, line
