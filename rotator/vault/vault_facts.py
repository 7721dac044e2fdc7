"""Examines Vault for ``rotator doctor``: its state, the login, the rights and each document. Reads
only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from rotator.domain.facts import DocumentFacts, Endpoint, SecretIdFacts, TokenFacts, VaultFacts
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, PermissionDenied, RotatorError, ServiceError, Unavailable
from rotator.http.reachability import WayEnds, examine
from rotator.vault.decoding import count_of
from rotator.vault.kv_store import KvStore
from rotator.vault.responses import Reply, mapping
from rotator.vault.secret_id_rotation import end_of


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
    standby = bool(health.body.get("standby"))
    try:
        token = store.own_token()
    except Unavailable as error:
        return VaultFacts(way, state_fault=str(error), version=version, standby=standby)
    except RotatorError as error:
        remedy = error.remedy if isinstance(error, PermissionDenied) else ""
        offset = store.clock_offset()
        return VaultFacts(way, version=version, login_fault=str(error), login_remedy=remedy, clock_offset=offset)
    return VaultFacts(
        way,
        version=version,
        standby=standby,
        token=_token(token),
        secret_id=_secret_id(store, token),
        clock_offset=store.clock_offset(),
        documents=tuple(_document(store, spec) for spec in specs),
    )


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
        networks=tuple(map(str, reply.data.get("bound_cidrs") or ())),
    )


def _secret_id(store: KvStore, token: Reply) -> SecretIdFacts | None:
    """What Vault shows of the secret id of the login; None where it has none, and where the policy
    does not allow the question."""
    role = mapping(token.data.get("meta")).get("role_name") if token.ok else None
    if not isinstance(role, str) or not role:
        return None
    try:
        reply = store.own_secret_id(role)
    except RotatorError:
        return None
    if reply is None or not reply.ok:
        return None
    uses = count_of(reply.data.get("secret_id_num_uses")) or 0
    return SecretIdFacts(end_of(reply), uses, rotates_itself=store.secret_ids is not None)


def _document(store: KvStore, spec: ApplicationSpec) -> DocumentFacts:
    try:
        missing = tuple(right.line for right in store.missing_rights(spec.application, spec.path))
        if missing:
            return DocumentFacts(spec.application, spec.path, missing_rights=missing)
        store.require_kv2(spec.path)
        versions = store.document_limits(spec.path)
        limits = store.delete_version_after(spec.path)
        check_and_set = store.requires_check_and_set(spec.path)
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
        check_and_set=check_and_set,
    )
