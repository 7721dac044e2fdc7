"""What is shipped is complete: links of documents hold, examples are there, builds can be told apart, advice names real packages."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import rotator
from rotator.cli.main import root
from rotator.errors import RotatorError
from rotator.sandbox import require_sandbox
from rotator.system import installation
from tools.build_hook import commit
from tools.deb import FILES, contents

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXAMPLES = (
    "config/rotator.example.toml",
    "config/consumers/read_secret.py",
    "config/consumers/read-secret.sh",
    "config/consumers/agent.hcl",
    "config/consumers/billing.nomad.hcl",
    "config/consumers/external-secrets.yaml",
    "config/consumers/vault-secrets-operator.yaml",
    "config/kubernetes/cronjob.yaml",
    "config/terraform/rotator.tf",
    "config/ansible/playbook.yml",
    "config/ansible/roles/rotator/tasks/main.yml",
    "config/prometheus/rotator.rules.yml",
    "config/grafana/rotator.json",
)


def build(source: Path, target: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist of this tree."""
    packed = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    place = tmp_path_factory.mktemp("sources")
    subprocess.run(["tar", "--extract", "--file", str(packed), "--directory", str(place)], check=True)
    [tree] = place.iterdir()
    return tree


@pytest.fixture(scope="module", params=["checkout", "sdist"])
def wheel(request: pytest.FixtureRequest, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this tree, built from each form of the sources."""
    return zipfile.ZipFile(
        build(ROOT if request.param == "checkout" else sdist, "wheel", tmp_path_factory.mktemp("wheel"))
    )


def broken_links(shipped: dict[str, str]) -> list[str]:
    """The relative links of the documents among these files (name to text) that lead to none of them, and to no directory of them."""
    places = {*shipped, *(str(parent) for name in shipped for parent in Path(name).parents)}
    return [
        f"{name}: {target}"
        for name, text in shipped.items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text)
        if not target.startswith("http")
        and posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) not in places
    ]


def test_every_link_of_a_document_in_the_debian_package_leads_to_a_file_of_the_package() -> None:
    shipped = {place: (ROOT / file).read_text() for place, file in contents(ROOT).items()}
    assert set(FILES.values()) <= set(shipped)
    assert broken_links(shipped) == []
    assert {f"usr/share/doc/rotator/{example}" for example in EXAMPLES} <= set(shipped)


def test_every_link_of_a_document_in_the_wheel_leads_to_a_file_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    prefix = "rotator-0.1.0.data/data/share/doc/rotator/"
    shipped = {
        name.removeprefix(prefix): wheel.read(name).decode() for name in wheel.namelist() if name.startswith(prefix)
    }
    assert broken_links(shipped) == []
    assert {"README.md", "docs/configuration.md", *EXAMPLES} <= set(shipped)


def test_the_wheel_carries_the_commit_that_it_was_built_from(wheel: zipfile.ZipFile) -> None:
    assert re.fullmatch(r"g[0-9a-f]{12}(\.dirty)?", commit(ROOT)), "the tests run in a checkout"
    assert wheel.read("rotator/build").decode() == commit(ROOT)


def test_the_version_says_the_build_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert rotator.__version__.partition("+")[0] == PROJECT["version"]
    (tmp_path / "build").write_text("g0123456789ab")
    monkeypatch.setattr(rotator, "__file__", str(tmp_path / "__init__.py"))
    assert rotator._version() == f"{PROJECT['version']}+g0123456789ab"


def test_help_says_where_the_documents_are() -> None:
    assert f"Documents and examples: {ROOT}" in " ".join(CliRunner().invoke(root, ["--help"]).stdout.split())


@pytest.mark.parametrize("command", ["demo", "drill --sandbox"])
@pytest.mark.parametrize("pip", [True, False])
def test_what_is_missing_is_installed_by_the_names_in_the_metadata(
    command: str, pip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    monkeypatch.setattr(installation, "find_spec", lambda name: object() if pip else None)
    with pytest.raises(RotatorError) as caught:
        require_sandbox(command)
    for needed in PROJECT["optional-dependencies"]["sandbox"]:
        assert f"'{needed}'" in str(caught.value)
    assert not re.search(r"pip install '?rotator", str(caught.value))
    if not pip:
        assert f"-m rotator {command}" in str(caught.value)
        assert f"echo {installation.SITE} >" in str(caught.value)


def test_the_service_document_shows_what_the_commands_advise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda name: None)
    monkeypatch.setattr(installation, "SITE", Path("/usr/lib/rotator/site"))
    monkeypatch.setattr(sys, "version_info", (3, 11), raising=False)
    shown = (ROOT / "docs" / "service.md").read_text()
    for line in installation.advice("sandbox", "demo").split(" && "):
        assert f"$ {line}\n" in shown


def test_no_document_or_message_installs_the_package_of_another_project() -> None:
    for file in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "rotator").rglob("*.py")]:
        assert not re.search(r"install\s+'?rotator(\[|'|\s*$)", file.read_text(), re.MULTILINE), file
