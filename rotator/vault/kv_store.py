"""The two documents of each application in Vault KV version 2: the implementation of
``rotator.domain.ports.VaultStore``.

Every verb is one call in the normal case; the version of a mount, the rights and the login are
asked for once in a while. A write is made with check-and-set or not at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from rotator.domain.login import LoginProblem
from rotator.vault.capabilities import Capabilities
from rotator.vault.connection import VaultConnection
from rotator.vault.document_store import DocumentStore
from rotator.vault.kv_calls import KvCalls, name_in_path
from rotator.vault.ledger_store import LedgerStore
from rotator.vault.policy import Right, checked_rights
from rotator.vault.presence_documents import PresenceDocuments
from rotator.vault.responses import Reply
from rotator.vault.secret_id_rotation import SecretIdRotation


class KvStore:
    """Ledgers under a prefix of rotator's own, credential documents wherever their consumers read
    them. Thread-safe.

    The verbs on documents are those of ``LedgerStore`` and ``DocumentStore``.
    """

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
        self._kv = kv = KvCalls(connection, sleep)
        self._rights = Capabilities(connection, kv.mounts)
        self._ledgers = ledgers = LedgerStore(kv, self._prefix)
        self.presences = PresenceDocuments(kv, self._prefix)
        """The presences of the daemons of this installation."""
        documents = DocumentStore(kv)
        self.read_ledger = ledgers.read_ledger
        self.write_ledger = ledgers.write_ledger
        self.list_ledgers = ledgers.list_ledgers
        self.read_account = ledgers.read_account
        self.write_account = ledgers.write_account
        self.installation = ledgers.installation
        self.read_document = documents.read_document
        self.read_version = documents.read_version
        self.write_document = documents.write_document
        self.read_field = documents.read_field
        self.annotate = documents.annotate
        self.list_versions = documents.list_versions
        self.requires_check_and_set = documents.requires_check_and_set
        self.destroy_versions = documents.destroy_versions
        self.document_limits = documents.document_limits
        self.delete_version_after = kv.delete_version_after

    def watch_paths(self, paths: Sequence[str]) -> None:
        """The credential paths whose rights shall be asked for together."""
        self._rights.watch(paths)

    def missing_capabilities(self, path: str) -> Sequence[str]:
        """What the token lacks of read, create and update on the credential path, at most five
        minutes ago."""
        return self._rights.missing(path)

    def missing_rights(self, application: str, path: str) -> tuple[Right, ...]:
        """What the login lacks of all that the life of an application needs, at most five minutes
        ago."""
        return self._rights.lacking(
            checked_rights(self._prefix, name_in_path(application), path, split=self._kv.mounts.split)
        )

    def require_kv2(self, path: str) -> None:
        """Return when the mount of the path is proven to be KV version 2; raise ``Rejected`` when
        it is not."""
        self._kv.mounts.split(path)

    def clock_offset(self) -> timedelta:
        """Vault's clock minus this machine's, from the latest answer; zero before the first."""
        return self._connection.clock_offset()

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login is still valid, and for how long it was last granted; None before the
        first, and without an end."""
        return self._connection.login_life

    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when the present token ends; None when nothing is known to be
        wrong."""
        return self._connection.login_problem

    def health(self) -> Reply:
        """What Vault says of its own state, without a login."""
        return self._connection.health()

    def own_token(self) -> Reply:
        """What Vault says of the token of the login, after a login where there is none."""
        return self._connection.own_token()

    def own_secret_id(self, role: str) -> Reply | None:
        """What Vault says of the secret id of the login; None where the login has none."""
        return self._connection.own_secret_id(role)

    def calls(self) -> Mapping[str, int]:
        """How many calls were sent so far, by kind."""
        return self._connection.calls()

    def maintain(self) -> None:
        """Renew the login and rotate its secret id when it is time. Calls renew the login too; this
        renews it while there are none."""
        self._connection.maintain()
        if self.secret_ids is not None:
            self.secret_ids.maintain()

    def close(self) -> None:
        """Revoke the login if this process made it, and close the connections."""
        self._connection.close()
