"""The lines of ``rotator doctor``: pure functions from what an examination found out to outcomes
with a remedy.

A line whose question could not be asked, because an earlier line failed, is ``skipped``: one fault
makes one line red.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from rotator.domain.facts import DocumentFacts, Endpoint, ExaminedAccount, Facts, MachineFacts, VaultFacts
from rotator.operations.queries.diagnosis import Check, Diagnosis, Outcome
from rotator.util.formatting import format_span, pluralize

CERTIFICATE_WARNING = timedelta(days=21)
"""A certificate that ends sooner is worth a line."""

KEY_WARNING = timedelta(days=180)
"""A management key that is older should be replaced."""

FEWEST_VERSIONS = 3
"""A document that keeps fewer loses secrets with which a revocation is verified."""

FEWEST_KEYS = 2
"""With less room, one rotation can fill the quota."""

SHORTEST_LOGIN = timedelta(minutes=10)
"""A login that ends sooner leaves no time for the verification of a key."""

HARDENING = {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "DynamicUser": "yes"}
"""Restrictions of the unit, as the package ships it."""


def diagnose(facts: Facts) -> Diagnosis:
    """All lines, in the order in which they depend on each other."""
    checks = [*_vault(facts), *(line for account in facts.accounts for line in _account(account, facts.at))]
    return Diagnosis(facts.at, (*checks, _clocks(facts), *_machine(facts.machine)))


# --- a service ------------------------------------------------------------------------------------

_STAGES = {
    "dns": ("name", "correct the address in the configuration, or the name server of this machine"),
    "proxy": ("connection", "correct proxy in the configuration, or start the proxy"),
    "connect": ("connection", "correct the address, start the service, or open the firewall between"),
    "tls": ("certificate", "set ca_cert to the authority of the service, or replace its certificate"),
}


def _endpoint(service: str, way: Endpoint, now: datetime) -> Iterator[Check]:
    order = ("name", "connection", "certificate")
    failing, remedy = _STAGES.get(way.stage, ("", ""))
    for number, what in enumerate(order):
        if not way.fault or number < order.index(failing):
            left = way.certificate_ends - now if way.certificate_ends else None
            if what == "certificate" and left is not None and left < CERTIFICATE_WARNING:
                yield Check(
                    f"{service} {what}",
                    "warning",
                    f"the certificate ends in {format_span(left)}",
                    "renew the certificate of the service",
                )
            elif what != "certificate" or way.certificate_ends:
                seen = f"valid for {format_span(left)}" if what == "certificate" and left else way.address
                yield Check(f"{service} {what}", "ok", seen)
        elif what == failing:
            yield Check(f"{service} {what}", "failed", way.fault, remedy)
        else:
            yield _skipped(f"{service} {what}")


def _skipped(name: str) -> Check:
    return Check(name, "skipped", "an earlier check failed")


# --- Vault ----------------------------------------------------------------------------------------


def _vault(facts: Facts) -> Iterator[Check]:
    vault = facts.vault
    yield from _endpoint("vault", vault.endpoint, facts.at)
    if vault.endpoint.fault:
        yield from map(_skipped, ("vault state", "vault login", "vault documents"))
        return
    if vault.state_fault:
        remedy = "unseal it" if "sealed" in vault.state_fault else "initialise it, or correct the address"
        yield Check("vault state", "failed", vault.state_fault, remedy)
        yield from map(_skipped, ("vault login", "vault documents"))
        return
    yield Check("vault state", "ok", f"unsealed, version {vault.version}")
    if vault.login_fault:
        remedy = "replace the credentials that [vault] auth refers to, or correct the role at Vault"
        yield Check("vault login", "failed", vault.login_fault, remedy)
        yield _skipped("vault documents")
        return
    yield _token(vault)
    yield from _documents(vault.documents)


def _token(vault: VaultFacts) -> Check:
    token, name = vault.token, "vault login"
    if token is None:
        return Check(name, "ok", "logged in; the token may not be looked at")
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
    return Check(name, "ok", "logged in, the token is renewed")


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
    """One line for all applications: the first fault, and how many more there are."""
    if not faults:
        return Check(name, "ok", "nothing is missing" if verb else "sound")
    application, fault = faults[0]
    more = f" (and {pluralize(len(faults) - 1, 'more application')})" if len(faults) > 1 else ""
    return Check(name, outcome, f"{application}: {verb} {fault}".replace("  ", " ") + more, remedy)


# --- an account -----------------------------------------------------------------------------------


def _account(account: ExaminedAccount, now: datetime) -> Iterator[Check]:
    name = account.name
    yield from _endpoint(name, account.endpoint, now)
    rest = ("login", "right", "applications", "quota", "keys", "management key")
    if account.endpoint.fault:
        yield from (_skipped(f"{name} {what}") for what in rest)
        return
    stages = (
        ("login", account.login_fault, "replace the management key that secret_key refers to"),
        (
            "right",
            account.right_fault,
            "give the management key's application the permission set IAMApplicationManager",
        ),
        ("applications", account.fault, "look at the provider's status page, and at api_url"),
    )
    for number, (what, fault, remedy) in enumerate(stages):
        if fault:
            yield Check(f"{name} {what}", "failed", fault, remedy)
            yield from (_skipped(f"{name} {later}") for later in rest[number + 1 :])
            return
        if what != "applications":
            yield Check(f"{name} {what}", "ok", "accepted" if what == "login" else "sufficient")
    if account.missing:
        gone = ", ".join(account.missing[:3])
        yield Check(
            f"{name} applications",
            "failed",
            f"{gone}: application_id does not exist at the provider",
            "correct application_id, or remove the application from the configuration",
        )
    else:
        yield Check(f"{name} applications", "ok", "each exists")
    yield _quota(account)
    yield _unmanaged(account)
    yield _management_key(account, now)


def _quota(account: ExaminedAccount) -> Check:
    name, remedy = f"{account.name} quota", "delete keys that nothing uses, or have the quota raised"
    if account.headroom is None:
        return Check(name, "ok", "the provider reports no quota")
    if account.headroom < 1:
        return Check(name, "failed", "there is no room for another key", remedy)
    if account.headroom < FEWEST_KEYS:
        return Check(name, "warning", "there is room for one more key", remedy)
    return Check(name, "ok", f"room for {pluralize(account.headroom, 'more key')}")


def _unmanaged(account: ExaminedAccount) -> Check:
    name = f"{account.name} keys"
    if not account.unmanaged:
        return Check(name, "ok", "each is known")
    application, keys = next(iter(account.unmanaged.items()))
    more = f" (and {pluralize(len(account.unmanaged) - 1, 'more application')})" if len(account.unmanaged) > 1 else ""
    return Check(
        name,
        "warning",
        f"{application} has {pluralize(len(keys), 'unmanaged key')}: {', '.join(keys[:3])}{more}",
        "find out what uses each, then: rotator revoke KEY --confirm KEY",
    )


def _management_key(account: ExaminedAccount, now: datetime) -> Check:
    name = f"{account.name} management key"
    if not account.key:
        return Check(name, "warning", "its public name is not known", f"set access_key of [accounts.{account.name}]")
    if account.key_created is None:
        return Check(
            name,
            "failed",
            f"{account.key} does not exist at the provider",
            f"correct access_key of [accounts.{account.name}]",
        )
    if account.key_expires is not None and account.key_expires - now < CERTIFICATE_WARNING:
        ends = f"{account.key} expires in {format_span(account.key_expires - now)}"
        return Check(name, "failed", ends, "make a new management key and replace the one that secret_key refers to")
    age = now - account.key_created
    if age > KEY_WARNING and not account.rotates_itself:
        return Check(name, "warning", f"{account.key} is {format_span(age)} old", "set own_key, or replace it by hand")
    return Check(name, "ok", f"{account.key} is {format_span(age)} old")


# --- clocks and the machine -----------------------------------------------------------------------


def _clocks(facts: Facts) -> Check:
    offsets = {"Vault": facts.vault.clock_offset, **{one.name: one.clock_offset for one in facts.accounts}}
    known = {service: offset for service, offset in offsets.items() if offset is not None}
    if not known:
        return _skipped("clocks")
    all_offsets = [timedelta(0), *known.values()]
    spread = max(all_offsets) - min(all_offsets)
    if spread <= facts.max_clock_skew:
        return Check("clocks", "ok", "they agree")
    service, offset = max(known.items(), key=lambda item: abs(item[1]))
    return Check(
        "clocks",
        "failed",
        f"the clock of {service} differs by {format_span(abs(offset))} from the clock of this machine, so revocations "
        "wait",
        "correct the clock that is wrong; on this machine: timedatectl set-ntp true",
    )


def _machine(machine: MachineFacts) -> Iterator[Check]:
    if machine.unit is not None and machine.unit.properties:
        yield _unit(machine.unit.properties)
    if machine.missing_groups:
        groups = ", ".join(machine.missing_groups)
        yield Check(
            "groups",
            "failed",
            f"{groups} does not exist on this machine",
            f"create it: groupadd --system {machine.missing_groups[0]}",
        )
    if machine.sockets:
        if machine.socket_fault:
            yield Check("sockets", "failed", machine.socket_fault, "start the daemon: systemctl start rotator")
        else:
            yield Check("sockets", "ok", machine.sockets)
    yield _told(
        "heartbeat",
        machine.heartbeat,
        machine.heartbeat_fault,
        "a stopped daemon is noticed by no monitor",
        "[heartbeat] url",
    )
    yield _told(
        "notifications",
        bool(machine.notifications),
        machine.notification_fault,
        "problems are sent to no person",
        "[notifications] targets",
    )


def _told(name: str, configured: bool, fault: str, without: str, option: str) -> Check:
    if fault:
        return Check(name, "failed", fault, f"correct {option}")
    return Check(name, "ok", "configured") if configured else Check(name, "warning", without, f"set {option}")


def _unit(properties: Mapping[str, str]) -> Check:
    state = properties.get("ActiveState", "")
    if state == "failed":
        return Check("unit", "failed", "rotator.service has failed", "read why: journalctl -u rotator -p err")
    if state != "active":
        return Check(
            "unit", "failed", f"rotator.service is {state or 'not running'}", "start it: systemctl enable --now rotator"
        )
    if properties.get("UnitFileState") == "disabled":
        return Check(
            "unit", "warning", "rotator.service does not start with the machine", "enable it: systemctl enable rotator"
        )
    weak = [name for name, wanted in HARDENING.items() if properties.get(name, wanted) != wanted]
    if weak:
        return Check(
            "unit",
            "warning",
            f"rotator.service is less restricted than shipped: {', '.join(weak)}",
            "remove the drop-in that weakens it",
        )
    return Check("unit", "ok", "active, starts with the machine, restricted as shipped")
