"""Retired words stay out of the prose: documents, docstrings, comments, messages, descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.words import Prose, Retired, document_prose, find, long_lines, prose, retired_words, source_prose

ROOT = Path(__file__).parents[2]
TEXTS = list(prose())


@pytest.mark.parametrize("word", retired_words(), ids=lambda word: word.word)
def test_a_retired_word_stands_in_no_more_places_than_are_left(word: Retired) -> None:
    found = find(word, TEXTS)
    places = "\n".join(f"  {place.file}:{place.line}: {place.text.strip()}" for place in found)
    advice = f'write "{word.use}" instead of "{word.word}"'
    assert len(found) <= word.left, f"{len(found)} places, at most {word.left}; {advice}:\n{places}"


def test_no_line_of_prose_or_code_is_too_long() -> None:
    assert long_lines() == [], "see: python -m tools.words --long"


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (f'"""{"x" * 93}."""', 0),
        (f'"""{"x" * 94}."""', 1),
        (f"# {'x' * 99}", 1),
        (f"x = 1  # {'x' * 110}", 0),
        (f"x = 1  # {'x' * 112}", 1),
    ],
)
def test_prose_has_at_most_100_characters_in_a_line_and_code_120(tmp_path: Path, line: str, count: int) -> None:
    (tmp_path / "rotator").mkdir()
    (tmp_path / "rotator" / "x.py").write_text(f"{line}\n")
    assert len(long_lines(tmp_path)) == count


def test_every_kind_of_prose_is_read() -> None:
    files = {text.file for text in TEXTS}
    assert {"README.md", "docs/cli.md", "config/rotator.example.toml", "rotator/observability/events.py"} <= files
    assert any(text.file == "rotator/cli/main.py" and "Rotate" in text.text for text in TEXTS)


STRANGER = next(word for word in retired_words() if word.word == "stranger")


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""A stranger."""', 1),
        ("x = 1  # strangers", 1),
        ('say(f"{key} is a stranger\'s key")', 1),
        ('x = "stranger"', 0),
        ("stranger = 1", 0),
        ('"""Reads ``stranger`` in a ledger."""', 0),
        ('"""The *stranger*, a STRANGER."""', 2),
    ],
)
def test_words_are_found_in_prose_and_not_in_names(source: str, count: int) -> None:
    assert len(find(STRANGER, list(source_prose(source, "rotator/x.py")))) == count


def test_names_in_documents_are_no_words() -> None:
    text = "A stranger.\n```\nstranger\n```\nSee `stranger` and [it](stranger.md),\n`a long\nstranger`.\nstrangers\n"
    assert find(STRANGER, list(document_prose(text, "docs/x.md"))) == [
        Prose("docs/x.md", 1, "A stranger."),
        Prose("docs/x.md", 8, "strangers"),
    ]
