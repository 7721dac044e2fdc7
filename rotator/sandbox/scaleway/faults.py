"""Faults on command: rules that pick requests and say what goes wrong with them.

A rule is an action and which requests it picks. Rules are asked in the order in which they were
added; the first that picks a request has it, and none of the others counts it.

======== ==================================================================================
status   an error answer of ``status`` instead of the real one
drop     the connection is closed without an answer
reset    the connection is reset without an answer
truncate the real answer, cut in the middle of its body
delay    ``seconds`` pass before the request is executed
drip     the real answer, one byte of the body every ``seconds``
hang     no answer until ``release()``; the request is executed then
late     an error answer of ``status`` now (0: the connection is closed); the request is
         executed ``seconds`` later (None: on ``release()``)
======== ==================================================================================

``status``, ``drop`` and ``reset`` do not execute the request, unless ``executed`` says that they do
and only the answer is lost; with it, ``hang`` executes the request first. A request whose secret is
refused is answered 401 by ``late``.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

ACTIONS = ("status", "drop", "reset", "truncate", "delay", "drip", "hang", "late")


@dataclass
class Fault:
    """One rule. ``hits`` counts the requests that it has picked."""

    action: str
    method: str = "*"
    path: str = "*"
    """With ``*`` as a wildcard, matched against the whole path without the query."""
    access_key: str = "*"
    """Only requests made with the secret of this key (a wildcard too; empty: with no known
    secret)."""
    times: int | None = 1
    """How many requests it picks before it is spent; None is without end."""
    skip: int = 0
    """How many requests that fit are let through first."""
    probability: float = 1.0
    seed: int = 0
    """Makes the same choice in every run."""
    executed: bool = False
    status: int | None = None
    seconds: float | None = None
    body: str | None = None
    """Instead of the body that belongs to the status."""
    headers: dict[str, str] = field(default_factory=dict)
    """In addition to those that belong to the status."""
    id: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"there is no fault {self.action!r}; there are {', '.join(ACTIONS)}")
        if self.action == "status" and self.status is None:
            raise ValueError("the fault 'status' needs a status")
        if self.action in ("delay", "drip") and not self.seconds:
            raise ValueError(f"the fault {self.action!r} needs seconds")
        if self.action == "late" and self.status is None:
            self.status = 500
        if self.executed and self.action not in ("status", "drop", "reset", "hang"):
            raise ValueError(f"the fault {self.action!r} has no say in whether the request is executed")
        self._chance = random.Random(self.seed)  # noqa: S311 - chance that can be repeated is what it is for

    @property
    def spent(self) -> bool:
        """Whether the rule picks nothing any more."""
        return self.times is not None and self.hits >= self.times

    def picks(self, method: str, path: str, access_key: str) -> bool:
        """Whether the rule takes this request, which it counts if so."""
        if self.spent or not (
            fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
            and fnmatchcase(access_key, self.access_key)
        ):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1 and self._chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def __str__(self) -> str:
        what = f"{self.action} {self.status}" if self.status else self.action
        return f"{what} (executed)" if self.executed else what


class Faults:
    """The rules in force, behind the lock of the state."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._rules: list[Fault] = []
        self._made = 0

    def add(self, action: str, **rule: Any) -> Fault:
        """Put a rule behind the others; the arguments are the fields of ``Fault``. Its ``hits`` go
        on counting."""
        fault = Fault(action, **rule)
        with self._lock:
            self._made += 1
            fault.id = self._made
            self._rules.append(fault)
        return fault

    def pick(self, method: str, path: str, access_key: str) -> Fault | None:
        """The rule that has this request, if any."""
        with self._lock:
            return next((rule for rule in self._rules if rule.picks(method, path, access_key)), None)

    def list(self) -> list[Fault]:
        """All rules, spent ones included."""
        with self._lock:
            return [*self._rules]

    def remove(self, fault_id: int) -> None:
        """Withdraw a rule; nothing if there is none of that id."""
        with self._lock:
            self._rules = [rule for rule in self._rules if rule.id != fault_id]

    def clear(self) -> None:
        """Withdraw all rules."""
        with self._lock:
            self._rules = []
