"""The worker pools of the daemon: a set of its own for each account, so that no account waits for
another's workers.

A call that hangs keeps its worker for as long as the account's ``timeout``. In a pool that accounts
share, one account could so keep every worker, and the others would wait. Here the bound is
structural: a pass of one account never stands in a queue behind a pass of another one, however many
of them hang. Emergencies have workers of their own in each account.
"""

from __future__ import annotations

from rotator.daemon.scheduler import Pool

MAINTENANCE = Pool("maintenance", 4)
"""What the daemon does beside the passes: login, listeners, metrics and removed applications. One
worker for each of them."""


def pass_workers(account: str, workers: int) -> Pool:
    """The workers for ordinary passes of an account."""
    return Pool(f"passes of {account}", workers)


def urgent_workers(account: str, workers: int) -> Pool:
    """The workers that only emergencies of an account use: a quarter as many, at least one."""
    return Pool(f"emergencies of {account}", max(1, workers // 4))


def probe_worker(service: str) -> Pool:
    """The worker that probes one service, so that a probe that hangs delays no other."""
    return Pool(f"probe of {service}", 1)
