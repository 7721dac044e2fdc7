"""The verbs, as a table: what can be asked and ordered, through a socket or by a command that acts itself.

Routes, checks and the OpenAPI description of the API are made from this table, and the command line asks and orders by it, so both
do the same. Each function gets a ``Call`` and a ``Wish`` and returns plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotator import __version__
from rotator.control.house import House, Reloaded
from rotator.control.refusals import Refusal
from rotator.hands import brake
from rotator.hands.emergency import Job, Order, carry_out, jobs
from rotator.hands.finding import is_access_key, owner_of
from rotator.hands.grace import extend
from rotator.hands.history import Story, story
from rotator.hands.household import Household, chosen
from rotator.hands.overview import Overview, overview
from rotator.hands.planning import Planned, plans
from rotator.hands.result import Result, failed
from rotator.hands.revocation import revoke
from rotator.hands.rotation import rotate
from rotator.hands.together import together
from rotator.hands.waiting import Sleep
from rotator.hands.who import Person, who
from rotator.model import Policy
from rotator.ports import Clock, Journal
from rotator.world import World

Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(max_length=1000, description="Why, for the ledger, the logs and the auditor.")]
Names = Annotated[list[Name], Field(max_length=10_000, description="The applications.")]


class Wish(BaseModel):
    """What comes in: nothing but what is listed, and nothing converted silently."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Nothing(Wish):
    """No options."""


@dataclass(frozen=True)
class Call:
    """One question or order on its way: what it is carried out with, who gives it, where it is told what happens, and time.

    ``owner`` signs what is claimed; the household's own name does when it is empty. ``house`` is the daemon, in which one is.
    """

    household: Household
    by: str
    journal: Journal
    sleep: Callable[[Clock, datetime], None]
    now: Callable[[], datetime]
    owner: str = ""
    house: House | None = None

    def world(self, policy: Policy) -> World:
        """What a pass for this application acts through."""
        found = replace(self.household.world(policy), journal=self.journal)
        return replace(found, owner=self.owner) if self.owner else found

    def hand(self, policy: Policy) -> tuple[World, Sleep]:
        """What somebody who acts on this application does it with: the world, and a way to sleep."""
        world = self.world(policy)
        return world, lambda until: self.sleep(world.clock, until)

    @property
    def daemon(self) -> House:
        """The daemon; only for what makes no sense without one."""
        if self.house is None:
            raise AssertionError("a verb of the daemon was asked of no daemon")
        return self.house


@dataclass(frozen=True)
class Verb:
    """One thing that can be asked or ordered.

    ``run`` gets the call and the wish, and returns a value of the type ``gives``. It may take its time: it has a thread.
    ``changes``: only through the socket of orders. ``streams``: what happens meanwhile can be followed, line by line.
    ``urgent`` tells an emergency from other wishes. ``refuses`` are statuses of errors beyond those that every verb has.
    """

    name: str
    method: Literal["GET", "POST"]
    summary: str
    takes: type[Wish]
    gives: Any
    run: Callable[[Call, Any], Any]
    changes: bool = False
    streams: bool = False
    urgent: Callable[[Any], bool] = lambda wish: False  # noqa: ARG005 - most verbs know no emergency
    refuses: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """Where it is."""
        return f"/v1/{self.name}"

    def wish(self, given: Mapping[str, Any] | bytes) -> Wish:
        """What was given, if it makes sense; raises ``Refusal`` without repeating any of it: it may be a secret in the wrong place."""
        try:
            return self.takes.model_validate_json(given) if isinstance(given, bytes) else self.takes.model_validate(given)
        except ValidationError as error:
            raise Refusal("usage", "; ".join(_complaints(error))) from None


def _complaints(error: ValidationError) -> list[str]:
    found = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        if one["type"] == "extra_forbidden":
            found.append("something is not an option here; see /openapi.json")
        else:
            where = ".".join(map(str, one["loc"]))
            found.append(f"{where or 'the body'}: {one['msg'][:1].lower()}{one['msg'][1:]}")
    return list(dict.fromkeys(found))[:10]


# --- questions ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cause:
    """One reason to call the daemon well or not."""

    name: str
    well: bool
    how: str


@dataclass(frozen=True)
class Health:
    """The daemon: its version, the configuration that it works for, whether it lives and whether it can do its work."""

    version: str
    config: str
    alive: bool
    ready: bool
    causes: tuple[Cause, ...]


def _health(call: Call, _: Nothing) -> Health:
    alive = [Cause(*cause) for cause in call.daemon.health()]
    ready = [Cause(*cause) for cause in call.daemon.readiness()]
    with call.daemon.borrow() as fleet:
        source = fleet.source
    return Health(__version__, source, all(one.well for one in alive), all(one.well for one in ready), (*alive, *ready))


class Some(Wish):
    """Some applications, or all."""

    applications: Names = []


def _status(call: Call, wish: Some) -> Overview:
    return overview(call.household, wish.applications, call.now())


def _plan(call: Call, wish: Some) -> tuple[Planned, ...]:
    return plans(call.household, wish.applications, call.world, call.sleep)


class One(Wish):
    """One application."""

    application: Name


def _history(call: Call, wish: One) -> Story:
    return story(call.household, wish.application)


# --- orders ---------------------------------------------------------------------------------------------------------------

RELOAD_PATIENCE = 120.0
"""Seconds after which a main loop that does not turn is no longer waited for."""


def _reload(call: Call, _: Nothing) -> Reloaded:
    return call.daemon.reload().result(RELOAD_PATIENCE)


class Rotate(Wish):
    """Applications whose keys are to be replaced now."""

    applications: Annotated[Names, Field(min_length=1)]
    compromised: Annotated[bool, Field(description="Mark the keys first; they die at once, without grace. Needs a reason.")] = (
        False
    )
    revoke_first: Annotated[bool, Field(description="With compromised: delete before there is a replacement.")] = False
    through_hold: Annotated[bool, Field(description="With compromised: no operator's hold spares these keys.")] = False
    confirm: Annotated[Names, Field(description="With compromised: strangers' keys that are to die, by their full names.")] = []
    reason: Reason = ""


def _rotate(call: Call, wish: Rotate) -> tuple[Result, ...]:
    if wish.compromised:
        return _contain(call, wish)
    if wish.revoke_first or wish.through_hold or wish.confirm:
        raise Refusal("usage", "revoke_first, through_hold and confirm are for what is compromised")
    if keys := [name for name in wish.applications if is_access_key(name)]:
        raise Refusal("usage", f"{keys[0]} is an access key: name its application, or say that it is compromised")

    def work(policy: Policy) -> Result:
        return rotate(policy, *call.hand(policy), wish.reason or "requested")

    return _together(call, chosen(call.household, wish.applications), work)


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
        _look_at(call, [job.policy for job in found if job.policy])
    told: list[Result] = []
    for job, result in zip(found, results, strict=True):
        name = job.policy.application if job.policy else ""
        told += [failed(name, result)] if isinstance(result, Exception) else result
    return tuple(told)


class Hold(Wish):
    """Applications that are to be left alone; all of the configuration when none is named and ``everything`` is true."""

    applications: Names = []
    everything: bool = False
    reason: Annotated[Reason, Field(min_length=1)]


def _hold(call: Call, wish: Hold) -> tuple[Result, ...]:
    return _together(
        call, _named(call, wish), lambda policy: brake.hold(policy, *call.hand(policy), wish.reason.strip() or "held", call.by)
    )


class Resume(Wish):
    """Applications that are to go on; all of the configuration when none is named and ``everything`` is true."""

    applications: Names = []
    everything: bool = False


def _resume(call: Call, wish: Resume) -> tuple[Result, ...]:
    return _together(call, _named(call, wish), lambda policy: brake.resume(policy, *call.hand(policy), call.by))


def _named(call: Call, wish: Hold | Resume) -> list[Policy]:
    if bool(wish.applications) == wish.everything:
        raise Refusal("usage", "name the applications, or say that all are meant, not both")
    return chosen(call.household, wish.applications)


class Extend(Wish):
    """Applications whose keys in grace are to live on."""

    applications: Annotated[Names, Field(min_length=1)]
    seconds: Annotated[int, Field(ge=1, le=366 * 86400, description="How much longer.")]


def _extend(call: Call, wish: Extend) -> tuple[Result, ...]:
    longer = timedelta(seconds=wish.seconds)
    policies = chosen(call.household, wish.applications)
    return _together(call, policies, lambda policy: extend(policy, *call.hand(policy), longer, call.by))


class Revoke(Wish):
    """Keys that are to die before their time, or that are a stranger's; each has to be confirmed by its full name."""

    access_keys: Annotated[Names, Field(min_length=1)]
    confirm: Names = []
    reason: Reason = ""
    through_hold: bool = False


def _revoke(call: Call, wish: Revoke) -> tuple[Result, ...]:
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
            _look_at(call, [policy])

    names = list(dict.fromkeys(wish.access_keys))
    found = [_tried(work, name) for name in names]  # one after the other: several may be of one application
    return tuple(failed(name, one) if isinstance(one, Exception) else one for name, one in zip(names, found, strict=True))


def _tried(work: Callable[[str], Result], name: str) -> Result | Exception:
    (found,) = together(work, [name])
    return found


class Keys(Wish):
    """Names of keys."""

    access_keys: Annotated[Names, Field(min_length=1)]


def _who(call: Call, wish: Keys) -> tuple[Person, ...]:
    return who(call.household, wish.access_keys, call.now())


def _together(call: Call, policies: list[Policy], work: Callable[[Policy], Result]) -> tuple[Result, ...]:
    """What became of each application; afterwards the daemon, if there is one, looks at them too."""
    try:
        found = together(work, policies)
    finally:
        _look_at(call, policies)
    return tuple(
        result if isinstance(result, Result) else failed(policy.application, result)
        for policy, result in zip(policies, found, strict=True)
    )


def _look_at(call: Call, policies: Iterable[Policy]) -> None:
    if call.house is not None:
        call.house.look_at([policy.application for policy in policies])


# --- the table ------------------------------------------------------------------------------------------------------------

_ORDER: dict[str, Any] = {"changes": True, "streams": True, "refuses": (404, 409, 429)}

VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("health", "GET", "How the daemon is.", Nothing, Health, _health),
        Verb("status", "GET", "How the applications are, by their ledgers.", Some, Overview, _status, refuses=(404, 409)),
        Verb("plan", "GET", "What would be done next, and why.", Some, tuple[Planned, ...], _plan, refuses=(404, 409)),
        Verb("history", "GET", "What happened to the keys of an application.", One, Story, _history, refuses=(404, 409)),
        Verb(
            "reload",
            "POST",
            "Read the configuration again; answers when it is in force.",
            Nothing,
            Reloaded,
            _reload,
            changes=True,
            refuses=(422,),
        ),
        Verb(
            "rotate",
            "POST",
            "Replace keys now; answers when it is true and read back.",
            Rotate,
            tuple[Result, ...],
            _rotate,
            changes=True,
            streams=True,
            urgent=lambda wish: bool(wish.compromised),
            refuses=(404, 409, 429),
        ),
        Verb("who", "GET", "Whose keys these are, and how they stand.", Keys, tuple[Person, ...], _who, refuses=(409,)),
        Verb("hold", "POST", "Leave applications alone until they are resumed.", Hold, tuple[Result, ...], _hold, **_ORDER),
        Verb("resume", "POST", "Let held applications go on.", Resume, tuple[Result, ...], _resume, **_ORDER),
        Verb("extend", "POST", "Let keys in grace live on.", Extend, tuple[Result, ...], _extend, **_ORDER),
        Verb(
            "revoke",
            "POST",
            "End a grace, or a stranger's key; answers when it is proven dead.",
            Revoke,
            tuple[Result, ...],
            _revoke,
            **_ORDER,
        ),
    )
}
"""Everything that can be asked and ordered, beside the stream of events."""
