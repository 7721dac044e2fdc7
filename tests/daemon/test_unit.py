"""The unit file: systemd has nothing to say against it, how exposed it is, and its times fit the daemon's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.config.schema import DaemonTable
from rotator.daemon.main_loop import FIRST_LOOK

UNIT = Path(__file__).parents[2] / "systemd" / "rotator.service"
SECONDS = {"s": 1, "min": 60}


def setting(name: str) -> str:
    (found,) = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{name}=")]
    return found


def seconds(name: str) -> float:
    text = setting(name)
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * SECONDS[unit]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze (Debian: systemd)")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "drop_in", [None, *sorted(UNIT.parent.glob("*.conf"))], ids=lambda file: file.name if file else "alone"
)
def test_systemd_has_nothing_to_say_against_the_unit(drop_in: Path | None, tmp_path: Path) -> None:
    if drop_in and drop_in.name == "notify-reload.conf" and version() < 253:
        pytest.skip("Type=notify-reload needs systemd 253")
    copy = tmp_path / "rotator.service"
    copy.write_text(UNIT.read_text().replace("/usr/bin/rotator ", f"{sys.executable} "))
    if drop_in:
        (tmp_path / "rotator.service.d").mkdir()
        shutil.copy(drop_in, tmp_path / "rotator.service.d")
    found = analyze("verify", str(copy))
    # It ends with 0 also when it merely warns, of an unknown option for example: any word is a complaint.
    assert (found.stdout + found.stderr).strip() == ""


def version() -> int:
    return int(re.findall(r"systemd (\d+)", analyze("--version").stdout)[0])


def test_nothing_in_the_directory_of_sockets_is_executable_and_no_link_in_it_is_followed() -> None:
    assert "+/run/rotator" in setting("NoExecPaths").split()
    handing = [line for line in UNIT.read_text().splitlines() if "/usr/bin/chgrp" in line]
    assert len(handing) == 4
    assert all("--no-dereference" in line for line in handing)


def test_its_exposure_is_at_most_0_9() -> None:
    found = analyze("security", "--offline=true", "--no-pager", "--threshold=9", str(UNIT))
    assert found.returncode == 0, found.stdout


def test_make_exposure_asks_the_same() -> None:
    assert (
        "systemd-analyze security --offline=true --no-pager --threshold=9 systemd/rotator.service"
        in (UNIT.parents[1] / "Makefile").read_text()
    )


def test_the_stop_timeout_of_the_unit_leaves_room_for_the_daemons_own() -> None:
    own = DaemonTable.model_fields["shutdown_timeout"].default
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


def credentials_of(text: str) -> tuple[set[str], set[str]]:
    """The credentials that are loaded from files, and those whose file may be missing."""
    loaded = re.findall(r"^LoadCredentialEncrypted=(\S+):/etc/rotator/credentials/\1$", text, re.MULTILINE)
    return set(loaded), set(re.findall(r"^SetCredential=(\S+):\\n$", text, re.MULTILINE))


def test_every_credential_of_the_examples_is_loaded_and_may_be_missing() -> None:
    root = UNIT.parents[1]
    named = {
        name
        for file in (root / "config").glob("*.toml")
        for name in re.findall(r'"credential:([a-z-]+)"', file.read_text())
    }
    loaded, optional = credentials_of(UNIT.read_text())
    assert named <= loaded
    assert loaded == optional
    loaded, optional = credentials_of((UNIT.parent / "credentials.conf").read_text())
    assert loaded == optional != set()
