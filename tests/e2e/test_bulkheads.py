"""C11 with real processes: one of three accounts hangs in one route after the other, and the other two keep their rhythm.

The timeout of the account that hangs is an hour here, so a worker that it has taken is not given back within the test: one shared
pool, or one lock over a call, and nothing of the other accounts is rotated any more, on any machine. With ``ROTATOR_LONG`` set the
run of ten minutes with the shipped timeouts is made as well, and prints its ratios.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from rotator.sandbox.process import wait_until
from tests.e2e.hanging import HEALTHY, ROUTES, SLOW, ThreeAccounts, main


@pytest.fixture(scope="module")
def accounts() -> Iterator[ThreeAccounts]:
    with ThreeAccounts(slow=6, timeout="1h", every="2s", workers=4) as found:
        wait_until(
            lambda: min(found.rotations(*HEALTHY, SLOW).values()) >= 1, "every application was rotated", timeout=120
        )
        yield found


@pytest.mark.parametrize("route", ROUTES)
def test_c11_an_account_that_hangs_in_one_route_leaves_the_other_accounts_their_rhythm(
    accounts: ThreeAccounts, route: str
) -> None:
    accounts.hang(route)
    try:
        # Probes of the account hang first where the list does; else as many passes as it has workers.
        wait_until(
            lambda: accounts.stands[SLOW].waiting() >= (1 if route in ("list", "quota") else 4),
            f"{route} hangs",
            timeout=120,
        )
        before = accounts.rotations(*HEALTHY)
        wait_until(
            lambda: all(count >= before[name] + 3 for name, count in accounts.rotations(*HEALTHY).items()),
            f"the others are rotated three times while {route} hangs",
            timeout=120,
        )
    finally:
        assert accounts.go_on() > 0
    before = accounts.rotations(SLOW)
    wait_until(
        lambda: all(count > before[name] for name, count in accounts.rotations(SLOW).items()),
        "the account that hung is rotated again",
        timeout=120,
    )


@pytest.mark.skipif("ROTATOR_LONG" not in os.environ, reason="takes ten minutes; set ROTATOR_LONG")
def test_c11_ten_minutes_of_one_account_hanging_with_the_shipped_timeouts_keep_the_rhythm_of_the_others() -> None:
    assert main() == 0
