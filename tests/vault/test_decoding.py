"""What Vault's answers become: values within bounds, and a damaged document where a field cannot be what it should be."""

from __future__ import annotations

import pytest

from rotator.domain.document import DocumentState
from rotator.domain.secret import MASK, redact
from rotator.vault.decoding import credential_document

UUID = "8e3a0b7c-1111-4222-8333-944445555666"
UNSOUND = [
    '"',
    "e",
    "billing",
    "0123456789a",
    f"{UUID} ",
    f"{UUID}\n",
    f"\x1b[2J{UUID}",
    "пароль-из-букв",
    "x" * 257,
    "\ud800" * 20,
]


@pytest.mark.parametrize("secret", UNSOUND, ids=ascii)
def test_c14_a_text_that_cannot_be_a_secret_makes_the_document_damaged_and_is_masked_nowhere(secret: str) -> None:
    document = credential_document(3, None, {"access_key": "SCWA", "secret_key": secret}, "access_key", "secret_key")
    assert (document.state, document.access_key, document.secret) == (DocumentState.LIVE, "SCWA", None)
    assert redact(f"before {secret} after") == f"before {secret} after"


def test_c14_the_secret_of_a_sound_document_is_masked_while_the_document_is_in_use() -> None:
    document = credential_document(3, None, {"access_key": "SCWA", "secret_key": UUID}, "access_key", "secret_key")
    assert document.secret
    assert redact(f"before {UUID} after") == f"before {MASK} after"
