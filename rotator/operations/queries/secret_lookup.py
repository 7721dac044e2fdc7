"""Finds the key of a secret by comparing it with the secrets in Vault. Never shows, keeps or sends
it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from rotator.domain.document import CredentialDocument
from rotator.domain.keys import ProbeResult
from rotator.domain.ports import Provider
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, ServiceError, Unavailable
from rotator.operations.ledgers import read_whole_ledger
from rotator.operations.runtime import Runtime
from rotator.util.concurrency import as_completed, run_concurrently


@dataclass(frozen=True)
class SecretMatch:
    """A secret that Vault holds: its access key and application, and the version of the
    document."""

    access_key: str
    application: str
    path: str
    version: int


def held_in_vault(
    runtime: Runtime, secrets: Sequence[Secret]
) -> tuple[tuple[SecretMatch | None, ...], tuple[str, ...]]:
    """For each secret the match in Vault, and the applications whose documents could not be read.

    Compares the current version of every credential document, and the versions of keys in grace or
    scheduled for revocation.
    """
    specs = list(runtime.specs.values())
    documents: list[tuple[ApplicationSpec, CredentialDocument]] = []
    unread: list[str] = []
    for spec, answer in zip(specs, run_concurrently(lambda spec: _documents(runtime, spec), specs), strict=True):
        if isinstance(answer, (LedgerUnreadable, ServiceError)) and not isinstance(answer, Unavailable):
            unread.append(spec.application)
        elif isinstance(answer, Exception):
            raise answer
        else:
            documents += [(spec, document) for document in answer]
    return tuple(_match(secret, documents) for secret in secrets), tuple(unread)


def _documents(runtime: Runtime, spec: ApplicationSpec) -> list[CredentialDocument]:
    vault = runtime.vault
    newest = vault.read_document(*spec.location)
    ledger = read_whole_ledger(spec, runtime.context(spec))
    named = (
        [*(entry.version for entry in ledger.retiring), *(entry.version for entry in ledger.revoking)] if ledger else []
    )
    older = set(named) - {0, newest.version}
    read = [vault.read_version(spec.path, version, spec.access_field, spec.secret_field) for version in sorted(older)]
    return [newest, *read]


def _match(secret: Secret, documents: Sequence[tuple[ApplicationSpec, CredentialDocument]]) -> SecretMatch | None:
    """Compares every document, also after a match, and in constant time."""
    given, found = secret.reveal().lower().encode(), None
    for spec, document in documents:
        if document.secret is None or document.access_key is None:
            continue
        same = hmac.compare_digest(document.secret.reveal().lower().encode(), given)
        if same and found is None:
            found = SecretMatch(document.access_key, spec.application, spec.path, document.version)
    return found


def probe_accounts(runtime: Runtime, secret: Secret) -> ProbeResult:
    """Tries a secret that Vault does not hold once with each account. Valid if one accepts it,
    rejected if all reject it."""
    names: dict[str, tuple[Provider, str]] = {}
    for spec in runtime.specs.values():
        if spec.account not in names:
            ledger, _ = runtime.vault.read_ledger(spec.application)
            if ledger is not None and ledger.current is not None:
                # A key that exists. With permission to read it the secret sees it, without it the
                # call is denied; both mean that it authenticated.
                names[spec.account] = (runtime.provider(spec.account), ledger.current.access_key)
    verdicts = []
    for _, verdict in as_completed(lambda one: one[0].authenticate(one[1], secret), names.values(), lane=id):
        if verdict is ProbeResult.VALID:
            return verdict  # the other accounts need not answer
        verdicts.append(verdict)
    rejected = verdicts and all(verdict is ProbeResult.REJECTED for verdict in verdicts)
    return ProbeResult.REJECTED if rejected else ProbeResult.INCONCLUSIVE
