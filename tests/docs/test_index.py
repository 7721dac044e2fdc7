"""Every page is in an index, and every link between the documents leads to a page and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]
KINDS = ["tutorial", "how-to", "reference", "explanation"]


def links(file: Path) -> list[tuple[str, str]]:
    """The relative links of a document outside its blocks of code: path and anchor, each possibly empty."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    return [(path, anchor) for path, anchor in found if not path.startswith(("http:", "https:"))]


def anchors(file: Path) -> set[str]:
    """The anchors of the headings of a document, by the rule of the common renderers."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets(file: Path) -> set[Path]:
    return {(file.parent / path).resolve() for path, _ in links(file) if path}


def test_the_index_has_the_four_kinds() -> None:
    headings = re.findall(r"^## .+\((.+)\)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert headings == KINDS


def test_every_page_is_in_the_index() -> None:
    missing = {page for page in DOCS.glob("*.md") if page.name != "index.md"} - targets(DOCS / "index.md")
    assert not missing


def test_every_decision_and_every_number_left_out_is_in_the_index_of_decisions() -> None:
    index = DOCS / "decisions" / "README.md"
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", index.read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, int(pages[-1].name[:4]) + 1))
    by_number = {int(page.name[:4]): page for page in pages}
    for number, row in rows:
        page = by_number.get(int(number))
        if page is None:
            assert row.startswith("not used"), number
        else:
            title = page.read_text().splitlines()[0].removeprefix(f"# {number}. ")
            assert row == f"[{title}]({page.name})"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(document: Path) -> None:
    for path, anchor in links(document):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_every_package_is_in_the_map_of_contributing_and_of_the_architecture() -> None:
    packages = {file.parent.name for file in (ROOT / "rotator").glob("*/__init__.py")} - {"util"}
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    architecture = (DOCS / "architecture.md").read_text()
    for package in packages:
        assert f"`rotator/{package}`" in contributing, package
        assert f"`{package}`" in architecture, package


def test_every_path_and_target_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"`((?:rotator|tests|tools|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for names in re.findall(r"`make ([a-z -]+)`", text):
        for name in names.split():
            assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
