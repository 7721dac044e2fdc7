"""What the examination of Vault finds, from whole answers to whole facts."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.domain.facts import DocumentFacts, Endpoint, SecretIdFacts, TokenFacts, VaultFacts
from rotator.domain.secret import Secret
from rotator.sandbox.certificates import Authority
from rotator.vault import AppRoleAuth, Auth
from rotator.vault.codec import dump_ledger
from rotator.vault.policy import checked_rights
from rotator.vault.vault_facts import endpoint, examine_vault
from tests.support.raw_server import RawServer, refusing
from tests.support.simulated import spec
from tests.vault.contract import ledger
from tests.vault.scripted import DENIED, LOOK, MOUNT, Answer, Answers, ScriptedVault, store_on, version_of

WAY = Endpoint("https://vault.example.com:8200", certificate_ends=datetime(2027, 1, 1, tzinfo=UTC))
OFFSET = timedelta(seconds=7)
SPEC = spec(path="kv/apps/billing")
ROLE = AppRoleAuth(lambda: Secret("role"), lambda: Secret("own"))
HEALTH: Answer = (200, {"initialized": True, "sealed": False, "standby": False, "version": "2.4.4"})
RIGHTS = checked_rights("kv/rotator", "billing", "kv/apps/billing")
GIVEN: Answer = (200, {"data": {right.path: list(right.capabilities) for right in RIGHTS}})
WELL: Answers = {
    "GET sys/health": HEALTH,
    LOOK: (200, {"data": {"ttl": 0}}),
    "POST sys/capabilities-self": GIVEN,
    "GET kv/config": (200, {"data": {"max_versions": 12}}),
    "GET kv/data/rotator/applications/billing": version_of(dump_ledger(ledger())),
}
DOCUMENT = DocumentFacts("billing", "kv/apps/billing", versions=12)
SOUND = VaultFacts(WAY, version="2.4.4", token=TokenFacts(), clock_offset=OFFSET, documents=(DOCUMENT,))


def facts_of(answers: Answers, *, way: Endpoint = WAY, auth: Auth | None = None) -> VaultFacts:
    vault = ScriptedVault({**WELL, **answers})
    vault.offset = OFFSET
    return examine_vault(store_on(vault, auth), way, [SPEC])


DENIED_LOOK = (
    "the policy of the login at Vault does not allow read on kv/metadata/apps/billing: add "
    'path "kv/metadata/apps/billing" { capabilities = ["read"] }'
)

CASES: Mapping[str, tuple[Answers, VaultFacts]] = {
    "all is well": ({}, SOUND),
    "a standby": (
        {"GET sys/health": (429, {"initialized": True, "sealed": False, "standby": True, "version": "1.15.2"})},
        replace(SOUND, standby=True, version="1.15.2"),
    ),
    "a health without a version": ({"GET sys/health": (200, {"sealed": False})}, replace(SOUND, version="")),
    "not initialised": (
        {"GET sys/health": (501, {"initialized": False, "sealed": True, "version": "2.4.4"})},
        VaultFacts(WAY, state_fault="Vault is not initialised", version="2.4.4"),
    ),
    "sealed": (
        {"GET sys/health": (503, {"initialized": True, "sealed": True, "version": "2.4.4"})},
        VaultFacts(WAY, state_fault="Vault is sealed", version="2.4.4"),
    ),
    "no Vault": (
        {"GET sys/health": (404, b"<html>")},
        VaultFacts(WAY, state_fault="what answers is no Vault (status 404)"),
    ),
    "a page": (
        {"GET sys/health": (200, b"<html>")},
        VaultFacts(
            WAY,
            state_fault="Vault answered with something that is not JSON: check the address, and what stands between "
            "rotator and Vault",
        ),
    ),
    "sealed at the login": (
        {
            "GET sys/health": (200, {"sealed": False, "standby": True, "version": "2.4.4"}),
            LOOK: (503, {"errors": ["Vault is sealed"]}),
        },
        VaultFacts(
            WAY,
            state_fault="Vault is sealed: unseal it (auth/token/lookup-self was not touched)",
            version="2.4.4",
            standby=True,
        ),
    ),
    "a refused token": (
        {LOOK: (403, {"errors": ["permission denied"]})},
        VaultFacts(
            WAY,
            version="2.4.4",
            login_fault="Vault does not know the token: the token ended, was revoked or is used up; put a new one "
            "there, it is read again",
            clock_offset=OFFSET,
        ),
    ),
    "a wrong call at the login": (
        {LOOK: (405, {"errors": []})},
        VaultFacts(
            WAY,
            version="2.4.4",
            login_fault="Vault refused the call for auth/token/lookup-self as wrong (status 405)",
            clock_offset=OFFSET,
        ),
    ),
    "a token that may not look at itself": ({LOOK: DENIED}, replace(SOUND, token=None)),
    "everything about a token": (
        {
            LOOK: (
                200,
                {
                    "data": {
                        "ttl": 0,
                        "num_uses": 5,
                        "explicit_max_ttl": 7200,
                        "renewable": False,
                        "policies": ["default", "root"],
                        "bound_cidrs": ["10.0.0.0/8", "192.0.2.1/32"],
                    }
                },
            )
        },
        replace(SOUND, token=TokenFacts(5, timedelta(hours=2), False, True, ("10.0.0.0/8", "192.0.2.1/32"))),
    ),
    "a token without much to say": (
        {LOOK: (200, {"data": {"num_uses": None, "explicit_max_ttl": 0, "policies": None, "bound_cidrs": None}})},
        SOUND,
    ),
    "rights that are missing": (
        {
            "POST sys/capabilities-self": (
                200,
                {
                    "data": {
                        right.path: [one for one in right.capabilities if one not in {"create", "list"}]
                        for right in RIGHTS
                    }
                },
            )
        },
        replace(
            SOUND,
            documents=(
                DocumentFacts(
                    "billing",
                    "kv/apps/billing",
                    missing_rights=(
                        'path "kv/data/rotator/applications/billing" { capabilities = ["create"] }',
                        'path "kv/metadata/rotator/applications" { capabilities = ["list"] }',
                        'path "kv/data/apps/billing" { capabilities = ["create"] }',
                    ),
                ),
            ),
        ),
    ),
    "a path that is denied": (
        {"GET kv/metadata/apps/billing": DENIED},
        replace(
            SOUND,
            documents=(
                DocumentFacts(
                    "billing",
                    "kv/apps/billing",
                    missing_rights=('path "kv/metadata/apps/billing" { capabilities = ["read"] }',),
                ),
            ),
        ),
    ),
    "a mount that is not there": (
        {f"{MOUNT}kv/apps/billing": DENIED, f"{MOUNT}kv/rotator": DENIED},
        replace(
            SOUND,
            documents=(
                DocumentFacts(
                    "billing",
                    "kv/apps/billing",
                    fault="Vault has no mount for kv/apps/billing, or the policy of the login gives nothing on it: "
                    "check the name of the mount and the namespace, or add "
                    'path "kv/data/apps/billing" { capabilities = ["read"] }',
                ),
            ),
        ),
    ),
    "a mount of KV version 1": (
        {f"{MOUNT}kv/apps/billing": (200, {"data": {"path": "kv/", "type": "kv", "options": {}}})},
        replace(
            SOUND,
            documents=(
                DocumentFacts(
                    "billing",
                    "kv/apps/billing",
                    fault="the Vault mount kv/ is KV version 1, which ignores check-and-set: upgrade it with `bao "
                    "kv enable-versioning kv`, or name another mount",
                ),
            ),
        ),
    ),
    "a ledger that is damaged": (
        {"GET kv/data/rotator/applications/billing": version_of({"schema": 99})},
        replace(
            SOUND,
            documents=(
                replace(
                    DOCUMENT,
                    ledger_fault="the ledger of billing was written by a newer rotator (schema 99, this one knows 5); "
                    "upgrade this rotator",
                ),
            ),
        ),
    ),
    "a ledger that is not answered": (
        {"GET kv/data/rotator/applications/billing": (502, b"")},
        replace(
            SOUND,
            documents=(
                replace(
                    DOCUMENT,
                    ledger_fault="Vault answered 502 for kv/data/rotator/applications/billing: try again later",
                ),
            ),
        ),
    ),
    "the settings of the mount and of the document": (
        {
            "GET kv/metadata/apps/billing": (200, {"data": {"max_versions": 3, "delete_version_after": "2h0m0s"}}),
            "GET kv/config": (200, {"data": {"cas_required": True, "delete_version_after": "1h0m0s"}}),
        },
        replace(
            SOUND, documents=(replace(DOCUMENT, versions=3, deleted_after=timedelta(hours=1), check_and_set=True),)
        ),
    ),
}


@pytest.mark.parametrize(("answers", "facts"), CASES.values(), ids=CASES)
def test_each_state_of_vault_is_these_facts(answers: Answers, facts: VaultFacts) -> None:
    assert facts_of(answers) == facts


def test_a_way_that_ends_before_vault_is_all_that_is_found() -> None:
    way = Endpoint(WAY.address, "dns", "no such host")
    vault = ScriptedVault(WELL)
    assert examine_vault(store_on(vault), way, [SPEC]) == VaultFacts(way)
    assert vault.calls == []


LOCKED = "unlock the role and stop the machine whose credentials are wrong, or correct mount of [vault] auth"


def test_a_refused_login_has_its_remedy() -> None:
    found = facts_of({"POST auth/approle/login": (403, {"errors": ["permission denied"]})}, auth=ROLE)
    assert found.login_fault.startswith("Vault answers the AppRole login at auth/approle/login without a look")
    assert found == VaultFacts(
        WAY, version="2.4.4", login_fault=found.login_fault, login_remedy=LOCKED, clock_offset=OFFSET
    )


LOGIN: Answers = {
    "POST auth/approle/login": (200, {"auth": {"client_token": "fresh", "lease_duration": 0}}),
    LOOK: (200, {"data": {"meta": {"role_name": "rotator"}}}),
}
LOOKUP = "POST auth/approle/role/rotator/secret-id/lookup"


@pytest.mark.parametrize(
    ("answers", "facts"),
    [
        (
            {LOOKUP: (200, {"data": {"expiration_time": "2026-12-01T00:00:00Z", "secret_id_num_uses": 3}})},
            SecretIdFacts(datetime(2026, 12, 1, tzinfo=UTC), 3),
        ),
        (
            {LOOKUP: (200, {"data": {"expiration_time": "0001-01-01T00:00:00Z", "secret_id_num_uses": None}})},
            SecretIdFacts(),
        ),
        ({LOOKUP: DENIED}, None),
        ({LOOKUP: (200, b"<html>")}, None),
        ({LOOK: (200, {"data": {"meta": {"role_name": ""}}})}, None),
        ({LOOK: (200, {"data": {"meta": {"role_name": 5}}})}, None),
        ({LOOK: (200, {"data": {"meta": None}})}, None),
        ({LOOK: (403, {"errors": ["1 error occurred"], "data": {"meta": {"role_name": "rotator"}}})}, None),
    ],
)
def test_the_secret_id_of_the_login_is_what_vault_shows_of_it(answers: Answers, facts: SecretIdFacts | None) -> None:
    shown: Any = {LOOKUP: (200, {"data": {}})}
    assert facts_of({**LOGIN, **shown, **answers}, auth=ROLE).secret_id == facts


def test_a_login_by_a_token_has_no_secret_id() -> None:
    assert facts_of({LOOK: (200, {"data": {"ttl": 0, "meta": {"role_name": "rotator"}}})}).secret_id is None


# --- the way to it ---


def test_an_address_that_answers_is_an_endpoint_and_one_that_does_not_names_the_stage() -> None:
    with RawServer(b"") as server, refusing() as closed:
        port = closed.rpartition(":")[2]
        assert endpoint(server.url, None, None) == Endpoint(server.url)
        fault = f"127.0.0.1 does not take a connection at port {port} (connection refused)"
        assert endpoint(closed, None, None) == Endpoint(closed, "connect", fault)
        assert endpoint(server.url, None, closed) == Endpoint(server.url, "proxy", fault)
        assert endpoint("https://vault.invalid", None, server.url) == Endpoint("https://vault.invalid")


def test_the_end_of_a_certificate_is_read_under_the_authority_that_is_configured(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="certificates are made with it")
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    with RawServer(b"", tls=context) as server:
        trusted = endpoint(server.url, authority.certificate, None)
        assert trusted.certificate_ends is not None
        assert timedelta(days=1) < trusted.certificate_ends - datetime.now(UTC) < timedelta(days=3)
        assert trusted == Endpoint(server.url, certificate_ends=trusted.certificate_ends)
        strange = endpoint(server.url, None, None)
        assert (strange.stage, strange.certificate_ends) == ("tls", None)
        assert strange.fault.startswith("TLS with 127.0.0.1 fails (")
