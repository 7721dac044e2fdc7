"""What `rotator doctor` makes of facts: every line, with its outcome and remedy. Pure; tests/setup provokes the faults for real."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.facts import (
    DocumentFacts,
    Endpoint,
    ExaminedAccount,
    Facts,
    MachineFacts,
    SecretIdFacts,
    TokenFacts,
    UnitFacts,
    VaultFacts,
)
from rotator.operations.queries.diagnosis import Check, Diagnosis, Outcome
from rotator.operations.queries.doctor import diagnose
from rotator.operations.queries.doctor_machine import HARDENING

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
UNIT = {"ActiveState": "active", "UnitFileState": "enabled", "WatchdogUSec": "3min", "NRestarts": "4", **HARDENING}

BILLING = DocumentFacts("billing", "secret/apps/billing", versions=3, check_and_set=True)
MAILER = replace(BILLING, application="mailer", path="secret/apps/mailer", versions=10)
VAULT = VaultFacts(
    Endpoint("https://vault.test:8200 (192.0.2.1)", certificate_ends=NOW + 30 * DAY),
    version="2.4.1",
    token=TokenFacts(life=10 * MINUTE),
    secret_id=SecretIdFacts(NOW + 7 * DAY),
    client_certificate_ends=NOW + 21 * DAY,
    clock_offset=30 * SECOND,
    documents=(BILLING, MAILER),
)
ACME = ExaminedAccount(
    "acme",
    Endpoint("https://api.test (192.0.2.2)", certificate_ends=NOW + 21 * DAY),
    clock_offset=timedelta(0),
    headroom=2,
    key="SCWMANAGEMENT",
    key_created=NOW - 180 * DAY,
    key_expires=NOW + 21 * DAY,
)
MACHINE = MachineFacts(
    UnitFacts(UNIT),
    sockets="/run/rotator, of the group rotator",
    heartbeat=True,
    notifications=1,
)
SOUND = Facts(NOW, VAULT, (ACME,), MACHINE)

LINES = [
    "ok | vault name | https://vault.test:8200 (192.0.2.1)",
    "ok | vault connection | https://vault.test:8200 (192.0.2.1)",
    "ok | vault certificate | valid for 30d",
    "ok | vault state | unsealed, version 2.4.1",
    "ok | vault login | logged in, the token is renewed",
    "ok | vault secret id | it ends in 7d",
    "ok | vault client certificate | valid for 21d",
    "ok | vault rights | nothing is missing",
    "ok | vault mounts | sound",
    "ok | vault ledgers | sound",
    "ok | vault versions | sound",
    "ok | vault check-and-set | required by Vault for 2 of 2 documents",
    "ok | vault expiry | sound",
    "ok | acme name | https://api.test (192.0.2.2)",
    "ok | acme connection | https://api.test (192.0.2.2)",
    "ok | acme certificate | valid for 21d",
    "ok | acme login | accepted",
    "ok | acme right | sufficient",
    "ok | acme applications | each exists",
    "ok | acme quota | room for 2 more keys",
    "ok | acme keys | each is known",
    "ok | acme management key | SCWMANAGEMENT is 180d old",
    "ok | clocks | they agree",
    "ok | unit | active, starts with the machine, restricted as shipped",
    "ok | sockets | /run/rotator, of the group rotator",
    "ok | heartbeat | configured",
    "ok | notifications | configured",
]


def told(facts: Facts) -> list[str]:
    """The lines of the diagnosis, each with its remedy if it has one."""
    return [
        f"{check.outcome} | {check.name} | {check.message}{f' -> {check.remedy}' if check.remedy else ''}"
        for check in diagnose(facts).checks
    ]


def vault(**changes: Any) -> Facts:
    return replace(SOUND, vault=replace(VAULT, **changes))


def account(**changes: Any) -> Facts:
    return replace(SOUND, accounts=(replace(ACME, **changes),))


def machine(**changes: Any) -> Facts:
    return replace(SOUND, machine=replace(MACHINE, **changes))


def unit(**properties: str) -> Facts:
    return machine(unit=UnitFacts({**UNIT, **properties}))


def documents(**changes: Any) -> Facts:
    """The document of billing is as it says, and that of mailer is sound."""
    return vault(documents=(replace(BILLING, **changes), MAILER))


def way(stage: str, fault: str) -> Endpoint:
    return Endpoint("https://vault.test:8200", stage, fault)


def skipped(*names: str) -> list[str]:
    return [f"skipped | {name} | an earlier check failed" for name in names]


WITHOUT_VAULT = ("vault state", "vault login", "vault documents")
WITHOUT_ACCOUNT = (
    "acme login",
    "acme right",
    "acme applications",
    "acme quota",
    "acme keys",
    "acme management key",
)
AFTER_LOGIN = (
    "vault secret id",
    "vault client certificate",
    "vault rights",
    "vault mounts",
    "vault ledgers",
    "vault versions",
    "vault check-and-set",
    "vault expiry",
)
"""What is left out when the documents are not examined."""

ORDER = [line.split(" | ")[1] for line in LINES]
ORDER.insert(ORDER.index("vault login") + 1, "vault documents")
ORDER.insert(ORDER.index("unit") + 1, "groups")


def test_an_installation_without_a_fault_has_a_green_line_for_each_check_in_the_order_of_dependencies() -> None:
    assert told(SOUND) == LINES
    assert diagnose(SOUND).at == NOW


CASES: dict[str, tuple[Facts, list[str]]] = {
    # Vault
    "a name that is not found": (
        vault(endpoint=way("dns", "vault.test has no address")),
        [
            (
                "failed | vault name | vault.test has no address"
                " -> correct the address in the configuration, or the name server of this machine"
            ),
            *skipped("vault connection", "vault certificate", *WITHOUT_VAULT),
        ],
    ),
    "a proxy that does not run": (
        vault(endpoint=way("proxy", "the proxy does not take a connection")),
        [
            "ok | vault name | https://vault.test:8200",
            (
                "failed | vault connection | the proxy does not take a connection"
                " -> correct proxy in the configuration, or start the proxy"
            ),
            *skipped("vault certificate", *WITHOUT_VAULT),
        ],
    ),
    "a service that does not listen": (
        vault(endpoint=way("connect", "it does not take a connection")),
        [
            "ok | vault name | https://vault.test:8200",
            (
                "failed | vault connection | it does not take a connection"
                " -> correct the address, start the service, or open the firewall between"
            ),
            *skipped("vault certificate", *WITHOUT_VAULT),
        ],
    ),
    "a certificate of an unknown authority": (
        vault(endpoint=way("tls", "unknown authority")),
        [
            "ok | vault name | https://vault.test:8200",
            "ok | vault connection | https://vault.test:8200",
            (
                "failed | vault certificate | unknown authority"
                " -> set ca_cert to the authority of the service, or replace its certificate"
            ),
            *skipped(*WITHOUT_VAULT),
        ],
    ),
    "a certificate that ends soon": (
        vault(endpoint=replace(VAULT.endpoint, certificate_ends=NOW + 21 * DAY - SECOND)),
        [
            "warning | vault certificate | the certificate ends in 20d23h -> renew the certificate of the service",
        ],
    ),
    "a sealed Vault": (
        vault(state_fault="Vault is sealed"),
        ["failed | vault state | Vault is sealed -> unseal it", *skipped("vault login", "vault documents")],
    ),
    "a Vault that is not initialised": (
        vault(state_fault="Vault is not initialised"),
        [
            "failed | vault state | Vault is not initialised -> initialise it, or correct the address",
            *skipped("vault login", "vault documents"),
        ],
    ),
    "a standby without an active node": (
        vault(state_fault="no active node", standby=True),
        [
            (
                "failed | vault state | no active node"
                " -> see why the cluster has no active node: bao operator raft list-peers"
            ),
            *skipped("vault login", "vault documents"),
        ],
    ),
    "a standby": (
        vault(standby=True),
        ["ok | vault state | unsealed, version 2.4.1, a standby that forwards calls"],
    ),
    "a refused login": (
        vault(login_fault="invalid secret id"),
        [
            (
                "failed | vault login | invalid secret id"
                " -> replace the credentials that [vault] auth refers to, or correct the role at Vault"
            ),
            *skipped("vault documents"),
        ],
    ),
    "a refused login with a remedy of its own": (
        vault(login_fault="the role is locked", login_remedy="unlock the role"),
        ["failed | vault login | the role is locked -> unlock the role", *skipped("vault documents")],
    ),
    "a token that may not be looked up": (
        vault(token=None),
        ["ok | vault login | logged in; the token may not be looked up"],
    ),
    "a token with a limited number of calls": (
        vault(token=TokenFacts(uses=1, root=True)),
        ["warning | vault login | the token ends after 1 more calls -> set token_num_uses = 0 at the role"],
    ),
    "a root token": (
        vault(token=TokenFacts(root=True, life=SECOND)),
        [
            (
                "warning | vault login | the login is a root token"
                " -> log in by an AppRole with the policy of rotator policy"
            ),
        ],
    ),
    "a token that ends whatever is renewed": (
        vault(token=TokenFacts(life=10 * MINUTE - SECOND, renewable=False)),
        [
            (
                "warning | vault login | the token ends after 9m59s in all, whatever is renewed"
                " -> raise token_explicit_max_ttl of the role, or set it to 0"
            ),
        ],
    ),
    "a token that cannot be renewed": (
        vault(token=TokenFacts(renewable=False)),
        ["warning | vault login | the token cannot be renewed -> use a renewable token, or an AppRole"],
    ),
    "a token that two networks may use": (
        vault(token=TokenFacts(networks=("192.0.2.0/24", "198.51.100.0/24"))),
        ["ok | vault login | logged in, the token is renewed, accepted from 192.0.2.0/24, 198.51.100.0/24 only"],
    ),
    "a secret id with one login left": (
        vault(secret_id=SecretIdFacts(NOW, uses=1)),
        [
            (
                "warning | vault secret id | it is good for 1 more login"
                " -> set secret_id_num_uses = 0 at the role, and make a new secret id"
            ),
        ],
    ),
    "a secret id without an end": (
        vault(secret_id=SecretIdFacts()),
        ["ok | vault secret id | it has no end"],
    ),
    "a secret id that ends soon": (
        vault(secret_id=SecretIdFacts(NOW + 7 * DAY - SECOND)),
        [
            "warning | vault secret id | it ends in 6d23h -> set own_secret_id, or make a new one and replace it",
        ],
    ),
    "a secret id that ends soon and is rotated": (
        vault(secret_id=SecretIdFacts(NOW + DAY, rotates_itself=True)),
        ["ok | vault secret id | it ends in 1d, and is rotated"],
    ),
    "a client certificate that ends soon": (
        vault(client_certificate_ends=NOW + 21 * DAY - SECOND),
        [
            (
                "warning | vault client certificate | it ends in 20d23h"
                " -> renew the certificate that [vault] auth refers to"
            ),
        ],
    ),
    "a policy that lacks a right": (
        documents(missing_rights=('path "a" { read }', 'path "b" { read }'), fault="not seen", versions=1),
        [
            (
                'failed | vault rights | billing: the policy lacks path "a" { read }'
                " -> install the policy that rotator policy prints"
            ),
            "ok | vault check-and-set | required by Vault for 1 of 1 document",
        ],
    ),
    "a policy that lacks a right for each of three applications": (
        vault(documents=(*(replace(BILLING, application=name, missing_rights=("a line",)) for name in "abc"), MAILER)),
        [
            (
                "failed | vault rights | a: the policy lacks a line (and 2 more applications)"
                " -> install the policy that rotator policy prints"
            ),
            "ok | vault check-and-set | required by Vault for 1 of 1 document",
        ],
    ),
    "a path without a mount": (
        documents(fault="there is no mount nowhere/", ledger_fault="not seen", versions=1, deleted_after=DAY),
        [
            (
                "failed | vault mounts | billing: there is no mount nowhere/"
                " -> correct path in the configuration, or mount KV version 2 there"
            ),
            "ok | vault check-and-set | required by Vault for 1 of 1 document",
        ],
    ),
    "two damaged ledgers": (
        vault(documents=(replace(BILLING, ledger_fault="damaged"), replace(MAILER, ledger_fault="deleted"))),
        [
            (
                "failed | vault ledgers | billing: damaged (and 1 more application)"
                " -> restore the last good version of the ledger in Vault"
            ),
        ],
    ),
    "a document that keeps two versions": (
        documents(versions=2),
        [
            (
                "warning | vault versions | billing: secret/apps/billing keeps 2 versions"
                " -> set max_versions of the document to 3 or more"
            ),
        ],
    ),
    "a document that keeps one version": (
        documents(versions=1),
        [
            (
                "warning | vault versions | billing: secret/apps/billing keeps 1 version"
                " -> set max_versions of the document to 3 or more"
            ),
        ],
    ),
    "a document whose number of versions could not be read": (documents(versions=None), []),
    "a document that may be written without check-and-set": (
        documents(check_and_set=False),
        ["ok | vault check-and-set | required by Vault for 1 of 2 documents"],
    ),
    "a mount that deletes versions": (
        documents(deleted_after=DAY),
        [
            (
                "failed | vault expiry | billing: Vault deletes versions of secret/apps/billing after 1d"
                " -> set delete_version_after of the mount and of the document to 0s"
            ),
        ],
    ),
    # an account
    "an account that is not reached": (
        account(endpoint=way("dns", "no address")),
        [
            (
                "failed | acme name | no address"
                " -> correct the address in the configuration, or the name server of this machine"
            ),
            *skipped("acme connection", "acme certificate", *WITHOUT_ACCOUNT),
        ],
    ),
    "a management key that is refused": (
        account(login_fault="refused"),
        [
            "failed | acme login | refused -> replace the management key that secret_key refers to",
            *skipped(*WITHOUT_ACCOUNT[1:]),
        ],
    ),
    "a management key without the right": (
        account(right_fault="it may not list keys"),
        [
            (
                "failed | acme right | it may not list keys"
                " -> give the management key's application the permission set IAMApplicationManager"
            ),
            *skipped(*WITHOUT_ACCOUNT[2:]),
        ],
    ),
    "a provider that answers with errors": (
        account(fault="500"),
        [
            "failed | acme applications | 500 -> look at the provider's status page, and at api_url",
            *skipped(*WITHOUT_ACCOUNT[3:]),
        ],
    ),
    "bearers that do not exist": (
        account(missing=("a", "b", "c", "d")),
        [
            (
                "failed | acme applications | a, b, c: application_id does not exist at the provider"
                " -> correct application_id, or remove the application from the configuration"
            ),
        ],
    ),
    "a provider without a quota": (
        account(headroom=None),
        ["ok | acme quota | the provider reports no quota"],
    ),
    "an exhausted quota": (
        account(headroom=0),
        [
            (
                "failed | acme quota | the key quota is exhausted"
                " -> delete keys that nothing uses, or have the quota raised"
            ),
        ],
    ),
    "a quota with room for one key": (
        account(headroom=1),
        [
            (
                "warning | acme quota | the key quota has room for one more key"
                " -> delete keys that nothing uses, or have the quota raised"
            ),
        ],
    ),
    "an unmanaged key": (
        account(unmanaged={"billing": ("SCW1",)}),
        [
            (
                "warning | acme keys | billing has 1 unmanaged key: SCW1"
                " -> find out what uses each, then: rotator revoke KEY --confirm KEY"
            ),
        ],
    ),
    "unmanaged keys of two applications": (
        account(unmanaged={"billing": ("SCW1", "SCW2", "SCW3", "SCW4"), "mailer": ("SCW5",)}),
        [
            (
                "warning | acme keys | billing has 4 unmanaged keys: SCW1, SCW2, SCW3 (and 1 more application)"
                " -> find out what uses each, then: rotator revoke KEY --confirm KEY"
            ),
        ],
    ),
    "unmanaged keys of three applications": (
        account(unmanaged={"billing": ("SCW1",), "mailer": ("SCW5",), "zeta": ("SCW6",)}),
        [
            (
                "warning | acme keys | billing has 1 unmanaged key: SCW1 (and 2 more applications)"
                " -> find out what uses each, then: rotator revoke KEY --confirm KEY"
            ),
        ],
    ),
    "a management key without a name": (
        account(key=""),
        [
            "warning | acme management key | its public name is not known -> set access_key of [accounts.acme]",
        ],
    ),
    "a management key that does not exist": (
        account(key_created=None),
        [
            (
                "failed | acme management key | SCWMANAGEMENT does not exist at the provider"
                " -> correct access_key of [accounts.acme]"
            ),
        ],
    ),
    "a management key that expires soon": (
        account(key_expires=NOW + 21 * DAY - SECOND),
        [
            (
                "failed | acme management key | SCWMANAGEMENT expires in 20d23h"
                " -> make a new management key and replace the one that secret_key refers to"
            ),
        ],
    ),
    "an old management key": (
        account(key_expires=None, key_created=NOW - 181 * DAY),
        [
            "warning | acme management key | SCWMANAGEMENT is 181d old -> set own_key, or replace it by hand",
        ],
    ),
    "an old management key that is rotated": (
        account(key_expires=None, key_created=NOW - 181 * DAY, rotates_itself=True),
        ["ok | acme management key | SCWMANAGEMENT is 181d old"],
    ),
    # clocks
    "a clock of Vault that is fast": (
        vault(clock_offset=31 * SECOND),
        [
            (
                "failed | clocks | the clock of Vault differs by 31s from the clock of this machine, so revocations wait"
                " -> correct the clock that is wrong; on this machine: timedatectl set-ntp true"
            ),
        ],
    ),
    "a clock of an account that is slow": (
        account(clock_offset=-MINUTE),
        [
            (
                "failed | clocks | the clock of acme differs by 1m from the clock of this machine, so revocations wait"
                " -> correct the clock that is wrong; on this machine: timedatectl set-ntp true"
            ),
        ],
    ),
    "two clocks that differ from each other": (
        replace(
            SOUND, vault=replace(VAULT, clock_offset=20 * SECOND), accounts=(replace(ACME, clock_offset=-11 * SECOND),)
        ),
        [
            (
                "failed | clocks | the clock of Vault differs by 20s from the clock of this machine, so revocations wait"
                " -> correct the clock that is wrong; on this machine: timedatectl set-ntp true"
            ),
        ],
    ),
    "clocks that are not known": (
        replace(SOUND, vault=replace(VAULT, clock_offset=None), accounts=(replace(ACME, clock_offset=None),)),
        skipped("clocks"),
    ),
    "a clock of Vault that is not known": (vault(clock_offset=None), []),
    # the machine
    "a unit that has failed": (
        unit(ActiveState="failed"),
        ["failed | unit | rotator.service has failed -> read why: journalctl -u rotator -p err"],
    ),
    "a unit that is starting": (
        unit(ActiveState="activating"),
        ["failed | unit | rotator.service is activating -> start it: systemctl enable --now rotator"],
    ),
    "a unit without a state": (
        machine(unit=UnitFacts({"UnitFileState": "enabled"})),
        ["failed | unit | rotator.service is not running -> start it: systemctl enable --now rotator"],
    ),
    "a unit that does not start with the machine": (
        unit(UnitFileState="disabled"),
        [
            "warning | unit | rotator.service does not start with the machine -> enable it: systemctl enable rotator",
        ],
    ),
    "a unit that is less restricted": (
        unit(ProtectSystem="no", PrivateTmp="no"),
        [
            (
                "warning | unit | rotator.service is less restricted than shipped: ProtectSystem, PrivateTmp"
                " -> remove the drop-in that weakens it"
            ),
        ],
    ),
    **{
        f"a unit whose watchdog is {value}": (
            unit(WatchdogUSec=value),
            [
                (
                    "warning | unit | the watchdog of rotator.service is off, so a daemon that hangs is not restarted"
                    " -> set WatchdogSec as shipped: 3min"
                ),
            ],
        )
        for value in ("0", "infinity")
    },
    "a unit that was restarted often": (
        unit(NRestarts="5"),
        [
            "warning | unit | systemd has restarted rotator.service 5 times -> read why: journalctl -u rotator -p err",
        ],
    ),
    "a unit whose restarts are not known": (unit(NRestarts="[not set]"), []),
    "a unit of which systemd says nothing else": (machine(unit=UnitFacts({"ActiveState": "active"})), []),
    "a group that does not exist": (
        machine(missing_groups=("rotator-admin", "rotator-read")),
        [
            (
                "failed | groups | rotator-admin, rotator-read does not exist on this machine"
                " -> create it: groupadd --system rotator-admin"
            ),
        ],
    ),
    "sockets that are missing": (
        machine(socket_fault="there is no socket"),
        ["failed | sockets | there is no socket -> start the daemon: systemctl start rotator"],
    ),
    "no heartbeat": (
        machine(heartbeat=False),
        ["warning | heartbeat | a stopped daemon is noticed by no monitor -> set [heartbeat] url"],
    ),
    "a heartbeat that cannot be read": (
        machine(heartbeat_fault="the file does not exist"),
        ["failed | heartbeat | the file does not exist -> correct [heartbeat] url"],
    ),
    "no notifications": (
        machine(notifications=0),
        ["warning | notifications | problems are sent to no person -> set [notifications] targets"],
    ),
    "notifications that cannot be read": (
        machine(notification_fault="the file does not exist"),
        ["failed | notifications | the file does not exist -> correct [notifications] targets"],
    ),
}


def expected(different: list[str]) -> list[str]:
    """The lines of the sound installation, with those that differ in their place."""
    found = {line.split(" | ")[1]: line for line in LINES} | {line.split(" | ")[1]: line for line in different}
    gone = AFTER_LOGIN if "vault documents" in found else ()
    return [found[name] for name in ORDER if name in found and name not in gone]


@pytest.mark.parametrize(("facts", "different"), CASES.values(), ids=CASES)
def test_a_fault_changes_its_own_lines_and_those_that_depend_on_it_and_no_others(
    facts: Facts, different: list[str]
) -> None:
    assert told(facts) == expected(different)


def test_what_could_not_be_read_has_no_line() -> None:
    bare = Facts(NOW, VaultFacts(Endpoint("https://vault.test"), version="2.4.1"))
    assert told(bare) == [
        "ok | vault name | https://vault.test",
        "ok | vault connection | https://vault.test",
        "ok | vault state | unsealed, version 2.4.1",
        "ok | vault login | logged in; the token may not be looked up",
        "ok | vault rights | nothing is missing",
        "ok | vault mounts | sound",
        "ok | vault ledgers | sound",
        "ok | vault versions | sound",
        "ok | vault expiry | sound",
        "skipped | clocks | an earlier check failed",
        "warning | heartbeat | a stopped daemon is noticed by no monitor -> set [heartbeat] url",
        "warning | notifications | problems are sent to no person -> set [notifications] targets",
    ]
    assert told(replace(bare, machine=MachineFacts(UnitFacts())))[9:] == told(bare)[9:], "systemd says nothing"


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((), 0),
        (("ok", "skipped"), 0),
        (("ok", "warning"), 5),
        (("warning", "failed"), 1),
        (("failed",), 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_outcome(outcomes: tuple[Outcome, ...], code: int) -> None:
    assert Diagnosis(NOW, tuple(Check("a", outcome, "b") for outcome in outcomes)).exit_code == code
