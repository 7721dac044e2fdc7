"""Examines Vault for ``rotator doctor``: its state, the login, the rights and each document. Reads
only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from rotator.domain.facts import DocumentFacts, Endpoint, TokenFacts, VaultFacts
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, PermissionDenied, RotatorError, ServiceError
from rotator.http.reachability import WayEnds, examine
from rotator.vault.kv_store import KvStore
from rotator.vault.responses import Reply


def endpoint(address: str, ca_cert: Path | None, proxy: str | None) -> Endpoint:
    """The address of a service as this machine reaches it."""
    try:
        return Endpoint(address, certificate_ends=examine(address, ca_cert=ca_cert, proxy=proxy))
    except WayEnds as end:
        return Endpoint(address, end.stage, str(end))


def examine_vault(store: KvStore, way: Endpoint, specs: Iterable[ApplicationSpec]) -> VaultFacts:
    """What there is to know of Vault. Each question is asked only when the one before it was
    answered."""
    if way.fault:
        return VaultFacts(way)
    try:
        health = store.health()
    except ServiceError as error:
        return VaultFacts(way, state_fault=str(error))
    version = str(health.body.get("version", ""))
    if fault := _state_fault(health):
        return VaultFacts(way, state_fault=fault, version=version)
    try:
        token = store.own_token()
    except RotatorError as error:
        return VaultFacts(way, version=version, login_fault=str(error), clock_offset=store.clock_offset())
    facts = tuple(_document(store, spec) for spec in specs)
    return VaultFacts(way, version=version, token=_token(token), clock_offset=store.clock_offset(), documents=facts)


def _state_fault(health: Reply) -> str:
    if not health.body.get("initialized", True):
        return "Vault is not initialised"
    if health.body.get("sealed"):
        return "Vault is sealed"
    if "sealed" not in health.body:
        return f"what answers is no Vault (status {health.status})"
    return ""


def _token(reply: Reply) -> TokenFacts | None:
    if not reply.ok:
        return None
    ends = reply.data.get("explicit_max_ttl") or 0
    return TokenFacts(
        uses=int(reply.data.get("num_uses") or 0),
        life=timedelta(seconds=int(ends)) if ends else None,
        renewable=bool(reply.data.get("renewable", True)),
        root="root" in (reply.data.get("policies") or ()),
    )


def _document(store: KvStore, spec: ApplicationSpec) -> DocumentFacts:
    try:
        missing = tuple(right.line for right in store.missing_rights(spec.application, spec.path))
        if missing:
            return DocumentFacts(spec.application, spec.path, missing_rights=missing)
        store.require_kv2(spec.path)
        versions = store.document_limits(spec.path)
        limits = store.delete_version_after(spec.path)
    except PermissionDenied as error:
        line = (
            f'path "{error.path}" {{ capabilities = ["{error.capability}"] }}' if error.kind == "policy" else str(error)
        )
        if "has no mount" in str(error):
            return DocumentFacts(spec.application, spec.path, fault=str(error))
        return DocumentFacts(spec.application, spec.path, missing_rights=(line,))
    except ServiceError as error:
        return DocumentFacts(spec.application, spec.path, fault=str(error))
    try:
        store.read_ledger(spec.application)
        ledger_fault = ""
    except (LedgerUnreadable, ServiceError) as error:
        ledger_fault = str(error)
    return DocumentFacts(
        spec.application,
        spec.path,
        ledger_fault=ledger_fault,
        versions=versions,
        deleted_after=min(limits) if limits else None,
    )
