"""The verbs, as a table: what can be asked and ordered, through a socket or by a command that acts itself.

Routes, checks and the OpenAPI description of the API are made from this table, and the command line asks and orders by it, so both
do the same. Each function gets a ``Call`` and a ``Wish`` and returns plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from rotator import __version__
from rotator.operations.commands.drill import Drilled
from rotator.operations.commands.handlers import (
    Drill,
    Extend,
    Hold,
    Resume,
    Revoke,
    Rotate,
    do_drill,
    do_extend,
    do_hold,
    do_resume,
    do_revoke,
    do_rotate,
)
from rotator.operations.coverage import Coverage
from rotator.operations.daemon_handle import Reloaded
from rotator.operations.incidents.handlers import Tell, do_incident, do_incidents
from rotator.operations.incidents.report import Report
from rotator.operations.mass_rotation.handlers import (
    Cover,
    Many,
    Rotated,
    RotateMany,
    Waive,
    Waived,
    do_coverage,
    do_foretell,
    do_rotate_many,
    do_waive,
)
from rotator.operations.mass_rotation.preview import Foretold
from rotator.operations.operation import Call, Maybe, Name, Names, Nothing, Verb, Wish
from rotator.operations.queries.history import Story, story
from rotator.operations.queries.key_info import Person, who
from rotator.operations.queries.plan import Planned, plans
from rotator.operations.queries.status import Overview, overview
from rotator.operations.result import Result

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

    applications: Maybe


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


class Keys(Wish):
    """Names of keys."""

    access_keys: Annotated[Names, Field(min_length=1)]


def _who(call: Call, wish: Keys) -> tuple[Person, ...]:
    return who(call.household, wish.access_keys, call.now())


# --- the table ------------------------------------------------------------------------------------------------------------

_ORDER: dict[str, Any] = {"changes": True, "streams": True, "refuses": (404, 409, 429)}

VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("health", "GET", "How the daemon is.", Nothing, Health, _health, at_hand=True),
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
            do_rotate,
            changes=True,
            streams=True,
            urgent=lambda wish: bool(wish.compromised),
            refuses=(404, 409, 429),
        ),
        Verb("who", "GET", "Whose keys these are, and how they stand.", Keys, tuple[Person, ...], _who, refuses=(409,)),
        Verb("hold", "POST", "Leave applications alone until they are resumed.", Hold, tuple[Result, ...], do_hold, **_ORDER),
        Verb("resume", "POST", "Let held applications go on.", Resume, tuple[Result, ...], do_resume, **_ORDER),
        Verb("extend", "POST", "Let keys in grace live on.", Extend, tuple[Result, ...], do_extend, **_ORDER),
        Verb(
            "revoke",
            "POST",
            "End a grace, or a stranger's key; answers when it is proven dead.",
            Revoke,
            tuple[Result, ...],
            do_revoke,
            **_ORDER,
        ),
        Verb(
            "coverage",
            "GET",
            "Every live key of an account from before a time.",
            Cover,
            Coverage,
            do_coverage,
            refuses=(404, 409),
        ),
        Verb(
            "waive",
            "POST",
            "Let an old key stay, by name and with a reason, or no longer.",
            Waive,
            Waived,
            do_waive,
            changes=True,
            refuses=(404, 409),
        ),
        Verb(
            "foretell",
            "GET",
            "What a rotation of many applications would do, in which order, and which keys would remain.",
            Many,
            tuple[Foretold, ...],
            do_foretell,
            refuses=(404, 409),
        ),
        Verb(
            "rotate_many",
            "POST",
            "Replace the keys of many applications, as many at once as there is room for, to the coverage proof.",
            RotateMany,
            Rotated,
            do_rotate_many,
            urgent=lambda wish: bool(wish.compromised),
            alone=lambda wish: str(wish.same),
            **_ORDER,
        ),
        Verb(
            "incidents",
            "GET",
            "Every incident that a ledger remembers.",
            Nothing,
            tuple[Report, ...],
            do_incidents,
            refuses=(409,),
        ),
        Verb("incident", "GET", "What happened in an emergency.", Tell, Report, do_incident, refuses=(409,)),
        Verb("drill", "POST", "Practise the emergency on one application, for real.", Drill, Drilled, do_drill, **_ORDER),
    )
}
"""Everything that can be asked and ordered, beside the stream of events."""
