"""The Debian package: the program, its locked libraries, the unit and an example of a configuration, in one file for ``apt``.

``make deb`` runs this with the Python of the machine, because that is the one that will run the program: compiled libraries fit one
version of Python only, and the package depends on exactly that. The standard library is all that is needed here.

The same commit gives the same files: versions and hashes come from the lock, times from the commit, and bytecode that is never out of date.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

LOCK = "requirements/notify.txt"
"""What is installed: the program with the library for messages to people, so that switching them on needs nothing more."""

BUILD_LOCK = "requirements/build.txt"
"""What builds them. pip builds with exactly that and fetches no backend by itself."""

FILES = {
    "packaging/rotator": "usr/bin/rotator",
    "packaging/sysusers.conf": "usr/lib/sysusers.d/rotator.conf",
    "systemd/rotator.service": "usr/lib/systemd/system/rotator.service",
    "config/rotator.small.toml": "etc/rotator/rotator.toml",
    "packaging/completion/rotator.bash": "usr/share/bash-completion/completions/rotator",
    "packaging/completion/_rotator": "usr/share/zsh/vendor-completions/_rotator",
    "packaging/completion/rotator.fish": "usr/share/fish/vendor_completions.d/rotator.fish",
    "LICENSE": "usr/share/doc/rotator/copyright",
}
"""Where each file of the project goes, documents apart."""

DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "config", "systemd")
"""What goes to ``usr/share/doc/rotator``, laid out as in the repository so that links between documents hold."""

CONFFILES = "/etc/rotator/rotator.toml\n"
SCRIPTS = ("prerm", "postinst", "postrm")


def main() -> None:
    """Build the package and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, nargs="?", default=ROOT / "dist", help="where the package goes  [dist]")
    parser.add_argument("--source", type=Path, default=ROOT, help="the tree to build from  [this one]")
    parser.add_argument("--version", help="its version  [the project's, and the time of the commit]")
    options = parser.parse_args()
    print(build(options.source.resolve(), options.directory, options.version or version(options.source)))  # noqa: T201 - the answer


def version(source: Path) -> str:
    """The version of the project and, in a checkout, the time of its commit: a later commit is an upgrade."""
    project: str = tomllib.loads((source / "pyproject.toml").read_text())["project"]["version"]
    at = committed(source)
    return f"{project}+{datetime.fromtimestamp(at, UTC):%Y%m%d%H%M%S}" if at else project


def committed(source: Path) -> int:
    """When the commit of the tree was made, in seconds since 1970; 0 where there is no repository."""
    git = shutil.which("git")
    if not git:
        return 0
    command = [git, "-c", "safe.directory=*", "-C", str(source), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return int(done.stdout) if done.returncode == 0 else 0


def build(source: Path, directory: Path, name: str) -> Path:
    """The package of that tree and version, in that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        lay_out(source, tree, Path(temporary) / "pip")
        architecture = run("dpkg", "--print-architecture").strip()
        size = sum(file.lstat().st_size for file in tree.rglob("*")) // 1024
        control = tree / "DEBIAN"
        control.mkdir()
        template = (source / "packaging" / "control").read_text()
        (control / "control").write_text(
            template.format(version=name, architecture=architecture, size=size, python=PYTHON)
        )
        (control / "conffiles").write_text(CONFFILES)
        for script in SCRIPTS:
            put(source / "packaging" / script, control / script, 0o755)
        package = directory / f"rotator_{name}_{architecture}.deb"
        os.environ.setdefault("SOURCE_DATE_EPOCH", str(committed(source) or 946684800))
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(package))
        return package


def contents(source: Path) -> dict[str, str]:
    """Every place of the package outside of its libraries, and the file of the project that goes there."""
    paths = [
        path
        for name in DOCUMENTS
        for path in ((source / name).rglob("*") if (source / name).is_dir() else [source / name])
    ]
    shipped = sorted(
        str(path.relative_to(source)) for path in paths if path.is_file() and "__pycache__" not in path.parts
    )
    installed = ("systemd/rotator.service",)
    documents = {f"usr/share/doc/rotator/{name}": name for name in shipped if name not in installed}
    manual = {
        f"usr/share/man/man1/{page.name}": f"packaging/man/{page.name}"
        for page in (source / "packaging/man").glob("*.1")
    }
    return {place: file for file, place in FILES.items()} | documents | manual


def lay_out(source: Path, tree: Path, pip: Path) -> None:
    """The files as they will be on the machine, under ``tree``; pip gets an environment of its own for the time of the work."""
    for place, file in contents(source).items():
        put(source / file, tree / place, 0o755 if place.startswith("usr/bin") or file.endswith(".sh") else 0o644)
    for naming in (tree / "usr/bin/rotator", tree / "usr/lib/systemd/system/rotator.service"):
        naming.write_text(re.sub(r"/usr/bin/python3\b", f"/usr/bin/python{PYTHON}", naming.read_text()))
    (tree / "etc/rotator/credentials").mkdir(mode=0o700)
    (tree / "var/lib/rotator").mkdir(parents=True)
    site = tree / "usr/lib/rotator/site"
    run(sys.executable, "-m", "venv", str(pip))
    install = [
        str(pip / "bin/python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--use-pep517",
        "--no-build-isolation",
        "--no-compile",
        "--no-deps",
        "--target",
        str(site),
    ]
    run(*install[:4], "--require-hashes", "--only-binary=:all:", "-r", str(source / BUILD_LOCK))
    run(*install, "--require-hashes", "-r", str(source / LOCK))
    run(*install, str(source))
    for unused in ("bin", "share"):
        shutil.rmtree(site / unused, ignore_errors=True)
    # The service cannot write, so it finds its bytecode ready; and as nobody changes these files, nothing is compared.
    run(
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        str(tree),
        "-p",
        "/",
        str(site),
    )


def put(file: Path, place: Path, mode: int) -> None:
    """A copy of the file at that place, with that mode."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    place.chmod(mode)


def run(*command: str) -> str:
    """The output of a command, which has to end well."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own commands
    if done.returncode:
        sys.exit(f"deb: {' '.join(command[:6])} … failed with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
