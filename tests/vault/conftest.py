"""Real OpenBao servers: one in memory for everything that leaves it as it was, others for what breaks them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.vault import Auth, KvStore, TokenAuth, VaultSettings, build

Build = Callable[..., KvStore]


@pytest.fixture(scope="session")
def bao() -> Iterator[OpenBao]:
    with OpenBao() as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    pytest.importorskip("cryptography", reason="certificates are made with it")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls_bao(authority: Authority) -> Iterator[OpenBao]:
    with OpenBao("raft", authority=authority, name="tls") as server:
        yield server


@pytest.fixture
def hand(bao: OpenBao) -> RootHand:
    return RootHand(bao)


@pytest.fixture
def store(bao: OpenBao, hand: RootHand, make: Build) -> KvStore:
    return make(bao, ledger=hand.prefix)


@pytest.fixture
def make() -> Iterator[Build]:
    """Builds stores and closes them in the end; with the root token unless another login is given."""
    made: list[KvStore] = []

    def build_store(server: OpenBao, auth: Auth | None = None, *, ledger: str = "", **settings: Any) -> KvStore:
        assert server.root_token
        root = server.root_token
        defaults: dict[str, Any] = {
            "address": server.address,
            "ca_cert": server.ca_cert,
            "timeout": timedelta(seconds=30),
            "ledger": ledger or f"secret/rotator-{secrets.token_hex(4)}",
        }
        made.append(build(VaultSettings(auth=auth or TokenAuth(lambda: root), **{**defaults, **settings})))
        return made[-1]

    yield build_store
    for store in made:
        store.close()


class RootHand:
    """A person with the root token."""

    def __init__(self, bao: OpenBao) -> None:
        name = secrets.token_hex(4)
        self.bao = bao
        self.root = f"secret/apps-{name}"
        self.prefix = f"secret/rotator-{name}"

    def _path(self, area: str, path: str) -> str:
        mount, _, inside = path.partition("/")
        return f"{mount}/{area}/{inside}"

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        self.bao.admin("POST", self._path("data", path), {"data": dict(fields)})

    def delete(self, path: str) -> None:
        self.bao.admin("DELETE", self._path("data", path))

    def undelete(self, path: str, version: int) -> None:
        self.bao.admin("PUT", self._path("undelete", path), {"versions": [version]})

    def delete_all(self, path: str) -> None:
        self.bao.admin("DELETE", self._path("metadata", path))

    def destroy(self, path: str, version: int) -> None:
        self.bao.admin("PUT", self._path("destroy", path), {"versions": [version]})

    def prune_to(self, path: str, versions: int) -> None:
        self.bao.admin("POST", self._path("metadata", path), {"max_versions": versions})

    def custom_metadata(self, path: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self.bao.admin("GET", self._path("metadata", path)).data["custom_metadata"]
        return found

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        self.bao.admin("POST", self._path("metadata", path), {"custom_metadata": dict(values)})


def file_with(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
