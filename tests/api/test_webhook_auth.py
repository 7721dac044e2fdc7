"""Each signature is good once, whatever the clocks and the processes do."""

from __future__ import annotations

import pytest

from rotator.api.webhook_auth import MAX_AHEAD, TOLERANCE, ReplayGuard, signature
from rotator.domain.secret import Secret

KEY = Secret("signing-key-0123456789")
START = 1_000_000.0


def take(guard: ReplayGuard, *, signed: float, now: float) -> str:
    timestamp = str(int(signed))
    return guard.refuse(KEY, timestamp, signature(KEY, timestamp, b""), b"", now)


REPLAYS: dict[str, tuple[float, float, list[float | str]]] = {
    # signed at, accepted at, then: times of the daemon's clock at which it comes again, "restart" between them
    "at once": (0, 0, [0]),
    "after one tolerance, signed by a clock ahead": (MAX_AHEAD, 0, [TOLERANCE + 1]),
    "at the end of the tolerance": (MAX_AHEAD, 0, [MAX_AHEAD + TOLERANCE]),
    "after the clock went forward and back": (0, 0, [10 * TOLERANCE, 1]),
    "after a restart in the same second": (0.2, 0.5, ["restart", 0.9]),
    "after a restart, signed by a clock ahead": (MAX_AHEAD, 1, ["restart", 2, MAX_AHEAD, MAX_AHEAD + 1, TOLERANCE]),
    "after a restart and another clock of ours": (0, 0, ["restart", -MAX_AHEAD, 0, TOLERANCE]),
}


@pytest.mark.parametrize("when", REPLAYS)
def test_a_signature_is_good_once_and_not_again(when: str) -> None:
    signed, accepted, again = REPLAYS[when]
    guard, now = ReplayGuard(START - 3600), accepted
    assert take(guard, signed=START + signed, now=START + accepted) == ""
    for moment in again:
        if isinstance(moment, str):
            following = next(one for one in again[again.index(moment) + 1 :] if not isinstance(one, str))
            guard = ReplayGuard(START + following)
            continue
        now = moment
        assert take(guard, signed=START + signed, now=START + now) != "", moment


def test_a_signature_from_before_the_time_of_an_earlier_process_is_refused_and_a_later_one_accepted() -> None:
    guard = ReplayGuard(START)
    assert take(guard, signed=START, now=START + 1) == "starting"
    assert take(guard, signed=START + MAX_AHEAD, now=START + MAX_AHEAD + 5) == "timestamp"
    assert take(guard, signed=START + MAX_AHEAD + 1, now=START + MAX_AHEAD + 5) == ""
