"""Finds retired words in prose: documents, docstrings, comments, messages and descriptions.

``tools/retired_words.toml`` has the words, the present one for each, and how many places are left. ``python -m tools.words WORD...``
lists the places of words, ``python -m tools.words`` the counts, ``python -m tools.words --lower`` writes the counts that have fallen, and
``python -m tools.words --long`` lists the lines that are too long.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tools" / "retired_words.toml"
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "config/**/*.toml", "config/**/*.yml", "systemd/**/*")

LONGEST_PROSE, LONGEST_CODE = 100, 120
"""Characters in a line of a docstring or a comment, and in a line of code."""


@dataclass(frozen=True)
class Retired:
    """A word that is no longer used. ``left`` is the number of places that may still have it."""

    word: str
    pattern: re.Pattern[str]
    use: str
    left: int
    exceptions: tuple[str, ...]
    """Beginnings of paths in which the word may stay."""


@dataclass(frozen=True)
class Prose:
    """A piece of text that people read, and where it begins."""

    file: str
    line: int
    text: str


def retired_words() -> list[Retired]:
    """The list. A word also retires its plural; ``pattern`` replaces that rule."""
    table = tomllib.loads(LIST.read_text())
    return [
        Retired(
            word,
            re.compile(rf"(?<![\w.-])(?:{entry.get('pattern', re.escape(word) + 's?')})(?![\w-])", re.IGNORECASE),
            entry["use"],
            entry.get("left", 0),
            tuple(entry.get("exceptions", ())),
        )
        for word, entry in table.items()
    ]


def prose(root: Path = ROOT) -> Iterator[Prose]:
    """All prose of the project."""
    for pattern in DOCUMENTS:
        for file in sorted(root.glob(pattern)):
            if file.is_file():
                yield from document_prose(file.read_text(), str(file.relative_to(root)))
    for file in sorted((root / "rotator").rglob("*.py")):
        yield from source_prose(file.read_text(), str(file.relative_to(root)))


def document_prose(text: str, file: str) -> Iterator[Prose]:
    """The lines of a document without code blocks, code spans and targets of links: those hold names, not words."""
    text = re.sub(r"^ *```.*?^ *```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    for number, line in enumerate(_without_names(text).splitlines(), 1):
        yield Prose(file, number, line)


def source_prose(text: str, file: str) -> Iterator[Prose]:
    """Comments, docstrings, and strings of several words of a module."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(file, token.start[0], _without_names(token.string))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            for offset, line in enumerate(node.value.splitlines()):
                yield Prose(file, node.lineno + offset, _without_names(line))


def _without_names(text: str) -> str:
    spans = r"(`+)(?:[^`\n]|\n(?!\n))+\1|\]\([^)\n]*\)"
    return re.sub(spans, lambda span: " " + "\n" * span[0].count("\n"), text)


def find(word: Retired, texts: list[Prose]) -> list[Prose]:
    """The places of a word, each as often as the word is there."""
    return [
        place
        for place in texts
        if not place.file.startswith(word.exceptions or ("\0",))
        for _ in word.pattern.finditer(place.text)
    ]


def long_lines(root: Path = ROOT) -> list[Prose]:
    """Lines of modules that are longer than 100 characters in docstrings and comments, or than 120 in code."""
    found = []
    for file in sorted((root / "rotator").rglob("*.py")):
        text = file.read_text()
        prose_lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
                prose_lines.add(token.start[0])
            elif token.type == tokenize.STRING and token.string.startswith(('"""', 'r"""')):
                prose_lines.update(range(token.start[0], token.end[0] + 1))
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > (LONGEST_PROSE if number in prose_lines else LONGEST_CODE):
                found.append(Prose(str(file.relative_to(root)), number, line))
    return found


def main(arguments: list[str]) -> None:
    """List places or counts, or lower the counts of the list."""
    if arguments == ["--long"]:
        sys.stdout.write("".join(f"{line.file}:{line.line}: {len(line.text)}\n" for line in long_lines()))
        return
    texts = list(prose())
    for word in retired_words():
        found = find(word, texts)
        if word.word in arguments:
            for place in found:
                sys.stdout.write(f"{place.file}:{place.line}: {place.text.strip()}\n")
        elif arguments == ["--lower"] and len(found) < word.left:
            header = re.escape(f"[{word.word}]" if re.fullmatch(r"[\w-]+", word.word) else f'["{word.word}"]')
            LIST.write_text(
                re.sub(rf"(?<=\n)({header}\n(?:.+\n)*?left = )\d+", rf"\g<1>{len(found)}", LIST.read_text())
            )
        elif not arguments:
            sys.stdout.write(f"{len(found):4} (at most {word.left}) {word.word}: write {word.use}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
