"""The checks of ``rotator doctor``: pure functions from facts to outcomes with remedies.

A check that depends on a failed one is ``skipped``, so one fault makes one line red.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotator.domain.facts import ExaminedAccount, Facts
from rotator.operations.queries.diagnosis import Check, Diagnosis
from rotator.operations.queries.doctor_checks import CERTIFICATE_WARNING, check_endpoint, skipped
from rotator.operations.queries.doctor_machine import check_machine
from rotator.operations.queries.doctor_vault import check_vault
from rotator.util.formatting import format_span, pluralize

KEY_WARNING = timedelta(days=180)
"""An older management key gets a warning."""

FEWEST_KEYS = 2
"""With less free quota, one rotation can exhaust it."""


def diagnose(facts: Facts) -> Diagnosis:
    """All checks, in the order of their dependencies."""
    checks = [*check_vault(facts), *(line for account in facts.accounts for line in _account(account, facts.at))]
    return Diagnosis(facts.at, (*checks, _clocks(facts), *check_machine(facts.machine)))


# --- an account -----------------------------------------------------------------------------------


def _account(account: ExaminedAccount, now: datetime) -> Iterator[Check]:
    name = account.name
    yield from check_endpoint(name, account.endpoint, now)
    rest = ("login", "right", "applications", "quota", "keys", "management key")
    if account.endpoint.fault:
        yield from (skipped(f"{name} {what}") for what in rest)
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
            yield from (skipped(f"{name} {later}") for later in rest[number + 1 :])
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
        return Check(name, "failed", "the key quota is exhausted", remedy)
    if account.headroom < FEWEST_KEYS:
        return Check(name, "warning", "the key quota has room for one more key", remedy)
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


# --- clocks -----------------------------------------------------------------------


def _clocks(facts: Facts) -> Check:
    offsets = {"Vault": facts.vault.clock_offset, **{one.name: one.clock_offset for one in facts.accounts}}
    known = {service: offset for service, offset in offsets.items() if offset is not None}
    if not known:
        return skipped("clocks")
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
