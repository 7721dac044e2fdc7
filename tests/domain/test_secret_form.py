"""What is wrong with the form of a secret, in the words that a person reads."""

from __future__ import annotations

import pytest

from rotator.domain.secret_form import form_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("s3cret-0123456789", ""),
        ("two words", ""),
        ('"', ""),
        ("'a\"", ""),
        ("X-s3cret-X", ""),
        ("“quoted”", "holds a character that is not ASCII, such as a curly quote, a no-break space or a byte order mark; write the secret into it again"),
        ("one\ntwo", "holds more than one line of text; leave only the secret in it"),
        (" s3cret", "begins or ends with a blank; leave only the secret in it"),
        ("s3cret ", "begins or ends with a blank; leave only the secret in it"),
        ('"s3cret"', "stands in quotation marks; leave only the secret in it"),
        ('""', "stands in quotation marks; leave only the secret in it"),
        ("'s3cret'", "stands in quotation marks; leave only the secret in it"),
        ("CHANGE-ME", "holds a placeholder of an example; write the secret into it"),
    ],
)  # fmt: skip
def test_c8_the_form_of_a_secret_is_judged_in_one_sentence(text: str, fault: str) -> None:
    assert form_fault(text) == fault
