"""Examines an account for ``rotator doctor``: login, permissions, quota, bearers and keys. Reads
only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from rotator.domain.facts import ExaminedAccount
from rotator.domain.marker import parse_marker
from rotator.domain.ports import Provider
from rotator.domain.spec import ApplicationSpec
from rotator.errors import PermissionDenied, ServiceError

KnownKeys = Callable[[ApplicationSpec], frozenset[str] | None]
"""The access keys that the documents of an application name; None if they cannot be read, or name
none."""


def examine_account(
    facts: ExaminedAccount, provider: Provider, specs: Iterable[ApplicationSpec], known: KnownKeys
) -> ExaminedAccount:
    """Adds the facts of an account to those of its endpoint."""
    if facts.endpoint.fault:
        return facts
    missing, unmanaged = [], {}
    try:
        for spec in specs:
            if not provider.bearer_exists(spec.bearer):
                missing.append(spec.application)
                continue
            names = known(spec)
            keys = provider.list_keys(spec.bearer)
            if names is not None and (
                odd := [
                    key.access_key for key in keys if key.access_key not in names and not parse_marker(key.description)
                ]
            ):
                unmanaged[spec.application] = tuple(odd)
        key = provider.get_key(facts.key) if facts.key else None
        headroom = provider.headroom(fresh=True)
    except PermissionDenied as error:
        if error.kind == "permissions_denied":
            return replace(facts, right_fault=str(error))
        return replace(facts, login_fault=str(error))
    except ServiceError as error:
        return replace(facts, fault=str(error))
    return replace(
        facts,
        clock_offset=provider.clock_offset(),
        headroom=headroom,
        missing=tuple(missing),
        unmanaged=unmanaged,
        key_created=key.created_at if key else None,
        key_expires=key.expires_at if key else None,
    )
