"""Finds keys of a bearer in fields of a credential document that the configuration does not name.

A document that a person wrote may have its key as ``SCW_ACCESS_KEY`` while the configuration says
``access_key``. It then seems to hold no key, and a rotation would add fields that no consumer
reads. So a key that a consumer may read in another field is not counted as unpublished, and blocks
the application until the configuration names the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import Key
from rotator.domain.secret_form import SECRET_OF_A_KEY

SECRET = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The form of a secret key of Scaleway, to guess its field."""

MAX_DEPTH = 8
"""Maximum depth of nested lists and tables that are searched."""


def keys_in_other_fields(document: CredentialDocument, keys: Iterable[Key], named: Collection[str]) -> dict[str, str]:
    """The keys whose names occur in other fields than ``named``, each with the first such field.
    Pure."""
    if document.state is not DocumentState.LIVE:
        return {}
    other = {name: list(_texts(value)) for name, value in sorted(document.fields.items()) if name not in named}
    found: dict[str, str] = {}
    for key in keys:
        field = next((name for name, texts in other.items() if any(key.access_key in text for text in texts)), None)
        if field is not None:
            found[key.access_key] = field
    return found


def fields_line(document: CredentialDocument, access_field: str, named: Collection[str]) -> str:
    """The line of the configuration that names that field, and the field of the secret if only one
    may hold it."""
    texts = {
        name: value for name, value in sorted(document.fields.items()) if name not in named and isinstance(value, str)
    }
    called = [name for name, value in texts.items() if "secret" in name.lower() and SECRET_OF_A_KEY.fullmatch(value)]
    formed = [name for name, value in texts.items() if SECRET.fullmatch(value)]
    likely = called if len(called) == 1 else formed
    secret_field = _toml(likely[0]) if len(likely) == 1 else "FIELD_OF_THE_SECRET"
    return f'fields = {{ {_toml(access_field)} = "{{access_key}}", {secret_field} = "{{secret_key}}" }}'


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list) and depth < MAX_DEPTH:
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, depth + 1)


def _toml(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)
