"""Recognises values of an example that have not been replaced."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_RESERVED = re.compile(r"(?:.+\.)?(?:example\.(?:com|net|org)|example|invalid)\.?", re.IGNORECASE)
"""Host names that RFC 2606 reserves for documentation: no server has one."""

_WORDS = re.compile(
    r"(?:change|replace|fill|insert)[-_ ]?(?:me|this|in|it)|todo|fixme|placeholder|x{3,}|\.{3}|…|<[^<>]*>",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"([0-9a-f])\1{7}-\1{4}-[0-9a-f]\1{3}-[0-9a-f]\1{3}-\1{12}", re.IGNORECASE)
"""An identifier of one repeated digit, except for the version and variant of a UUID."""

_ACCESS_KEY = re.compile(r"SCW(.)\1{16}", re.IGNORECASE)


def is_placeholder(text: str) -> bool:
    """Whether the text is an example value: an address, an identifier, an access key, or a word
    such as ``CHANGE-ME``."""
    if _WORDS.fullmatch(text) or _IDENTIFIER.fullmatch(text) or _ACCESS_KEY.fullmatch(text):
        return True
    try:
        host = urlsplit(text).hostname if "://" in text else None
    except ValueError:
        return False
    return bool(host and _RESERVED.fullmatch(host))
