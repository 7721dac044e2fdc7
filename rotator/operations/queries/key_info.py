"""Describes a key: its application, its state, and what a revocation would break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotator.domain.keys import management_key_message
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker, purpose_of
from rotator.operations.queries.key_lookup import KeyLookup, look_up_keys
from rotator.operations.runtime import Runtime
from rotator.util.formatting import format_span, format_time, format_timestamp

STATES: Mapping[str, str] = {
    "current": "the current key",
    "grace": "in grace: consumers have a newer one",
    "revoking": "scheduled for revocation",
    "compromised": "marked compromised, scheduled for revocation",
    "untracked": "created by rotator, not in the ledger yet",
    "unmanaged": "unmanaged: neither created nor published by rotator",
    "management": "the key that its account logs in with: never revoked by rotator",
    "protected": "managed or not deletable at the provider",
    "revoked": "revoked",
    "foreign": "of a bearer that is no application of this configuration",
    "unknown": "unknown: no account has it, and no ledger names it",
}
"""The states of a key, with their descriptions."""


@dataclass(frozen=True)
class KeyInfo:
    """One key and its application. ``impact``: what a revocation would break, and what to do
    instead."""

    access_key: str
    state: str
    impact: str
    application: str = ""
    account: str = ""
    bearer: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoke_at: datetime | None = None
    published_at: str = ""
    version: int = 0
    purpose: str = ""
    as_of: datetime | None = None
    account_error: str = ""
    """Why the account could not be read, if only the ledger names the key."""
    unread: tuple[str, ...] = ()
    """Applications whose ledger could not be read, if the key may belong to one of them."""

    @property
    def sentence(self) -> str:
        """Everything except the impact, in one line."""
        state = STATES[self.state]
        if self.unread:
            state = (
                "unknown: no account has it, and no ledger that could be read names it (not read: "
                f"{', '.join(self.unread)})"
            )
        parts = [f"{self.access_key}: {state}"]
        if self.application:
            parts[0] += f" (application {self.application}, account {self.account})"
        elif self.account:
            parts[0] += f" (account {self.account}, bearer {self.bearer})"
        if self.created_at and self.as_of:
            parts.append(f"{format_span(self.as_of - self.created_at)} old")
        if self.published_at:
            parts.append(f"published in version {self.version} of {self.published_at}")
        if self.revoke_at:
            parts.append(f"valid until {format_time(self.revoke_at)}")
        if self.purpose:
            parts.append(f"made for: {self.purpose}")
        if self.account_error:
            parts.append(f"by its ledger alone, because the account could not be read: {self.account_error}")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """The key as JSON."""
        return {
            "access_key": self.access_key,
            "state": self.state,
            "application": self.application or None,
            "account": self.account or None,
            "bearer": self.bearer or None,
            "purpose": self.purpose or None,
            "created_at": format_timestamp(self.created_at) if self.created_at else None,
            "age_seconds": int((self.as_of - self.created_at).total_seconds())
            if self.created_at and self.as_of
            else None,
            "expires_at": format_timestamp(self.expires_at) if self.expires_at else None,
            "revoke_after": format_timestamp(self.revoke_at) if self.revoke_at else None,
            "published": {"path": self.published_at, "version": self.version} if self.published_at else None,
            "if_revoked": self.impact,
            "account_error": self.account_error or None,
            "ledgers_not_read": list(self.unread),
        }


def describe_keys(runtime: Runtime, access_keys: Sequence[str], now: datetime) -> tuple[KeyInfo, ...]:
    """Describes each of these keys."""
    names = list(dict.fromkeys(access_keys))
    found = look_up_keys(runtime, names, urgent=False)
    installation = (
        runtime.vault.installation() if any(one.key and parse_marker(one.key.description) for one in found) else ""
    )
    return tuple(describe_key(one, installation, now) for one in found)


def describe_key(found: KeyLookup, installation: str, now: datetime) -> KeyInfo:
    """Describes a key that was looked up. Pure."""
    key, ledger, spec = found.key, found.ledger, found.spec
    state = _state(found, installation, now)
    return KeyInfo(
        found.access_key,
        state,
        _impact(state, found, now),
        application=spec.application if spec else "",
        account=spec.account if spec else found.account,
        bearer=key.bearer if key else (spec.bearer if spec else ""),
        created_at=key.created_at if key else None,
        expires_at=key.expires_at if key else None,
        revoke_at=None if state == "revoked" else _revoked_at(ledger, found.access_key),
        published_at=spec.path if spec and found.version else "",
        version=found.version,
        purpose=purpose_of(key.description) if key else "",
        as_of=now,
        account_error=found.account_error,
        unread=found.unread if state == "unknown" else (),
    )


def _state(found: KeyLookup, installation: str, now: datetime) -> str:
    key, ledger, name = found.key, found.ledger, found.access_key
    if key is None and not (found.account_error and ledger is not None and name in ledger.names()):
        return "revoked" if found.spec else "unknown"
    if key is not None and key.expired(now):
        return "revoked"
    if key is not None and key.manages_account:
        return "management"
    if found.spec is None:
        return "foreign"
    if ledger is not None:
        if name in ledger.compromised_keys():
            return "compromised"
        if ledger.is_revoking(name):
            return "revoking"
        if any(entry.access_key == name for entry in ledger.retiring):
            return "grace"
    if found.version or key is None:
        return "current"
    if not key.revocable:
        return "protected"
    marker = parse_marker(key.description)
    return "untracked" if marker is not None and marker.installation == installation else "unmanaged"


def _revoked_at(ledger: Ledger | None, access_key: str) -> datetime | None:
    return (
        next((entry.revoke_after for entry in ledger.retiring if entry.access_key == access_key), None)
        if ledger
        else None
    )


def _impact(state: str, found: KeyLookup, now: datetime) -> str:
    name, key = found.spec.application if found.spec else "", found.access_key
    leaked = f"if it leaked: rotator rotate {key} --compromised --reason TEXT"
    confirmed = f"rotator rotate {key} --compromised --reason TEXT --confirm {key}"
    if state == "grace":
        until = _revoked_at(found.ledger, key)
        rest = f"; it is revoked by itself in {format_span(until - now)}" if until and until > now else ""
        return f"consumers of {name} that have not read the newer key yet would be refused{rest}; {leaked}"
    return {
        "current": f"the consumers of {name} would be refused until they read another key; {leaked} (replaces it "
        "first)",
        "revoking": f"nothing: it is being revoked; rotator status {name} shows the progress",
        "compromised": f"nothing: it is being revoked; rotator status {name} shows the progress",
        "untracked": f"nothing, or the rotation of {name} in progress would start again; {leaked}",
        "unmanaged": f"its unknown users would be refused; if it leaked: {confirmed}",
        "management": management_key_message(key, found.account),
        "protected": "it cannot be revoked here: have it removed at the provider",
        "revoked": "nothing: it is not accepted any more",
        "foreign": "rotator revokes only keys of configured applications: revoke it at the provider",
        "unknown": "nothing here: it was revoked long ago, or is of an organisation that is not in the configuration",
    }[state]
