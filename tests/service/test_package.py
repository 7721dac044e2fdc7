"""The package: an upgrade loses no rotation and no deadline, twice is as good as once, and a removal leaves no secret."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from tests.service.conftest import ROOT, build
from tests.service.installed import CREDENTIALS, Installed, installed


def previous(directory: Path) -> Path:
    """The tree of the commit before this one; this tree where there is none (a shallow clone), or it made no package yet."""
    tree = directory / "previous"
    tree.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD^"], capture_output=True, check=False)
    if archive.returncode == 0:
        subprocess.run(["tar", "--extract", "--directory", str(tree)], input=archive.stdout, check=True)
    return tree if (tree / "packaging").is_dir() else ROOT


@pytest.fixture(scope="module")
def here(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """A machine with the package of the previous commit."""
    directory = tmp_path_factory.mktemp("previous")
    old = build(previous(directory), directory, "1.0")
    with installed(old) as found:
        yield found


def version(here: Installed) -> str:
    return str(here.machine.run("dpkg-query", "--show", "--showformat=${Version}", "rotator").stdout)


def test_installing_starts_nothing_and_enables_nothing(here: Installed) -> None:
    assert here.machine.show("ActiveState") == "inactive"
    assert here.machine.show("UnitFileState") == "disabled"


def test_an_upgrade_from_the_previous_commit_revokes_keys_in_grace_on_time(here: Installed, package: Path) -> None:
    here.configure(grace="20s")
    here.start()
    old = here.rig.published("billing")
    here.machine.run("rotator", "rotate", "billing", "--reason", "before the upgrade")
    (entry,) = here.rig.ledger("billing")["retiring"]
    assert entry["access_key"] == old
    first = here.machine.show("MainPID")
    assert version(here) == "1.0"

    here.install(package)

    assert version(here) != "1.0"
    assert here.machine.show("ActiveState") == "active"
    assert here.machine.show("MainPID") != first, "the new program runs"
    assert here.machine.run("test", "-e", "/run/rotator.was-running", check=False).returncode != 0
    wait_until(lambda: not here.rig.scaleway.accepts(old), "the key is revoked by the new one")
    wait_until(lambda: here.rig.at_rest("billing"), "and verified as revoked")
    here.rig.check_history("billing", 20)
    here.rig.check_rest("billing")


def test_a_rotation_that_is_under_way_survives_an_upgrade(here: Installed, package: Path) -> None:
    before = here.rig.published("shop")
    here.rig.scaleway.configure(activation_delay=3600.0)
    here.configure(every="3s", grace="1s", applications=["shop"])
    here.start()
    wait_until(lambda: here.machine.said("rotation.created", "ROTATOR_APPLICATION=shop"), "a rotation is under way")
    here.rig.scaleway.configure(activation_delay=0.0)
    here.again(package)
    wait_until(lambda: here.rig.published("shop") != before, "it is done after the upgrade")
    here.configure()
    here.machine.systemctl("reload", "rotator")
    wait_until(lambda: here.rig.at_rest("shop"), "and nothing of it is left")
    here.rig.check_rest("shop")


def test_installing_it_again_changes_nothing(here: Installed, package: Path) -> None:
    files = ("/etc/rotator/rotator.toml", *(f"/etc/rotator/credentials/{name}" for name in CREDENTIALS))
    before = [here.machine.run("sha256sum", file).stdout for file in files]
    here.again(package)
    assert [here.machine.run("sha256sum", file).stdout for file in files] == before
    assert here.machine.show("ActiveState") == "active"


def test_what_was_stopped_by_a_person_stays_stopped_through_an_upgrade(here: Installed, package: Path) -> None:
    here.machine.systemctl("stop", "rotator")
    here.again(package)
    assert here.machine.show("ActiveState") == "inactive"


def test_a_removal_stops_it_and_a_purge_leaves_no_secret(here: Installed) -> None:
    here.start()
    here.machine.run("apt-get", "remove", "--yes", "--quiet", "rotator")
    assert here.machine.run("systemctl", "is-active", "rotator", check=False).stdout.strip() == "inactive"
    assert here.machine.run("test", "-e", "/run/credentials/rotator.service", check=False).returncode != 0
    here.machine.run("apt-get", "purge", "--yes", "--quiet", "rotator")
    left = here.machine.run("find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*rotator*").stdout.split()
    # What the test itself made, what dpkg and systemd remember, and the machine's own mounts.
    ours = [
        path
        for path in left
        if not path.startswith(("/etc/systemd/system/rotator.service.d", "/var/lib/systemd", "/run/host"))
    ]
    assert ours == [], ours
