"""Builds a site from the documents as they are: `make docs`. Navigation comes from the tables of docs/index.md and docs/decisions/README.md."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

project = "rotator"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
copyright = "the authors of rotator"  # noqa: A001 - the name is Sphinx's

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md"]
exclude_patterns = [".*", "build", "dist", "rotator", "tests", "packaging", "requirements"]
root_doc = "docs/index"

myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # HCL as Vault reads it, which Pygments knows in part

html_theme = "furo"
html_title = f"rotator {version}"
html_copy_source = False
html_show_sphinx = False


def navigation(name: str, text: str) -> str:
    """The page with a list of pages after each section of an index: the pages that the tables of the section link to.

    A page that no index links to is then in no list, which Sphinx reports and `make docs` fails on.
    """
    if name not in (root_doc, "docs/decisions/README"):
        return text
    listed = {name}
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for number, part in enumerate(parts):
        kind = re.match(r"## .+\((.+)\)$", part, re.MULTILINE)
        pages = [page for page in dict.fromkeys(re.findall(r"\]\(([\w./-]+)\.md", part)) if page not in listed]
        listed.update(pages)
        if pages:
            caption = f":caption: {kind[1].capitalize()}\n" if kind else ""
            parts[number] = f"{part}\n```{{toctree}}\n:hidden:\n{caption}\n" + "\n".join(pages) + "\n```\n\n"
    return "".join(parts)


def insert_navigation(_app: Any, name: str, source: list[str]) -> None:
    """Sphinx calls this for each page that it reads; ``source`` holds the text of the page."""
    source[0] = navigation(name, source[0])


def add_front_page(app: Any, error: Exception | None) -> None:
    """The root of the site leads to the index."""
    if not error:
        (Path(app.outdir) / "index.html").write_text(f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n')


def setup(app: Any) -> None:
    """Register what is done when a page was read and at the end."""
    app.connect("source-read", insert_navigation)
    app.connect("build-finished", add_front_page)
