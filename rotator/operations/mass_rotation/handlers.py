"""Questions and orders about whole accounts: the coverage proof and its waivers, and the rotation of many applications."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic.json_schema import SkipJsonSchema

from rotator.domain.account import Waiver
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.account_update import change, waived, withdrawn
from rotator.operations.coverage import Coverage
from rotator.operations.mass_rotation.account_snapshot import Estate, estates, look
from rotator.operations.mass_rotation.coordinator import MassResult, Wish, begin, run
from rotator.operations.mass_rotation.preview import Foretold, foretell
from rotator.operations.mass_rotation.selection import Selection
from rotator.operations.operation import Call, Maybe, Name, Reason, look_at
from rotator.operations.operation import Wish as Asked
from rotator.operations.queries.key_lookup import is_access_key
from rotator.operations.refusal import Refusal
from rotator.operations.result import Result, failed
from rotator.operations.runtime import Sleep
from rotator.util.concurrency import together
from rotator.util.durations import parse_duration
from rotator.util.formatting import timestamp

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any key."""

END = datetime(9000, 1, 1, tzinfo=UTC)
"""After any."""


def _usual(moment: datetime) -> datetime:
    """The same time in UTC; one that no key is older than, or every key is, is as good as any such time."""
    with suppress(OverflowError):
        return min(max(moment.astimezone(UTC), EPOCH), END)
    return EPOCH if moment.year < EPOCH.year else END


Moment = Annotated[AwareDatetime, AfterValidator(_usual)]
"""A time with its zone."""

Perhaps = Moment | SkipJsonSchema[None]
"""The same, or left out."""

Account = Annotated[str, Field(max_length=200, description="The account; the only one when it is left out.")]


def of(call: Call, accounts: Sequence[str] = ()) -> list[Estate]:
    """The accounts that were named; all of the configuration when none was."""
    return estates(call.household, accounts, call.world, call.journal)


def only(call: Call, named: str) -> Estate:
    """The account that was named, or the only one that there is."""
    known = sorted(call.household.accounts)
    if not named and len(known) != 1:
        raise Refusal("usage", f"there are several accounts: say which with --account ({', '.join(known)})")
    (estate,) = of(call, [named or known[0]])
    return estate


def _sleep(call: Call) -> Sleep:
    return lambda until: call.sleep(call.household.clock, until)


# --- coverage -------------------------------------------------------------------------------------------------------------


class Cover(Asked):
    """An account, and the time before which no live key of it is to be from."""

    account: Account = ""
    created_before: Moment


def do_coverage(call: Call, wish: Cover) -> Coverage:
    """Name every live key of the account that is older."""
    return look(only(call, wish.account)).coverage(wish.created_before)


class Waive(Asked):
    """A key that may stay in spite of its age, and why; with ``withdraw``, no longer."""

    access_key: Name
    account: Account = ""
    reason: Reason = ""
    until: Annotated[Perhaps, Field(description="When the word counts no longer; never when it is left out.")] = None
    withdraw: bool = False


@dataclass(frozen=True)
class Waived:
    """Every word that is given for keys of the account, as it is now."""

    account: str
    waivers: tuple[Waiver, ...]


def do_waive(call: Call, wish: Waive) -> Waived:
    """Let a key stay, or no longer."""
    reason, now = wish.reason.strip(), call.now()
    if not is_access_key(wish.access_key):
        raise Refusal("usage", "that is no access key: one is SCW and 17 capital letters and digits")
    if wish.withdraw and (reason or wish.until):
        raise Refusal("usage", "who withdraws a word gives neither a reason nor a time")
    if not wish.withdraw and not reason:
        raise Refusal("usage", "say why the key may stay")
    if wish.until and wish.until <= now:
        raise Refusal("usage", "the time until which the key may stay has passed: tell one to come")
    estate = only(call, wish.account)
    if wish.withdraw:
        wanted = withdrawn(wish.access_key)
    else:
        if estate.provider.get_key(wish.access_key) is None:
            raise Refused(f"account {estate.account} has no key {wish.access_key}: a dead key needs no waiver")
        wanted = waived(Waiver(wish.access_key, reason, call.by, now, wish.until))
    document = change(estate.vault, estate.account, wanted, clock=estate.clock, sleep=_sleep(call))
    return Waived(document.account, document.waivers)


# --- many applications ----------------------------------------------------------------------------------------------------


class Many(Asked):
    """The applications that are meant: these names (all when empty), of these accounts, that fit one of these patterns; of them, those
    with a key from before ``created_before``, which is now when it is left out."""

    applications: Maybe
    accounts: Maybe
    globs: Annotated[Maybe, Field(description="Patterns such as shop-*, of which a name has to fit one.")]
    created_before: Perhaps = None
    words: Annotated[
        str, Field(max_length=100, description="That time as it was said, such as 36h, by which the same order is known again.")
    ] = ""
    compromised: bool = False
    reason: Reason = ""


class RotateMany(Many):
    """The same, to be rotated now."""

    wait: Annotated[bool, Field(description="Where there is no room for all at once, wait until graces end and go on.")] = False

    @property
    def same(self) -> str:
        """What another order has in common that would do the same work."""
        said = _selection(self).words(created_before=_said(self), compromised=self.compromised)
        return f"{said} --reason {self.reason}" if self.compromised else said


def do_foretell(call: Call, wish: Many) -> tuple[Foretold, ...]:
    """Say what would be done; change nothing."""
    wanted = _wish(call, wish)
    return tuple(foretell(estate, wanted) for estate in _meant(call, wanted.selection))


@dataclass(frozen=True)
class Rotated:
    """What became of each account; ``failed`` are those that could not be looked at, by their names."""

    accounts: tuple[MassResult, ...]
    failed: tuple[Result, ...] = ()


def do_rotate_many(call: Call, wish: RotateMany) -> Rotated:
    """Rotate what was asked for, all accounts beside each other, each to its coverage proof: one that is away stops no other."""
    if wish.compromised and not wish.reason.strip():
        raise Refusal("usage", "say why the keys are compromised: the reason goes into the ledger and the incident report")
    wanted = _wish(call, wish)
    known = call.household.policies
    found, token, sleep = _meant(call, wanted.selection), call.household.clock.token(), _sleep(call)

    def go_on() -> None:
        if call.house is not None and call.house.stopping.is_set():
            raise Refusal(
                "stopping", "the daemon is stopping and lets nobody in any more; give the same order again, it goes on", 3
            )

    def one(estate: Estate) -> MassResult:
        order = orders[estate.account]
        return run(estate, wanted.selection, order, sleep, go_on=go_on, again=order.id != token, wait=wish.wait)

    # Before anything happens in one account, every other one knows of it: a report that lacks one must not look complete.
    orders = {estate.account: begin(estate, wanted, sleep, token) for estate in found}
    results = together(one, found, at_once=len(found))
    done = [result for result in results if isinstance(result, MassResult)]
    look_at(
        call, [call.household.policy(one.application) for result in done for one in result.broken if one.application in known]
    )
    errors = [(estate.account, error) for estate, error in zip(found, results, strict=True) if isinstance(error, Exception)]
    for _, error in errors:
        if not done or not isinstance(error, RotatorError):
            raise error
    return Rotated(tuple(done), tuple(failed(f"account {name}", error) for name, error in errors))


def _selection(wish: Many) -> Selection:
    return Selection(tuple(wish.applications), tuple(wish.accounts), tuple(wish.globs))


def _said(wish: Many) -> str:
    """The time by which the same order is known again: as it was said, else as it is."""
    return wish.words or (timestamp(wish.created_before) if wish.created_before else "")


def _wish(call: Call, wish: Many) -> Wish:
    now = call.now()
    created_before = wish.created_before or now
    created_before -= timedelta(microseconds=created_before.microsecond)  # what is printed is what is meant
    if created_before > now:
        raise Refusal("usage", "--created-before is a time to come: the keys that are made now would be replaced again")
    reason = wish.reason.strip() or ("suspected compromise" if wish.compromised else "mass rotation")
    fixed = wish.created_before is not None and not _is_duration(wish.words)
    return Wish(_selection(wish), _said(wish), created_before, wish.compromised, reason, call.by, now, fixed)


def _is_duration(words: str) -> bool:
    with suppress(ValueError):
        return bool(words) and parse_duration(words, minimum=timedelta(0)) is not None
    return False


def _meant(call: Call, selection: Selection) -> list[Estate]:
    for name in selection.names:
        call.household.policy(name)
    found = [
        estate for estate in of(call, selection.accounts) if any(selection.chooses(policy) for policy in estate.policies.values())
    ]
    if not found:
        raise Refusal("usage", "no application of the configuration is what was asked for: see rotator status")
    return found
