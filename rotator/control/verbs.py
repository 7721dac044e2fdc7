"""The verbs of the API, as a table: routes, checks and the OpenAPI description are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from rotator import __version__
from rotator.control.house import House, Reloaded
from rotator.hands.waiting import Sleep
from rotator.ports import Journal


class Wish(BaseModel):
    """What comes in: nothing but what is listed, and nothing converted silently."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Nothing(Wish):
    """No options."""


@dataclass(frozen=True)
class Call:
    """One request on its way: the house, who asks, where it is told what happens, and how to sleep."""

    house: House
    by: str
    journal: Journal
    sleep: Sleep


@dataclass(frozen=True)
class Verb:
    """One thing that can be asked or ordered.

    ``run`` gets the call and the wish, and returns a value of the type ``gives``. It may take its time: it has a thread.
    ``changes``: only through the door of orders. ``streams``: what happens meanwhile can be followed, line by line.
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


# --- how the daemon is ----------------------------------------------------------------------------------------------------


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


def health(call: Call, _: Nothing) -> Health:
    """How the daemon is."""
    alive = [Cause(*cause) for cause in call.house.health()]
    ready = [Cause(*cause) for cause in call.house.readiness()]
    with call.house.borrow() as fleet:
        return Health(__version__, fleet.source, all(one.well for one in alive), all(one.well for one in ready), (*alive, *ready))


def reload(call: Call, _: Nothing) -> Reloaded:
    """Wait for the new configuration to be in force."""
    call.house.journal.emit("control.ordered", verb="reload", by=call.by, applications=[], reason="")
    return call.house.reload().result(RELOAD_PATIENCE)


RELOAD_PATIENCE = 120.0
"""Seconds after which a main loop that does not turn is no longer waited for."""

VERBS: tuple[Verb, ...] = (
    Verb("health", "GET", "How the daemon is.", Nothing, Health, health),
    Verb(
        "reload",
        "POST",
        "Read the configuration again; answers when it is in force.",
        Nothing,
        Reloaded,
        reload,
        changes=True,
        refuses=(422,),
    ),
)
"""Everything that the API can do, beside the stream of events."""
