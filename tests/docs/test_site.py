"""`make docs` fails on a broken link and on a page that no index lists, and the navigation has the four kinds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.site.conf import navigation

ROOT = Path(__file__).parents[2]
GENERATOR = ROOT / ".venv-docs" / "bin" / "sphinx-build"

needs_generator = pytest.mark.skipif(not GENERATOR.exists(), reason="the generator of the site is missing: make docs")


def test_the_navigation_has_the_four_kinds_with_the_pages_of_the_index() -> None:
    text = navigation("docs/index", (ROOT / "docs" / "index.md").read_text())
    assert re.findall(r"^:caption: (.+)$", text, re.MULTILINE) == ["Tutorial", "How-to", "Reference", "Explanation"]
    lists = re.findall(r"^```\{toctree\}\n(?::.+\n)+\n((?:[\w./-]+\n)+)```$", text, re.MULTILINE)
    pages = [page for block in lists for page in block.split()]
    assert len(pages) == len(set(pages))
    assert {f"{page.stem}" for page in (ROOT / "docs").glob("*.md")} - {"index"} <= set(pages)


def test_other_pages_are_left_as_they_are() -> None:
    assert navigation("docs/cli", "## One (two)\n[x](y.md)\n") == "## One (two)\n[x](y.md)\n"


PAGES = {
    "README.md": "# Program\n\n[Documents](docs/index.md)\n",
    "docs/index.md": "# Index\n\n## Learn it (tutorial)\n\n[README](../README.md) [decisions](decisions/README.md) [a](a.md)\n",
    "docs/decisions/README.md": "# Decisions\n\n## All\n\n[First](0001-first.md)\n",
    "docs/decisions/0001-first.md": "# First\n\nSee [a](../a.md#a-part) and [the example](../../config/example.toml).\n",
    "docs/a.md": "# A\n\n## A part\n\nText.\n",
    "config/example.toml": "",
}


@needs_generator
@pytest.mark.parametrize(
    ("file", "added", "complaint"),
    [
        ("docs/a.md", "", None),
        ("docs/a.md", "See [it](missing.md).", "missing.md"),
        ("docs/a.md", "See [it](index.md#missing-part).", "missing-part"),
        ("docs/unlisted.md", "# A page", "isn't included in any toctree"),
    ],
    ids=["nothing", "a broken link", "a missing heading", "an unlisted page"],
)
def test_the_site_is_built_unless_a_link_is_broken_or_a_page_is_not_listed(
    tmp_path: Path, file: str, added: str, complaint: str | None
) -> None:
    for name, text in {**PAGES, file: f"{PAGES.get(file, '')}\n{added}\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copytree(ROOT / "tools" / "site", tmp_path / "tools" / "site")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    options = re.findall(r"sphinx-build (.+) --conf-dir", (ROOT / "Makefile").read_text())[0].split()
    done = subprocess.run(
        [GENERATOR, *options, "--conf-dir", "tools/site", "--doctree-dir", "cache", ".", "site"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (complaint is None), done.stderr
    if complaint is None:
        assert (tmp_path / "site" / "search.html").is_file()
        assert "url=docs/index.html" in (tmp_path / "site" / "index.html").read_text()
    else:
        assert complaint in done.stderr
