"""Rotator's own documents in Vault: the ledger of each application, the document of each account,
the installation id."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from rotator.domain.account import AccountDocument
from rotator.domain.document import DocumentState
from rotator.domain.ledger import Ledger
from rotator.errors import (
    Conflict,
    LedgerUnreadable,
    Rejected,
    ServiceError,
)
from rotator.util.single_flight import SingleFlight
from rotator.vault.budget import reduced_accounts, reduced_ledgers, write_first_accepted
from rotator.vault.codec import load_account, load_ledger
from rotator.vault.expiry import Lifetime, lifetime_of
from rotator.vault.kv_calls import KvCalls, name_in_path
from rotator.vault.responses import SERVICE, mapping


class LedgerStore:
    """The documents below ``ledger_path``. Thread-safe."""

    def __init__(self, kv: KvCalls, prefix: str) -> None:
        self._kv = kv
        self._prefix = prefix
        self._installation = ""
        self._lifetimes: dict[str, Lifetime | None] = {}
        self._first_use = SingleFlight[str]()

    def read_ledger(self, application: str) -> tuple[Ledger | None, int]:
        """The ledger and its version; (None, 0) only when Vault has never had one."""
        data, version = self._read_own(self._ledger_path(application), f"the ledger of {application}")
        if data is None:
            return None, 0
        ledger = load_ledger(data, application)
        if ledger.application != application:
            raise LedgerUnreadable(
                f"the ledger of {application} is damaged: it says that it belongs to {ledger.application}; "
                "restore an earlier version of it in Vault"
            )
        return ledger, version

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        """Write the ledger if its version is still ``cas``; the new version. Its past is dropped as
        far as it takes no more room than there is."""
        path = self._ledger_path(ledger.application)
        return write_first_accepted(reduced_ledgers(ledger), lambda data: self._kv.write(path, data, cas)[0])

    def list_ledgers(self) -> tuple[str, ...]:
        """The applications that have a ledger."""
        return tuple(sorted(map(unquote, self._kv.names(f"{self._prefix}/applications"))))

    def read_account(self, account: str) -> tuple[AccountDocument, int]:
        """What is remembered of an account and of no application, and its version; an empty one and
        0 when there never was one."""
        data, version = self._read_own(self._account_path(account), f"the document of account {account}")
        if data is None:
            return AccountDocument(account), 0
        document = load_account(data, account)
        if document.account != account:
            raise LedgerUnreadable(
                f"the document of account {account} is damaged: it says that it belongs to {document.account}; "
                "restore an earlier version of it in Vault"
            )
        return document, version

    def write_account(self, document: AccountDocument, *, cas: int) -> int:
        """Write the document of an account if its version is still ``cas``; the new version. Old
        mass rotations are dropped as far as it takes no more room than there is."""
        path = self._account_path(document.account)
        return write_first_accepted(reduced_accounts(document), lambda data: self._kv.write(path, data, cas)[0])

    def installation(self) -> str:
        """The random id of this installation, made on first use and remembered."""
        lifetime = self._lifetimes.get(f"{self._prefix}/installation")
        if self._installation and not (lifetime and lifetime.due(self._kv.clock_offset())):
            return self._installation
        return self._first_use.ask(self._find_installation)

    def _find_installation(self) -> str:
        self._installation = self._read_installation() or self._make_installation()
        return self._installation

    def _read_installation(self) -> str:
        data, _ = self._read_own(f"{self._prefix}/installation", "the installation id")
        if data is None:
            return ""
        found = data.get("id")
        if not isinstance(found, str) or not found:
            raise LedgerUnreadable(
                f"the installation id at {self._prefix}/installation is damaged: restore an earlier version of it"
            )
        return found

    def _make_installation(self) -> str:
        if self.list_ledgers():
            # Another process may have made both since the last look: what it made first is looked
            # for last.
            if found := self._read_installation():
                return found
            raise LedgerUnreadable(
                f"the installation id at {self._prefix}/installation is missing while ledgers exist: restore it from "
                "a backup"
            )
        if self._kv.delete_version_after(self._prefix + "/installation"):
            raise Rejected(
                f"Vault deletes every version below {self._prefix} after some time, ledgers included: set "
                "delete_version_after of the mount to 0s, or name another mount in ledger_path",
                service=SERVICE,
                kind="versions_expire",
            )
        fresh = secrets.token_hex(8)
        try:
            self._kv.write(f"{self._prefix}/installation", {"id": fresh}, 0)
        except Conflict:
            return self._read_installation()
        return fresh

    def _ledger_path(self, application: str) -> str:
        return f"{self._prefix}/applications/{name_in_path(application)}"

    def _account_path(self, account: str) -> str:
        return f"{self._prefix}/accounts/{name_in_path(account)}"

    def _read_own(self, path: str, what: str) -> tuple[Mapping[str, Any] | None, int]:
        """The fields of a document of rotator and its version; a deleted one is not the same as
        none."""
        reply, state, version = self._kv.current(path)
        if state is DocumentState.ABSENT:
            return None, 0
        if state is DocumentState.DELETED:
            how = "expired, because of delete_version_after" if self._kv.expired(path, reply) else "was deleted"
            raise LedgerUnreadable(
                f"{what} {how} (version {version} at {path}): undelete it, or restore an earlier version"
            )
        data, lifetime = mapping(reply.data.get("data")), lifetime_of(reply)
        self._lifetimes[path] = lifetime
        if lifetime and lifetime.due(self._kv.clock_offset()):
            with suppress(ServiceError):  # a faster process has renewed it; another failure is seen by the next write
                version, created = self._kv.write(path, data, version)
                self._lifetimes[path] = lifetime.renewed(created)
        return data, version
