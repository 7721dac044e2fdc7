"""When an application is looked at for which nothing is due. Pure.

A look finds out what other processes and persons have changed. Each application has a place of its
own in the interval, the same in every daemon, so that looks are spread evenly.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotator.decision.steps import Wait
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.context import PassOutcome
from rotator.util.backoff import fraction

SHORTEST = timedelta(milliseconds=200)
"""The least time between two passes of one application, whatever the first one says."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""From when on the intervals between looks are counted."""

LOOKS = frozenset({"observe", "held"})
"""Next actions that are nothing but a look."""

LONGEST_LEFT = timedelta(days=1)
MOST_LEFT = 96
"""For how long the looks at an application are left to other daemons: a day, or so many intervals
where that is shorter."""


def next_pass(spec: ApplicationSpec, wait: Wait, now: datetime) -> datetime:
    """When the next pass begins: as the last one says or, where that is only a look at what may
    have changed, at the application's own place in the interval. So looks that began together, as
    after a start, are spread evenly by the next ones, never later."""
    until = max(wait.until, now + SHORTEST)
    if wait.next is None or not (wait.next.at > wait.until or wait.next.action in LOOKS):
        return until
    interval = spec.resync_interval
    place = EPOCH + interval * fraction(spec.application, "look")
    turn = until - (until - place) % interval
    return turn if turn >= now + SHORTEST else until


def leaves_only_a_look(outcome: PassOutcome) -> bool:
    """Whether the application is well and at rest, perhaps with keys in grace, and whatever follows
    has a time that is known."""
    wait, ledger = outcome.wait, outcome.ledger
    if outcome.error or wait.problem or wait.next is None or ledger is None or ledger.hold:
        return False
    if ledger.revoking or ledger.compromised or ledger.intent:
        return False
    return wait.next.action == "observe" or wait.next.at > wait.until


def longest_left(spec: ApplicationSpec) -> timedelta:
    """For how long the looks at this application are left to other daemons at most."""
    return max(min(LONGEST_LEFT, spec.resync_interval * MOST_LEFT), spec.resync_interval)


def must_look_itself(spec: ApplicationSpec, seen: datetime, now: datetime) -> bool:
    """Whether a daemon that saw the application then has to look itself now, whatever the others
    say. These looks are spread evenly over their own, long interval."""
    longest = longest_left(spec)
    place = EPOCH + longest * fraction(spec.application, "own look")
    return (now - place) // longest != (seen - place) // longest
