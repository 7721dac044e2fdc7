"""More time for consumers that have not moved yet: the deadlines of an application's keys in grace are put off."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.decision.transitions import can_be_extended, extended
from rotator.domain.ledger import Ledger, Retiring
from rotator.domain.policy import Policy
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.ledger_update import amend
from rotator.operations.result import Result, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import World
from rotator.util.formatting import moment


def extend(policy: Policy, world: World, sleep: Sleep, longer: timedelta, by: str) -> Result:
    """Every key of the application that lives on until a time does so that much longer. What is compromised does not."""
    name = policy.application
    meant: dict[str, datetime] = {}

    def change(ledger: Ledger) -> Ledger:
        nonlocal meant
        if not can_be_extended(ledger):
            raise Refused(_nothing_to_extend(name, ledger))
        if meant and _deadlines(ledger) == meant:
            return ledger  # an answer that was lost has written it, and once is what was asked for
        after = extended(ledger, longer, by, world.clock.now())
        meant = _deadlines(after)
        return after

    try:
        ledger, _ = amend(policy, world, sleep, change)
    except RotatorError as error:
        return failed(name, error)
    until = _deadlines(ledger)
    for access_key, deadline in until.items():
        world.journal.emit(
            "grace.extended", application=name, account=policy.account, access_key=access_key, revoke_after=deadline, by=by
        )
    told = "; ".join(f"{access_key} now lives on until {moment(deadline)}" for access_key, deadline in until.items())
    return Result(name, "extended", 0, told, until=until)


def _deadlines(ledger: Ledger) -> dict[str, datetime]:
    """Until when each key lives on that can be extended."""
    found: dict[str, datetime] = {}
    for entry in can_be_extended(ledger):
        deadline = entry.revoke_after if isinstance(entry, Retiring) else entry.not_before
        if deadline is not None:
            found[entry.access_key] = deadline
    return found


def _nothing_to_extend(name: str, ledger: Ledger) -> str:
    going = sorted({entry.access_key for entry in ledger.revoking} | ledger.compromised_keys())
    if going:
        return f"{', '.join(going)} of {name} cannot be kept alive any more: condemned or compromised, not in grace"
    return f"{name} has no key in grace, so there is nothing to extend"
