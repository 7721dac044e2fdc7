"""What an editor or a clipboard leaves in a secret's file is told where it is read, by reference and never by content (hazard C8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.config import Reference
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError

PLAIN = "s3cret-0123456789"

FAULTS = {
    "a trailing blank": (f"{PLAIN} ", "begins or ends with a blank"),
    "a trailing blank before the newline": (f"{PLAIN} \n", "begins or ends with a blank"),
    "a leading tab": (f"\t{PLAIN}", "more than one line"),
    "two newlines": (f"{PLAIN}\n\n", "more than one line"),
    "a second line": (f"{PLAIN}\nand more", "more than one line"),
    "a carriage return within": (f"{PLAIN}\r\r\n", "more than one line"),
    "curly quotes": (f"\u201c{PLAIN}\u201d", "not ASCII"),
    "a no-break space": (f"{PLAIN}\u00a0", "not ASCII"),
    "a byte order mark": (f"\ufeff{PLAIN}", "not ASCII"),
    "quotation marks": (f'"{PLAIN}"', "quotation marks"),
    "apostrophes": (f"'{PLAIN}'", "quotation marks"),
}


@pytest.mark.parametrize(("content", "words"), FAULTS.values(), ids=FAULTS)
def test_c8_a_secret_that_cannot_be_sent_as_it_is_is_told_where_it_is_read(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(content.encode())
    reference = Reference.parse(f"file:{file}")
    for read in (reference.check, reference.resolve):
        with pytest.raises(ConfigurationError, match=words) as caught:
            read()
        assert str(reference) in str(caught.value)
        assert PLAIN not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), FAULTS.values(), ids=FAULTS)
def test_c8_the_same_of_a_secret_that_is_kept_in_vault(content: str, words: str) -> None:
    reference = Reference.parse("vault:secret/management#key")
    expected = (
        "more than one line" if content.endswith("\n") else words
    )  # only a file ends with a newline that is not the secret's
    with pytest.raises(ConfigurationError, match=expected) as caught:
        reference.resolve(lambda path, field: Secret(content))
    assert PLAIN not in str(caught.value)


def test_bytes_that_are_no_text_are_told_without_them(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not ASCII"):
        Reference.parse(f"file:{file}").resolve()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_one_newline_at_the_end_belongs_to_the_file(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(f"{PLAIN}{ending}".encode())
    assert Reference.parse(f"file:{file}").resolve().reveal() == PLAIN
