"""kill -9 at a hundred random moments, with two daemons on the same configuration: DESIGN.md I1, I2, I4, I5, I6."""

from __future__ import annotations

import os
import random
import signal

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Prober, Rig

KILLS = int(os.environ.get("ROTATOR_KILLS", "100"))
GRACE = 2


def test_i1_i2_i4_i5_i6_two_daemons_killed_a_hundred_times_break_nothing_and_leave_nothing_over() -> None:
    chance = random.Random(20261123)
    with Rig() as rig:
        for name in ("billing", "shop", "reports"):
            rig.application(name)
        stranger, _ = rig.scaleway.create_key(rig.bearers["shop"], description="terraform")
        rig.scaleway.configure(
            instances=2, activation_delay=0.15, revocation_delay=0.1, latency_post=0.05, latency_delete=0.03
        )
        rig.configure(FAST.format(every="3s", grace=f"{GRACE}s"))
        daemons = [rig.daemon("one"), rig.daemon("two")]
        probers = [Prober(rig, name) for name in rig.bearers]
        for prober in probers:
            prober.start()
        rig.kill_at_random(daemons, KILLS, chance)
        assert sum(map(rig.rotations, rig.bearers)) >= KILLS / 10, "hardly anything was rotated while they were killed"
        # calm: the daemons stop in good order, a slower configuration lets everything come to rest
        for daemon in daemons:
            daemon.end(signal.SIGTERM)
        rig.configure(FAST.format(every="1h", grace=f"{GRACE}s"))
        daemons[0].start()
        for name in rig.bearers:
            wait_until(lambda name=name: rig.at_rest(name), f"{name} is at rest", timeout=120)  # type: ignore[misc]  # bound on purpose
        for prober in probers:
            prober.end()
            assert prober.calls > 0
            assert prober.refusals == [], f"I1: {prober.application} was refused"
        for name in rig.bearers:
            rig.check_rest(name)
            assert rig.check_history(name, GRACE) > 0
        assert rig.scaleway.accepts(stranger), "I5"
        rig.check_no_secret()
