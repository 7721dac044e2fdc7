"""The locks: everything has hashes, and they say exactly what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.deb import BUILD_LOCK

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED: dict[str, list[str]] = {
    "run.txt": PROJECT["project"]["dependencies"],
    "notify.txt": PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["notify"],
    "dev.txt": [
        *PROJECT["project"]["dependencies"],
        *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
        *PROJECT["dependency-groups"]["test"],
        *PROJECT["dependency-groups"]["lint"],
    ],
    "build.txt": PROJECT["dependency-groups"]["build"],
    "supply.txt": PROJECT["dependency-groups"]["supply"],
    "docs.txt": PROJECT["dependency-groups"]["docs"],
}


@dataclass(frozen=True)
class Pin:
    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def here(self) -> bool:
        return self.marker is None or self.marker.evaluate()


def pins(lock: Path) -> dict[str, Pin]:
    lines = [line for line in lock.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: dict[str, Pin] = {}
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        requirement, *hashes = line.split(" --hash=")
        parsed = Requirement(requirement)
        (specifier,) = parsed.specifier
        assert specifier.operator == "==", f"{lock.name}: {line[:80]} is not pinned"
        name = canonicalize_name(parsed.name)
        found[name] = Pin(name, specifier.version, parsed.marker, tuple(one.strip() for one in hashes))
    return found


def reached(wanted: list[str]) -> set[str]:
    """Everything that these requirements lead to on this machine, by what the installed packages say of themselves."""
    todo, seen = [Requirement(text) for text in wanted], set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        for text in distribution(requirement.name).requires or []:
            further = Requirement(text)
            extras = requirement.extras or {""}
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(further)
    return {name for name, _ in seen}


def test_there_is_a_lock_for_every_way_to_install() -> None:
    assert {lock.name for lock in LOCKS} == set(WANTED)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_and_has_hashes(lock: Path) -> None:
    found = pins(lock)
    assert len(found) >= len(WANTED[lock.name])
    for pin in found.values():
        assert pin.hashes, f"{lock.name}: {pin.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in pin.hashes), pin


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_lock_has_a_fitting_version_of_everything_that_pyproject_names(lock: Path) -> None:
    found = pins(lock)
    for text in WANTED[lock.name]:
        wanted = Requirement(text)
        pin = found.get(canonicalize_name(wanted.name))
        assert pin, f"{lock.name} lacks {wanted.name}: make lock"
        assert wanted.specifier.contains(pin.version), (
            f"{lock.name} has {pin}, pyproject.toml wants {wanted}: make lock"
        )


@pytest.mark.parametrize("name", ["run.txt", "notify.txt"])
def test_what_is_installed_beside_the_program_is_what_it_needs_and_nothing_else(name: str) -> None:
    locked = {pin.name for pin in pins(ROOT / "requirements" / name).values() if pin.here}
    assert locked == reached(WANTED[name])


@pytest.mark.parametrize("name", ["run.txt", "notify.txt"])
def test_what_is_installed_beside_the_program_is_what_was_tested(name: str) -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    for pin in pins(ROOT / "requirements" / name).values():
        assert (tested[pin.name].version, tested[pin.name].hashes) == (pin.version, pin.hashes)


def test_pip_is_told_to_require_the_hashes_wherever_it_installs_from_a_lock() -> None:
    places = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md")]
    commands = [
        line
        for place in places
        for line in place.read_text().splitlines()
        if "install" in line and "-r requirements/" in line
    ]
    assert commands
    for command in commands:
        assert "--require-hashes" in command


def test_the_package_is_built_by_pinned_backends_alone() -> None:
    recipe = (ROOT / "tools" / "deb.py").read_text()
    assert "--no-build-isolation" in recipe
    assert BUILD_LOCK == "requirements/build.txt"
    assert BUILD_LOCK in (ROOT / "Makefile").read_text()
    for command in re.findall(r"pip install --no-deps [^`]*", (ROOT / "docs" / "service.md").read_text()):
        assert "--no-build-isolation" in command
