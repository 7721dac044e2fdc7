"""What the provider does to its clients in a storm: awkward answers at chosen calls, and how slow it is to learn of keys.

A refusal (401) that is a lie is told to the management key alone, because a consumer could not tell it from a dead key.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from rotator.sandbox.scaleway import ScalewaySandbox

CALLS = (
    ("POST", "*/api-keys"),
    ("POST", "*/api-keys"),
    ("DELETE", "*/api-keys/*"),
    ("DELETE", "*/api-keys/*"),
    ("GET", "*/api-keys"),
    ("GET", "*/api-keys/*"),
    ("GET", "*/applications/*"),
    ("GET", "*/quota*"),
)
"""Method and path of the calls that there are; what changes something comes up more often."""

READS: tuple[dict[str, Any], ...] = (
    {"action": "status", "status": 429},
    {"action": "status", "status": 500},
    {"action": "status", "status": 503},
    {"action": "drop"},
    {"action": "reset"},
    {"action": "truncate"},
    {"action": "delay", "seconds": 0.5},
)
WRITES: tuple[dict[str, Any], ...] = (
    *READS,
    {"action": "status", "status": 500, "executed": True},
    {"action": "drop", "executed": True},
    {"action": "reset", "executed": True},
    {"action": "late", "status": 500, "seconds": 1.0},
    {"action": "late", "status": 504},
    {"action": "hang"},
    {"action": "hang", "executed": True},
)
LIE: dict[str, Any] = {"action": "status", "status": 401}


class Weather:
    """The weather at one provider, made by one source of chance."""

    def __init__(self, scaleway: ScalewaySandbox, chance: random.Random, proof: float) -> None:
        """``proof`` is how many seconds lie between the first and the last of the successes that prove a key."""
        self._scaleway = scaleway
        self._chance = chance
        # Gateways learn of a key one after the other. What is proven by several answers in a row holds everywhere only if the
        # proof lasts as long as that; with one gateway it may be as slow as it likes. (The first of two knows at half of the delay.)
        self._instances = chance.choice((1, 2))
        self._slowest = 1.6 * proof if self._instances == 2 else 2.0
        self.faults = 0
        self.other = ""
        """The management key of the other account."""

    def change(self) -> str:
        """Another climate; what it is now."""
        chance = self._chance
        settings: dict[str, Any] = {
            "instances": self._instances,
            "activation_delay": round(chance.choice((0.0, 0.2, 1.0)) * self._slowest, 2),
            "revocation_delay": round(chance.choice((0.0, 0.2, 1.0)) * self._slowest, 2),
            "latency_post": chance.choice((0.0, 0.05, 0.3)),
            "latency_delete": chance.choice((0.0, 0.05, 0.3)),
            "latency_list_by_bearer": chance.choice((0.0, 0.1)),
            "list_lag": chance.choice((0.0, 0.0, 0.5, 2.0)),
        }
        self._scaleway.configure(**settings)
        return "the provider: " + ", ".join(f"{name} {value}" for name, value in settings.items())

    def fault(self) -> str:
        """Something goes wrong with the next calls of a kind; what."""
        chance = self._chance
        method, path = chance.choice(CALLS)
        rule = dict(chance.choice(WRITES if method in ("POST", "DELETE") else READS))
        if chance.random() < 0.1:
            rule = LIE | {"access_key": self._scaleway.management_access_key}
        rule |= {
            "method": method,
            "path": path,
            "times": chance.choice((1, 1, 1, 2, 4)),
            "skip": chance.choice((0, 0, 1)),
        }
        self._scaleway.faults.add(**rule)
        self.faults += 1
        return "the provider: " + ", ".join(f"{name} {value}" for name, value in rule.items())

    def trouble(self) -> tuple[str, Callable[[], object]]:
        """One account answers no call, or every call with 503; what, and how it ends."""
        rule: dict[str, Any] = self._chance.choice(({"action": "hang"}, {"action": "status", "status": 503}))
        key = self._chance.choice((self.other, self.other, self._scaleway.management_access_key))
        fault = self._scaleway.faults.add(**rule, method="*", path="*", access_key=key, times=None)
        self.faults += 1

        def end() -> None:
            self._scaleway.faults.remove(fault.id)
            self._scaleway.release()

        return f"the provider: {rule} for everything that is asked with {key}", end

    def throttle(self, *, on: bool) -> None:
        """Answer many calls 429, or none."""
        self._scaleway.configure(rate_limit=40.0 if on else 0.0, rate_burst=5.0)

    def fill(self, *, on: bool) -> None:
        """Let the organisation be full, or not."""
        self._scaleway.edit_organization(quota=len(self._scaleway.keys()) if on else 100)

    def release(self) -> str:
        """What hangs goes on, and what is late lands."""
        return f"the provider: {self._scaleway.release()} calls that hung or were late go on"

    def clear(self) -> str:
        """Nothing goes wrong any more."""
        self._scaleway.faults.clear()
        self.throttle(on=False)
        self.fill(on=False)
        calm: dict[str, Any] = dict.fromkeys(
            ("latency_post", "latency_delete", "latency_list_by_bearer", "list_lag"), 0.0
        )
        self._scaleway.configure(activation_delay=0.1, revocation_delay=0.1, **calm)
        return self.release()
