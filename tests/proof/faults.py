"""The rows of the matrix: what can go wrong with one call, and when the process that made it dies.

A director stands behind the proxies of one cell. It names every call as it comes (service, method, route, and the how-manieth of
these it is), lets all of them pass but the one that is planned, and knows the moment at which the process is to die.
"""

from __future__ import annotations

import enum
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from rotator.sandbox.scaleway import responses as answers
from tests.proof.proxy import Proxy, Visit
from tests.support.raw_server import answer

# --- what goes wrong with a call --------------------------------------------------------------------------------------------


def _hung_up(visit: Visit) -> None:
    visit.hang_up()


def _lost(visit: Visit) -> None:
    visit.executed()
    visit.hang_up()


def _cut(visit: Visit) -> None:
    data = visit.executed()
    head, end, body = data.partition(b"\r\n\r\n")
    visit.say(head + end + body[: len(body) // 2] if body else data[: len(data) // 2])
    visit.hang_up()


def _slow(visit: Visit) -> None:
    visit.executed()
    visit.wait_until_the_client_gave_up()


def _late(visit: Visit) -> None:
    visit.wait_until_the_client_gave_up()
    visit.executed()


def _answered(visit: Visit) -> None:
    visit.say(visit.executed())


def _failed_all_the_same(visit: Visit) -> None:
    visit.executed()
    _status(500)(visit)


def _status(status: int) -> Callable[[Visit], None]:
    def apply(visit: Visit) -> None:
        if visit.service == "vault":
            body = b"" if status == 429 else b'{"errors":["made up by the matrix"]}'
            visit.say(answer(status, body, Content_Type="application/json"))
        else:
            made = answers.by_status(status, visit.target, "")
            visit.say(answer(status, made.body, Content_Type=made.content_type or "text/plain"))

    return apply


class Fault(enum.Enum):
    """What goes wrong with the call: a sign for the table, a sentence, whether the client waits in vain, and how it is done
    (None: the connection is refused, before anything arrives)."""

    LOST = ("L", "executed, and the answer is lost", False, _lost)
    CUT = ("C", "executed, and the answer is cut in the middle", False, _cut)
    SLOW = ("S", "executed, and the answer comes too late", True, _slow)
    LATE = ("A", "executed after the client gave up", True, _late)
    OVERTAKEN = ("O", "the connection is lost, and the call executed after the next change was made", False, _hung_up)
    TOO_MANY = ("4", "429 with an empty body, not executed", False, _status(429))
    FAILED = ("5", "500, not executed", False, _status(500))
    FAILED_DONE = ("E", "500, executed all the same", False, _failed_all_the_same)
    UNAUTHENTICATED = ("1", "401, not executed", False, _status(401))
    FORBIDDEN = ("3", "403, not executed", False, _status(403))
    REFUSED = ("R", "the connection is refused", False, None)
    # and those in which nothing goes wrong but for the process:
    UNSENT = ("b", "killed before the call is passed on", False, _hung_up)
    UNANSWERED = ("u", "killed when it was executed and not answered", False, _lost)
    ANSWERED = ("a", "answered", False, _answered)

    def __init__(self, sign: str, sentence: str, slow: bool, apply: Callable[[Visit], None] | None) -> None:
        self.sign, self.sentence, self.slow, self.apply = sign, sentence, slow, apply

    def __reduce_ex__(self, protocol: object) -> tuple[Callable[..., Fault], tuple[type, str]]:
        return getattr, (Fault, self.name)  # by its name: the functions do not travel to other processes


class Kill(enum.Enum):
    """When the process dies: a sign for the table, and a sentence."""

    NEVER = ("", "")
    NOW = ("!", "")
    NEXT = ("k", "then killed before its next call is passed on")
    NEXT_DONE = ("K", "then killed when its next call was executed and not answered")

    def __init__(self, sign: str, sentence: str) -> None:
        self.sign, self.sentence = sign, sentence


READING = {"GET", "LIST"}
"""Methods that change nothing."""


class Row(NamedTuple):
    """One kind of accident."""

    fault: Fault
    kill: Kill

    @property
    def sign(self) -> str:
        return self.fault.sign if self in KILLS_ALONE else self.fault.sign + self.kill.sign

    def fits(self, call: Call) -> bool:
        """Whether the accident can happen to the call and means anything."""
        return self.fault is not Fault.OVERTAKEN or call.method not in READING

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.fault.sentence, self.kill.sentence)))


KILLS_ALONE = (
    Row(Fault.UNSENT, Kill.NOW),
    Row(Fault.UNANSWERED, Kill.NOW),
    Row(Fault.ANSWERED, Kill.NEXT),
)
FAULTS = tuple(fault for fault in Fault if fault not in {row.fault for row in KILLS_ALONE})
ROWS = (*KILLS_ALONE, *(Row(fault, kill) for fault in FAULTS for kill in (Kill.NEVER, Kill.NEXT, Kill.NEXT_DONE)))


# --- which call -------------------------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """The how-manieth call of a kind, from the beginning of the scenario."""

    service: str
    method: str
    route: str
    number: int

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.route} #{self.number}"


_NAMES = (
    (re.compile(r"^/(v1|iam/v1alpha1)/"), ""),
    (re.compile(r"SCW[0-9A-Z]{17}"), "{key}"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}"), "{id}"),
    (re.compile(r"\bcell[0-9]+\b"), "{cell}"),
)
_SAID_ANYHOW = {"order_by", "organization_id", "page", "page_size"}
"""Parameters that do not make another call of it."""


def route(target: str) -> str:
    """The target without what is another one in every cell."""
    path, query = urlsplit(target).path, urlsplit(target).query
    for pattern, name in _NAMES:
        path = pattern.sub(name, path)
    parameters = sorted({name for name, _ in parse_qsl(query)} - _SAID_ANYHOW)
    return path + ("?" + "&".join(parameters) if parameters else "")


# --- the director -----------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """The accident of one cell. ``before`` is the call to the same service that comes right before it, if there is one."""

    call: Call
    before: Call | None
    row: Row


@dataclass
class Director:
    """Serves every visit of one cell, one at a time. ``kill`` ends the process for real; what it would still send is not
    listened to until it is ``revived``."""

    plan: Plan | None = None
    kill: Callable[[], None] = lambda: None
    proxies: dict[str, Proxy] = field(default_factory=dict)
    armed: bool = False
    calls: list[Call] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    fired: bool = False
    dead: bool = False
    kills: int = 0
    postponed: Visit | None = None
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def arm(self) -> None:
        """The scenario begins: calls are counted and the plan is in force."""
        self.armed = True
        if self.plan and self.plan.row.fault.apply is None and self.plan.before is None:
            self.proxies[self.plan.call.service].refuse()

    def disarm(self) -> None:
        """No accidents from now on."""
        with self._turn:
            self.plan = None
            for proxy in self.proxies.values():
                proxy.listen()

    def refused(self) -> None:
        """The client was seen to be refused: that was the accident."""
        with self._turn:
            assert self.plan is not None
            assert self.plan.row.fault is Fault.REFUSED
            self.fired = True
            self.proxies[self.plan.call.service].listen()

    def revived(self) -> None:
        """Another process stands where the killed one stood."""
        self.dead = False

    def kill_is_due(self) -> bool:
        """Whether the next call that comes is the last of its process."""
        return self.plan is not None and self.fired and self.plan.row.kill is not Kill.NEVER and not self.kills

    def land(self) -> bool:
        """Let the server do now what was postponed; whether anything was."""
        with self._turn:
            late, self.postponed = self.postponed, None
            if late is not None:
                late.executed_late()
            return late is not None

    def serve(self, visit: Visit) -> None:
        """Do with a request what the plan says."""
        with self._turn:
            self._serve(visit)

    def _serve(self, visit: Visit) -> None:
        if self.dead:
            visit.hang_up()
            return
        self.visits.append(visit)
        plan = self.plan
        if not self.armed:
            _answered(visit)
            return
        kind = (visit.service, visit.method, route(visit.target))
        self._counts[kind] += 1
        call = Call(*kind, self._counts[kind])
        self.calls.append(call)
        if self.kill_is_due():
            assert plan is not None
            if plan.row.kill is Kill.NEXT_DONE:
                visit.executed()
                self._land_after(visit)
            self._kill()
            visit.hang_up()
        elif plan is None or self.fired:
            data = visit.executed()
            self._land_after(visit)
            visit.say(data)
        elif call == plan.call and plan.row.fault.apply is not None:
            self.fired = True
            if plan.row.kill is Kill.NOW:
                self._kill()
            if plan.row.fault is Fault.OVERTAKEN:
                self.postponed = visit
            plan.row.fault.apply(visit)
        elif call == plan.before and plan.row.fault.apply is None:
            data = visit.executed(last=True)
            self.proxies[visit.service].refuse()  # before the answer, so that the next call surely meets it
            visit.say(data)
            visit.hang_up()
        else:
            _answered(visit)

    def _land_after(self, visit: Visit) -> None:
        if visit.method not in READING:
            self.land()

    def _kill(self) -> None:
        self.dead = True
        self.kills += 1
        self.kill()
