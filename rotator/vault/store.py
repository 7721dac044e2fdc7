"""The two documents of each application in Vault KV version 2: the implementation of ``rotator.domain.ports.VaultStore``.

Every verb is one call in the normal case; what a mount is, what we may do and who we are is asked once in a while. A write is
made with check-and-set or not at all.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from rotator.domain.account import AccountDocument
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.ledger import Ledger
from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.errors import (
    Conflict,
    Indeterminate,
    LedgerUnreadable,
    NotFound,
    PermissionDenied,
    Rejected,
    ServiceError,
    Unavailable,
)
from rotator.util.single_flight import SingleFlight
from rotator.vault.budget import reduced_accounts, reduced_ledgers, write_first_accepted
from rotator.vault.capabilities import Capabilities
from rotator.vault.codec import load_account, load_ledger
from rotator.vault.connection import VaultConnection
from rotator.vault.decoding import VersionInfo, document_of, parse_time, state_of, versions_of
from rotator.vault.expiry import Lifetime, delete_version_after, lifetime_of
from rotator.vault.freshness import MinVersions
from rotator.vault.mounts import Mounts
from rotator.vault.policy import Right, checked_rights
from rotator.vault.responses import SERVICE, Reply, failure, mapping
from rotator.vault.secret_id_rotation import SecretIdRotation

STALE_READ_DELAYS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between the looks at a document that is older than it was, before it is called stale."""

USUAL_MAX_VERSIONS = 10
"""What KV version 2 keeps when neither the document nor the mount says a number."""

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class KvStore:
    """Ledgers under a prefix of our own, credential documents wherever their consumers read them. Thread-safe."""

    def __init__(
        self,
        connection: VaultConnection,
        ledger: str,
        *,
        secret_ids: SecretIdRotation | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.secret_ids = secret_ids
        """The rotation of the secret id of the login, where it is rotated."""
        self._connection = connection
        self._prefix = ledger.strip("/")
        self._sleep = sleep
        self._floors = MinVersions()
        self._mounts = Mounts(connection.ask_mount)
        self._rights = Capabilities(connection, self._mounts)
        self._installation = ""
        self._lifetimes: dict[str, Lifetime | None] = {}
        self._first_use = SingleFlight[str]()

    # --- ledgers ----------------------------------------------------------------------------------------------------

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
        """Write the ledger if its version is still ``cas``; the new version. Its past is dropped as far as it takes no more room
        than there is."""
        path = self._ledger_path(ledger.application)
        return write_first_accepted(reduced_ledgers(ledger), lambda data: self._write(path, data, cas)[0])

    def list_ledgers(self) -> tuple[str, ...]:
        """The applications that have a ledger."""
        path = f"{self._prefix}/applications"
        mount, inside = self._mounts.split(path)
        reply: Reply = self._connection.kv.list_secrets(inside, mount_point=mount)
        if reply.nothing_there:
            return ()
        if not reply.ok:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="list", writing=False)
        return tuple(sorted(unquote(str(key)) for key in reply.data.get("keys", ())))

    def read_account(self, account: str) -> tuple[AccountDocument, int]:
        """What is remembered of an account and of no application, and its version; an empty one and 0 when there never was one."""
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
        """Write the document of an account if its version is still ``cas``; the new version. Old mass rotations are dropped as
        far as it takes no more room than there is."""
        path = self._account_path(document.account)
        return write_first_accepted(reduced_accounts(document), lambda data: self._write(path, data, cas)[0])

    def _account_path(self, account: str) -> str:
        return f"{self._prefix}/accounts/{_name(account)}"

    def installation(self) -> str:
        """The random id of this installation, made on first use and remembered."""
        lifetime = self._lifetimes.get(f"{self._prefix}/installation")
        if self._installation and not (lifetime and lifetime.due(self.clock_offset())):
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
            # Another process may have made both since we looked: what it made first is looked for last.
            if found := self._read_installation():
                return found
            raise LedgerUnreadable(
                f"the installation id at {self._prefix}/installation is missing while ledgers exist: restore it from a backup"
            )
        if self.delete_version_after(self._prefix + "/installation"):
            raise Rejected(
                f"Vault deletes every version below {self._prefix} after some time, ledgers included: set delete_version_after of the"
                " mount to 0s, or name another mount in ledger_path",
                service=SERVICE,
                kind="versions_expire",
            )
        fresh = secrets.token_hex(8)
        try:
            self._write(f"{self._prefix}/installation", {"id": fresh}, 0)
        except Conflict:
            return self._read_installation()
        return fresh

    def _ledger_path(self, application: str) -> str:
        return f"{self._prefix}/applications/{_name(application)}"

    def _read_own(self, path: str, what: str) -> tuple[Mapping[str, Any] | None, int]:
        """The fields of a document of our own and its version; a deleted one is not the same as none."""
        reply, state, version = self._current(path)
        if state is DocumentState.ABSENT:
            return None, 0
        if state is DocumentState.DELETED:
            how = "expired, because of delete_version_after" if self._expired(path, reply) else "was deleted"
            raise LedgerUnreadable(f"{what} {how} (version {version} at {path}): undelete it, or restore an earlier version")
        data, lifetime = mapping(reply.data.get("data")), lifetime_of(reply)
        self._lifetimes[path] = lifetime
        if lifetime and lifetime.due(self.clock_offset()):
            with suppress(ServiceError):  # whoever was faster has renewed it; another failure is seen by the next write
                version, created = self._write(path, data, version)
                self._lifetimes[path] = lifetime.renewed(created)
        return data, version

    # --- credential documents ---------------------------------------------------------------------------------------

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        """The current version of a credential document, or its absence, or that it was deleted (with its version)."""
        reply, state, _ = self._current(path)
        document = document_of(reply, access_field, secret_field)
        if state is DocumentState.DELETED:
            return replace(document, expired=self._expired(path, reply))
        return document

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> CredentialDocument:
        """One version; ABSENT with the version asked for when it was pruned or never was."""
        document = document_of(self._read(path, version), access_field, secret_field)
        return CredentialDocument(version, DocumentState.ABSENT) if document.state is DocumentState.ABSENT else document

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        """Write the credential document if its version is still ``cas``; the new version and its created time."""
        plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
        return self._write(path, plain, cas)

    def read_field(self, path: str, field: str) -> Secret:
        """One field of a document, for a reference such as ``vault:MOUNT/PATH#FIELD``."""
        reply, state, _ = self._current(path)
        value = mapping(reply.data.get("data")).get(field) if state is DocumentState.LIVE else None
        if not isinstance(value, str) or not value:
            raise NotFound(f"there is no text at {path}#{field} in Vault: check the reference", service=SERVICE, kind="no_field")
        return Secret(value)

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        """Merge into the document's custom metadata, for people who look. Whoever calls may ignore that it failed."""
        mount, inside = self._mounts.split(path)
        reply = self._connection.patch(f"/v1/{mount}/metadata/{inside}", {"custom_metadata": dict(values)}, MERGE_PATCH)
        if not reply.ok:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="patch", writing=True)

    def list_versions(self, path: str) -> tuple[VersionInfo, ...]:
        """The versions of a document that Vault still knows, oldest first."""
        return versions_of(self._metadata(path))

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        """Destroy the data of these versions for good."""
        mount, inside = self._mounts.split(path)
        reply: Reply = self._connection.kv.destroy_secret_versions(inside, list(versions), mount_point=mount)
        if not reply.ok:
            raise failure(reply, path=f"{mount}/destroy/{inside}", capability="update", writing=True)

    def document_limits(self, path: str) -> int:
        """How many versions of a document Vault keeps: its own number, else its mount's, else the usual one."""
        own = self._metadata(path).get("max_versions")
        if own:
            return int(own)
        mount, _ = self._mounts.split(path)
        reply: Reply = self._connection.kv.read_configuration(mount_point=mount)
        if not reply.ok:
            raise failure(reply, path=f"{mount}/config", capability="read", writing=False)
        return int(reply.data.get("max_versions") or USUAL_MAX_VERSIONS)

    def delete_version_after(self, path: str) -> tuple[timedelta, ...]:
        """After how long Vault deletes versions of the document, as its metadata and its mount say; empty where it never does, and
        where our policy does not let us look."""
        mount, _ = self._mounts.split(path)
        found: list[timedelta | None] = []
        with suppress(PermissionDenied):
            found.append(delete_version_after(self._metadata(path)))
        reply: Reply = self._connection.kv.read_configuration(mount_point=mount)
        if reply.ok:
            found.append(delete_version_after(reply.data))
        return tuple(limit for limit in found if limit)

    def _expired(self, path: str, reply: Reply) -> bool:
        lifetime = lifetime_of(reply)
        return lifetime is not None and lifetime.expired(self.delete_version_after(path))

    def _metadata(self, path: str) -> Mapping[str, Any]:
        mount, inside = self._mounts.split(path)
        reply: Reply = self._connection.kv.read_secret_metadata(inside, mount_point=mount)
        if not reply.ok and not reply.nothing_there:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="read", writing=False)
        return reply.data

    # --- what we may do, and how Vault is -----------------------------------------------------------------------------

    def watch_paths(self, paths: Sequence[str]) -> None:
        """The credential paths whose rights shall be asked for together."""
        self._rights.watch(paths)

    def missing_capabilities(self, path: str) -> Sequence[str]:
        """What our token lacks of read, create and update on the credential path, at most five minutes ago."""
        return self._rights.missing(path)

    def missing_rights(self, application: str, path: str) -> tuple[Right, ...]:
        """What the login lacks of all that the life of an application needs, at most five minutes ago."""
        return self._rights.lacking(checked_rights(self._prefix, _name(application), path, split=self._mounts.split))

    def require_kv2(self, path: str) -> None:
        """Return when the mount of the path is proven to be KV version 2; raise ``Rejected`` when it is not."""
        self._mounts.split(path)

    def clock_offset(self) -> timedelta:
        """Vault's clock minus ours, from the latest answer; zero before the first."""
        return self._connection.clock_offset()

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long our login is still good, and for how long it was last granted; None before the first, and without an end."""
        return self._connection.login_life

    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when the present token ends; None when nothing is known to be wrong."""
        return self._connection.login_problem

    def health(self) -> Reply:
        """What Vault says of its own state, without a login."""
        return self._connection.health()

    def own_token(self) -> Reply:
        """What Vault says of the token of the login, after a login where there is none."""
        return self._connection.own_token()

    def calls(self) -> Mapping[str, int]:
        """How many calls were sent so far, by kind."""
        return self._connection.calls()

    def maintain(self) -> None:
        """Renew the login and rotate its secret id when it is time. Calls renew the login too; this renews it while there are none."""
        self._connection.maintain()
        if self.secret_ids is not None:
            self.secret_ids.maintain()

    def close(self) -> None:
        """Revoke the login if it was ours, and close the connections."""
        self._connection.close()

    # --- one call each ----------------------------------------------------------------------------------------------

    def _current(self, path: str) -> tuple[Reply, DocumentState, int]:
        """A read of the current version that is at least as new as anything seen of that path before (rule 14)."""
        for pause in (*STALE_READ_DELAYS, None):
            reply = self._read(path)
            state, version, _ = state_of(reply)
            if self._floors.reached(path, version):
                return reply, state, version
            if pause is not None:
                self._sleep(pause)
        raise Unavailable(
            f"Vault answers for {path} with a version older than one seen before: a node is behind, or the document was "
            "restored or recreated; check that, then restart rotator",
            service=SERVICE,
            kind="stale",
        )

    def _read(self, path: str, version: int | None = None) -> Reply:
        mount, inside = self._mounts.split(path)
        reply: Reply = self._connection.kv.read_secret_version(inside, version, mount, raise_on_deleted_version=True)
        if reply.ok or reply.nothing_there:
            return reply
        raise self._failed(reply, mount, inside, "read", writing=False)

    def _write(self, path: str, data: Mapping[str, Any], cas: int) -> tuple[int, datetime]:
        mount, inside = self._mounts.split(path)
        reply: Reply = self._connection.kv.create_or_update_secret(inside, dict(data), cas, mount)
        if reply.cas_mismatch:
            raise self._judged_mismatch(path, cas)
        if not reply.ok:
            raise self._failed(reply, mount, inside, "update" if cas else "create", writing=True)
        version, created = reply.data.get("version"), parse_time(reply.data.get("created_time"))
        if reply.status == 204:
            self._mounts.forget(mount)
            raise Rejected(
                f"the Vault mount {mount}/ is not KV version 2 any more", service=SERVICE, kind="not_kv2", argument=mount
            )
        if not isinstance(version, int) or created is None:
            raise Indeterminate(
                f"Vault answered the write of {path} without a version: look at it", service=SERVICE, kind="unreadable"
            )
        self._floors.reached(path, version)
        return version, created

    def _judged_mismatch(self, path: str, cas: int) -> ServiceError:
        """A refused check-and-set is a conflict only after a fresh read says so too."""
        for pause in (*STALE_READ_DELAYS, None):
            _, version, _ = state_of(self._read(path))
            if version != cas:
                return Conflict(
                    f"somebody else wrote {path} first: it is at version {version}, not {cas}", service=SERVICE, kind="conflict"
                )
            if pause is not None:
                self._sleep(pause)  # the leader knows of a version that the node which answers us may not have yet
        return Unavailable(
            f"Vault refused the write of {path} because of its version and then showed that very version: try again later",
            service=SERVICE,
            kind="stale",
        )

    def _failed(self, reply: Reply, mount: str, inside: str, capability: str, *, writing: bool) -> ServiceError:
        if reply.status == 404:
            self._mounts.forget(mount)
        return failure(reply, path=f"{mount}/data/{inside}", capability=capability, writing=writing)


def _name(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
