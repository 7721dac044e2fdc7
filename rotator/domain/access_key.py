"""The form of an access key."""

from __future__ import annotations

import re

ACCESS_KEY = re.compile(r"SCW[A-Z0-9]{17}")
"""The form of an access key. Names of applications are lower case, so no text is both."""

KEY_LENGTH = 20
"""Characters of an access key."""


def is_access_key(text: str) -> bool:
    """Whether the text is an access key and not the name of an application."""
    return ACCESS_KEY.fullmatch(text) is not None


def access_key_fault(text: str) -> str:
    """Why a text is not the access key that it resembles; empty for an access key, and for a text
    that does not resemble one."""
    key = text.strip()
    capitals = key.upper()
    if is_access_key(text) or not (key.startswith("SCW") or re.fullmatch(r"SCW[A-Z0-9\s]{12,21}", capitals)):
        return ""
    difference = len(key) - KEY_LENGTH
    if key != text:
        return "begins or ends with a blank"
    if any(map(str.isspace, key)):
        return "has a blank in it"
    if key != capitals:
        return "has small letters"
    if difference:
        count, kind = abs(difference), "too many" if difference > 0 else "missing"
        return f"has {len(key)} characters, {'one is' if count == 1 else f'{count} are'} {kind}"
    return "has a character that is neither a capital letter nor a digit"
