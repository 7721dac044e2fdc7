from __future__ import annotations

from tests.vault.contract import VaultStoreContract


class TestKvStoreOnOpenBao(VaultStoreContract):
    """The real adapter on the real server; the fixtures are those of this folder."""
