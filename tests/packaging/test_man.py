"""The manual pages: made from the commands, without a complaint of troff, and found by man in an installed wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.cli.main import COMMANDS
from tests.support.terminal import picture
from tools.man import PLACE, pages

ROOT = Path(__file__).parents[2]


def test_the_pages_are_those_of_the_commands() -> None:
    """In a process that did nothing else, as they are made."""
    made = subprocess.run(
        [sys.executable, "-c", "import json, tools.man; print(json.dumps(tools.man.pages()))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found, wanted = {page.name: page.read_text() for page in PLACE.glob("*.1")}, json.loads(made.stdout)
    differing = {name for name in found | wanted if found.get(name) != wanted.get(name)}
    assert not differing, f"make them with: python -m tools.man ({', '.join(sorted(differing))})"
    assert set(pages()) == {"rotator.1", *(f"rotator-{name}.1" for name in COMMANDS)}


def test_each_page_has_the_sections_that_people_look_for() -> None:
    for name, text in pages().items():
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"):
            assert f"\n.SH {section}\n" in text, name
        assert "\n.SH EXAMPLE" in text, name


def test_no_line_begins_with_a_request_by_accident() -> None:
    known = {'.\\"', ".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR", ".I", ".nf", ".fi"}
    for name, text in pages().items():
        assert {line.split(" ")[0] for line in text.splitlines() if line.startswith((".", "'"))} <= known, name


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_troff_has_nothing_to_say_against_them_at_any_width(columns: int) -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is missing: apt-get install groff-base")
    for page in sorted(PLACE.glob("*.1")):
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-P-cbou", f"-rLL={columns}n", str(page)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == "", page.name


def test_mandoc_has_nothing_to_say_against_them() -> None:
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("mandoc is missing: apt-get install mandoc")
    done = subprocess.run(
        [mandoc, "-Tlint", "-Wwarning", *map(str, sorted(PLACE.glob("*.1")))],
        capture_output=True,
        text=True,
        check=False,
    )
    # A page that is made anew with every change of an option has no date of its own.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize("columns", [80, 200])
def test_man_shows_a_page_on_a_terminal_of_that_width(columns: int) -> None:
    """On a narrower one the lines of examples are wrapped by the terminal, so that they can be copied."""
    if shutil.which("man") is None:
        pytest.skip("man is missing: apt-get install man-db")
    shown = subprocess.run(
        ["man", "-l", str(PLACE / "rotator-agenda.1")],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": str(columns), "MANPAGER": "cat", "LANG": "C.UTF-8"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert max(map(len, shown.splitlines())) <= columns
    assert "rotator agenda billing --days 30" in shown


def test_the_wheel_installs_pages_and_completion_where_man_and_the_shells_look(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    place = tmp_path / "there"
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--ignore-installed",
        "--no-deps",
        "--no-index",
        "--prefix",
        str(place),
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    assert len(list((place / "share/man/man1").glob("rotator*.1"))) == len(pages())
    for file in (
        "bash-completion/completions/rotator",
        "zsh/site-functions/_rotator",
        "fish/vendor_completions.d/rotator.fish",
    ):
        assert (place / "share" / file).is_file()


def test_help_on_a_terminal_and_the_page_say_the_same_of_each_option() -> None:
    shown = " ".join(picture(["agenda", "--help"], columns=80).text.split())
    page = pages()["rotator-agenda.1"].replace("\\-", "-")
    for sentence in ("How far to look ahead.", "Show what is due in the next days"):
        assert sentence in shown
        assert sentence in page
