"""The checks of ``rotator doctor`` about Vault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rotator.domain.facts import DocumentFacts, Facts, SecretIdFacts, VaultFacts
from rotator.operations.queries.diagnosis import Check, Outcome
from rotator.operations.queries.doctor_checks import CERTIFICATE_WARNING, check_endpoint, skipped
from rotator.util.formatting import format_span, pluralize

FEWEST_VERSIONS = 3
"""A document that keeps fewer loses secrets with which a revocation is verified."""

SECRET_ID_WARNING = timedelta(days=7)
"""A secret id that ends sooner, and that no process replaces, gets a warning."""

SHORTEST_LOGIN = timedelta(minutes=10)
"""A login that ends sooner leaves no time for the verification of a key."""


def check_vault(facts: Facts) -> Iterator[Check]:
    """The checks of Vault, in the order of their dependencies."""
    vault = facts.vault
    yield from check_endpoint("vault", vault.endpoint, facts.at)
    if vault.endpoint.fault:
        yield from map(skipped, ("vault state", "vault login", "vault documents"))
        return
    if vault.state_fault:
        yield Check("vault state", "failed", vault.state_fault, _state_remedy(vault))
        yield from map(skipped, ("vault login", "vault documents"))
        return
    node = ", a standby that forwards calls" if vault.standby else ""
    yield Check("vault state", "ok", f"unsealed, version {vault.version}{node}")
    if vault.login_fault:
        usual = "replace the credentials that [vault] auth refers to, or correct the role at Vault"
        yield Check("vault login", "failed", vault.login_fault, vault.login_remedy or usual)
        yield skipped("vault documents")
        return
    yield _token(vault)
    if vault.secret_id is not None:
        yield _secret_id(vault.secret_id, facts.at)
    if vault.client_certificate_ends is not None:
        yield _client_certificate(vault.client_certificate_ends - facts.at)
    yield from _documents(vault.documents)


def _token(vault: VaultFacts) -> Check:
    token, name = vault.token, "vault login"
    if token is None:
        return Check(name, "ok", "logged in; the token may not be looked up")
    if token.uses:
        return Check(
            name, "warning", f"the token ends after {token.uses} more calls", "set token_num_uses = 0 at the role"
        )
    if token.root:
        return Check(
            name, "warning", "the login is a root token", "log in by an AppRole with the policy of rotator policy"
        )
    if token.life is not None and token.life < SHORTEST_LOGIN:
        ends = f"the token ends after {format_span(token.life)} in all, whatever is renewed"
        return Check(name, "warning", ends, "raise token_explicit_max_ttl of the role, or set it to 0")
    if not token.renewable:
        return Check(name, "warning", "the token cannot be renewed", "use a renewable token, or an AppRole")
    networks = f", accepted from {', '.join(token.networks)} only" if token.networks else ""
    return Check(name, "ok", f"logged in, the token is renewed{networks}")


def _state_remedy(vault: VaultFacts) -> str:
    if vault.standby:
        return "see why the cluster has no active node: bao operator raft list-peers"
    return "unseal it" if "sealed" in vault.state_fault else "initialise it, or correct the address"


def _secret_id(secret_id: SecretIdFacts, now: datetime) -> Check:
    name = "vault secret id"
    if secret_id.uses:
        ends = f"it is good for {pluralize(secret_id.uses, 'more login')}"
        return Check(name, "warning", ends, "set secret_id_num_uses = 0 at the role, and make a new secret id")
    if secret_id.ends is None:
        return Check(name, "ok", "it has no end")
    left = secret_id.ends - now
    if left < SECRET_ID_WARNING and not secret_id.rotates_itself:
        remedy = "set own_secret_id, or make a new one and replace it"
        return Check(name, "warning", f"it ends in {format_span(left)}", remedy)
    rotated = ", and is rotated" if secret_id.rotates_itself else ""
    return Check(name, "ok", f"it ends in {format_span(left)}{rotated}")


def _client_certificate(left: timedelta) -> Check:
    name = "vault client certificate"
    if left < CERTIFICATE_WARNING:
        remedy = "renew the certificate that [vault] auth refers to"
        return Check(name, "warning", f"it ends in {format_span(left)}", remedy)
    return Check(name, "ok", f"valid for {format_span(left)}")


def _documents(documents: Sequence[DocumentFacts]) -> Iterator[Check]:
    yield _summed(
        "vault rights",
        [(one.application, one.missing_rights[0]) for one in documents if one.missing_rights],
        "the policy lacks",
        "install the policy that rotator policy prints",
    )
    readable = [one for one in documents if not one.missing_rights]
    yield _summed(
        "vault mounts",
        [(one.application, one.fault) for one in readable if one.fault],
        "",
        "correct path in the configuration, or mount KV version 2 there",
    )
    sound = [one for one in readable if not one.fault]
    yield _summed(
        "vault ledgers",
        [(one.application, one.ledger_fault) for one in sound if one.ledger_fault],
        "",
        "restore the last good version of the ledger in Vault",
    )
    few = [one for one in sound if one.versions is not None and one.versions < FEWEST_VERSIONS]
    yield _summed(
        "vault versions",
        [(one.application, f"{one.path} keeps {pluralize(one.versions or 0, 'version')}") for one in few],
        "",
        f"set max_versions of the document to {FEWEST_VERSIONS} or more",
        outcome="warning",
    )
    if sound:
        required = sum(one.check_and_set for one in sound)
        yield Check(
            "vault check-and-set", "ok", f"required by Vault for {required} of {pluralize(len(sound), 'document')}"
        )
    yield _summed(
        "vault expiry",
        [
            (one.application, f"Vault deletes versions of {one.path} after {format_span(one.deleted_after)}")
            for one in sound
            if one.deleted_after
        ],
        "",
        "set delete_version_after of the mount and of the document to 0s",
    )


def _summed(
    name: str, faults: Sequence[tuple[str, str]], verb: str, remedy: str, *, outcome: Outcome = "failed"
) -> Check:
    """One line for all applications: the first fault, and the number of others."""
    if not faults:
        return Check(name, "ok", "nothing is missing" if verb else "sound")
    application, fault = faults[0]
    more = f" (and {pluralize(len(faults) - 1, 'more application')})" if len(faults) > 1 else ""
    return Check(name, outcome, f"{application}: {verb} {fault}".replace("  ", " ") + more, remedy)
