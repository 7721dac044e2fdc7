"""Starts an emergency for applications, or for access keys whose application is looked up first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rotator.decision.transitions.revocation import is_verified_revoked
from rotator.domain.access_key import is_access_key
from rotator.domain.keys import management_key_message
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.commands.revoke import unconfirmed
from rotator.operations.queries.key_info import describe_key
from rotator.operations.queries.key_lookup import application_of, find_in_ledgers
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Runtime, Sleep, select_applications
from rotator.reconciler.context import ReconcileContext


@dataclass(frozen=True)
class ContainmentTarget:
    """What an emergency covers in one application: all of its keys (``whole``), ``besides`` keys
    that its ledger does not name, or ``only`` single keys and no others. ``refused`` has the
    targets that cannot be contained."""

    spec: ApplicationSpec | None
    whole: bool = False
    besides: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    refused: tuple[OperationResult, ...] = ()


def resolve_targets(
    runtime: Runtime, targets: Sequence[str], confirmed: frozenset[str], now: datetime
) -> tuple[ContainmentTarget, ...]:
    """One target for each application that is named, or whose keys are named. Each refusal is
    separate."""
    found: dict[str, ContainmentTarget] = {}
    names = [target for target in targets if not is_access_key(target)]
    for spec in select_applications(runtime, names) if names else ():
        found[spec.application] = ContainmentTarget(spec, whole=True)
    keys = list(dict.fromkeys(target for target in targets if is_access_key(target)))
    in_ledgers = find_in_ledgers(runtime, keys) if keys else {}
    for access_key in keys:
        target = _target_of_ledger(runtime, access_key, *in_ledgers[access_key]) if access_key in in_ledgers else None
        target = target or _target(runtime, access_key, confirmed, now)
        name = target.spec.application if target.spec else access_key
        found[name] = _both(found[name], target) if name in found else target
    return tuple(found.values())


def _target_of_ledger(
    runtime: Runtime, access_key: str, spec: ApplicationSpec, ledger: Ledger
) -> ContainmentTarget | None:
    """The target for a key that a ledger names, without a call to the provider; None if the ledger
    does not show its state.

    A key that is marked, or was in an incident, stands for that incident alone: the command waits
    for its end and marks no newer key.
    """
    account = runtime.account(spec.account)
    if access_key == account.access_key and spec.application != account.own_key:
        return ContainmentTarget(
            None, refused=(failed(access_key, Refused(management_key_message(access_key, spec.account))),)
        )
    named = access_key in ledger.names()
    marked_before = any(access_key in incident.access_keys for incident in ledger.incidents)
    if access_key in ledger.compromised_keys() or (
        marked_before and not named and is_verified_revoked(ledger, access_key)
    ):
        return ContainmentTarget(spec, only=frozenset({access_key}))
    return ContainmentTarget(spec, whole=True, besides=frozenset({access_key})) if named else None


def _target(runtime: Runtime, access_key: str, confirmed: frozenset[str], now: datetime) -> ContainmentTarget:
    try:
        spec, found = application_of(runtime, access_key)
        state = describe_key(found, runtime.vault.installation(), now).state
    except RotatorError as error:
        return ContainmentTarget(None, refused=(failed(access_key, error),))
    if state in {"unmanaged", "protected"} and access_key not in confirmed:
        return ContainmentTarget(None, refused=(unconfirmed(access_key, spec.application, unmanaged=True),))
    if state in {"unmanaged", "protected", "compromised"}:
        return ContainmentTarget(spec, only=frozenset({access_key}))
    return ContainmentTarget(spec, whole=True, besides=frozenset({access_key}))


def _both(one: ContainmentTarget, other: ContainmentTarget) -> ContainmentTarget:
    return ContainmentTarget(
        one.spec or other.spec,
        one.whole or other.whole,
        one.besides | other.besides,
        one.only | other.only,
        (*one.refused, *other.refused),
    )


def contain_target(
    target: ContainmentTarget, context: ReconcileContext, sleep: Sleep, order: CompromiseRequest
) -> tuple[OperationResult, ...]:
    """Contains the keys of the target, one set after the other."""
    if target.spec is None:
        return target.refused
    found = list(target.refused)
    if target.whole:
        found.append(contain(target.spec, context, sleep, order, besides=target.besides))
    for access_key in sorted(target.only):
        result = contain(target.spec, context, sleep, order, keys=frozenset({access_key}))
        found.append(replace(result, access_key=access_key) if result.exit_code else result)
    return tuple(found)
