"""The orders that people give about keys: what each takes, and what is done. Every one answers with results, application by
application; a failure of one stops no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from rotator.domain.policy import Policy
from rotator.operations.commands import hold as brake
from rotator.operations.commands.compromise import Job, carry_out, jobs
from rotator.operations.commands.contain import Order
from rotator.operations.commands.drill import Drilled, drill
from rotator.operations.commands.extend import extend
from rotator.operations.commands.revoke import revoke
from rotator.operations.commands.rotate import rotate
from rotator.operations.operation import Call, Maybe, Name, Names, Reason, Wish, each, look_at
from rotator.operations.queries.key_lookup import is_access_key, owner_of
from rotator.operations.refusal import Refusal
from rotator.operations.result import Result, failed
from rotator.operations.runtime import chosen
from rotator.util.concurrency import together


class Rotate(Wish):
    """Applications whose keys are to be replaced now."""

    applications: Annotated[Names, Field(min_length=1)]
    compromised: Annotated[bool, Field(description="Mark the keys first; they die at once, without grace. Needs a reason.")] = (
        False
    )
    revoke_first: Annotated[bool, Field(description="With compromised: delete before there is a replacement.")] = False
    through_hold: Annotated[bool, Field(description="With compromised: no operator's hold spares these keys.")] = False
    confirm: Annotated[Maybe, Field(description="With compromised: strangers' keys that are to die, by their full names.")]
    reason: Reason = ""


def do_rotate(call: Call, wish: Rotate) -> tuple[Result, ...]:
    """Replace keys; in an emergency, see them dead."""
    if wish.compromised:
        return _contain(call, wish)
    if wish.revoke_first or wish.through_hold or wish.confirm:
        raise Refusal("usage", "revoke_first, through_hold and confirm are for what is compromised")
    if keys := [name for name in wish.applications if is_access_key(name)]:
        raise Refusal("usage", f"{keys[0]} is an access key: name its application, or say that it is compromised")

    def work(policy: Policy) -> Result:
        return rotate(policy, *call.hand(policy), wish.reason or "requested")

    return each(call, chosen(call.household, wish.applications), work)


def _contain(call: Call, wish: Rotate) -> tuple[Result, ...]:
    if not wish.reason.strip():
        raise Refusal("usage", "say why the keys are compromised: the reason goes into the ledger and the incident report")
    order = Order(wish.reason.strip(), call.by, wish.revoke_first, wish.through_hold)
    found = jobs(call.household, wish.applications, frozenset(wish.confirm), call.now())

    def work(job: Job) -> tuple[Result, ...]:
        return carry_out(job, *call.hand(job.policy), order) if job.policy else job.refused

    try:
        results = together(work, found)
    finally:
        look_at(call, [job.policy for job in found if job.policy])
    told: list[Result] = []
    for job, result in zip(found, results, strict=True):
        name = job.policy.application if job.policy else ""
        told += [failed(name, result)] if isinstance(result, Exception) else result
    return tuple(told)


class Hold(Wish):
    """Applications that are to be left alone; all of the configuration when none is named and ``everything`` is true."""

    applications: Maybe
    everything: bool = False
    reason: Annotated[Reason, Field(min_length=1)]


def do_hold(call: Call, wish: Hold) -> tuple[Result, ...]:
    """Leave applications alone."""
    return each(
        call, _named(call, wish), lambda policy: brake.hold(policy, *call.hand(policy), wish.reason.strip() or "held", call.by)
    )


class Resume(Wish):
    """Applications that are to go on; all of the configuration when none is named and ``everything`` is true."""

    applications: Maybe
    everything: bool = False


def do_resume(call: Call, wish: Resume) -> tuple[Result, ...]:
    """Let held applications go on."""
    return each(call, _named(call, wish), lambda policy: brake.resume(policy, *call.hand(policy), call.by))


def _named(call: Call, wish: Hold | Resume) -> list[Policy]:
    if bool(wish.applications) == wish.everything:
        raise Refusal("usage", "name the applications, or say that all are meant, not both")
    return chosen(call.household, wish.applications)


class Extend(Wish):
    """Applications whose keys in grace are to live on."""

    applications: Annotated[Names, Field(min_length=1)]
    seconds: Annotated[int, Field(ge=1, le=366 * 86400, description="How much longer.")]


def do_extend(call: Call, wish: Extend) -> tuple[Result, ...]:
    """Let keys in grace live on."""
    longer = timedelta(seconds=wish.seconds)
    policies = chosen(call.household, wish.applications)
    return each(call, policies, lambda policy: extend(policy, *call.hand(policy), longer, call.by))


class Revoke(Wish):
    """Keys that are to die before their time, or that are a stranger's; each has to be confirmed by its full name."""

    access_keys: Annotated[Names, Field(min_length=1)]
    confirm: Maybe
    reason: Reason = ""
    through_hold: bool = False


def do_revoke(call: Call, wish: Revoke) -> tuple[Result, ...]:
    """See single keys dead."""

    def work(access_key: str) -> Result:
        policy, _ = owner_of(call.household, access_key)
        confirmed = access_key if access_key in wish.confirm else ""
        reason = wish.reason.strip() or "revoked by hand"
        try:
            return revoke(
                policy,
                *call.hand(policy),
                access_key,
                by=call.by,
                reason=reason,
                confirmed=confirmed,
                through_hold=wish.through_hold,
            )
        finally:
            look_at(call, [policy])

    names = list(dict.fromkeys(wish.access_keys))
    found = [_tried(work, name) for name in names]  # one after the other: several may be of one application
    return tuple(failed(name, one) if isinstance(one, Exception) else one for name, one in zip(names, found, strict=True))


def _tried(work: Callable[[str], Result], name: str) -> Result | Exception:
    (found,) = together(work, [name])
    return found


class Drill(Wish):
    """One application whose key is replaced as in an emergency, for practice."""

    application: Name


def do_drill(call: Call, wish: Drill) -> Drilled:
    """Practise the emergency, and time every step of it."""
    (policy,) = chosen(call.household, [wish.application])
    try:
        return drill(policy, *call.hand(policy), call.by)
    finally:
        look_at(call, [policy])
