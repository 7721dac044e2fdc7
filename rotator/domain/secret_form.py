"""Checks that a text can be sent as a secret; reports what an editor or a clipboard added to a
file."""

from __future__ import annotations

import re

from rotator.util.placeholders import is_placeholder

SECRET_OF_A_KEY = re.compile(r"[!-~]{12,256}")
"""At Scaleway a UUID. In any form it must fit into a header, and a shorter one could be guessed."""


def form_fault(text: str) -> str:
    """What is wrong with the form of a secret, as the end of a sentence that does not repeat it;
    empty if nothing is."""
    if not text.isascii():
        return (
            "holds a character that is not ASCII, such as a curly quote, a no-break space or a byte order mark; write "
            "the secret into it again"
        )
    if not text.isprintable():
        return "holds more than one line of text; leave only the secret in it"
    if text != text.strip():
        return "begins or ends with a blank; leave only the secret in it"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return "stands in quotation marks; leave only the secret in it"
    if is_placeholder(text):
        return "holds a placeholder of an example; write the secret into it"
    return ""
