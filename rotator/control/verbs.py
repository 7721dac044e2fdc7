"""The verbs, as a table: what can be asked and ordered, through a socket or by a command that acts itself.

Routes, checks and the OpenAPI description of the API are made from this table, and the command line asks and orders by it, so both
do the same. Each function gets a ``Call`` and a ``Wish`` and returns plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rotator import __version__
from rotator.control.house import House, Reloaded
from rotator.control.refusals import Refusal
from rotator.hands.containment import contain
from rotator.hands.history import Story, story
from rotator.hands.household import Household, chosen
from rotator.hands.overview import Overview, overview
from rotator.hands.planning import Planned, plans
from rotator.hands.result import Result, failed
from rotator.hands.rotation import rotate
from rotator.hands.together import together
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
    compromised: Annotated[bool, Field(description="Mark the keys first; they die at once, without grace.")] = False
    reason: Reason = ""


def _rotate(call: Call, wish: Rotate) -> tuple[Result, ...]:
    def work(policy: Policy) -> Result:
        world = call.world(policy)

        def sleep(until: datetime) -> None:
            call.sleep(world.clock, until)

        if wish.compromised:
            return contain(policy, world, sleep, wish.reason or "suspected compromise", call.by)
        return rotate(policy, world, sleep, wish.reason or "requested")

    return _together(call, chosen(call.household, wish.applications), work)


def _together(call: Call, policies: list[Policy], work: Callable[[Policy], Result]) -> tuple[Result, ...]:
    """What became of each application; afterwards the daemon, if there is one, looks at them too."""
    try:
        found = together(work, policies)
    finally:
        if call.house is not None:
            call.house.look_at([policy.application for policy in policies])
    return tuple(
        result if isinstance(result, Result) else failed(policy.application, result)
        for policy, result in zip(policies, found, strict=True)
    )


# --- the table ------------------------------------------------------------------------------------------------------------

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
    )
}
"""Everything that can be asked and ordered, beside the stream of events."""
