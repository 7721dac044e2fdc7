"""Three accounts behind one daemon as a real process, of which one hangs in one route after the other: what the others notice.

``python -m tests.e2e.hanging`` runs for ten minutes with the shipped timeouts and workers, and prints for each route the rotations of
the accounts that answer as a ratio to those of a time in which nothing hangs.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from rotator.domain.secret import Secret
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.e2e.rig import FAST, Rig

HEALTHY = ("acme", "beta")
SLOW = "slow"
ROUTES = ("list", "get", "quota", "create", "delete", "probe")
"""What hangs: each kind of call that rotator makes at an account; ``get`` of a key with any secret, ``probe`` only with its own."""

SECONDS = 600
"""How long the whole run takes, the time without hanging included."""


@dataclass(frozen=True)
class Window:
    """How often the applications of the accounts that answer were rotated while one route of the other hung."""

    route: str
    seconds: float
    rotations: dict[str, int]
    slow: int
    hanging: int

    @property
    def per_minute(self) -> float:
        """Rotations a minute, of all applications of these accounts together."""
        return sum(self.rotations.values()) * 60 / self.seconds


class ThreeAccounts:
    """Enter it to have a real Vault, three stand-ins and a daemon that rotates every few seconds."""

    def __init__(self, *, slow: int, timeout: str, every: str = "3s", workers: int | None = None) -> None:
        self.rig = Rig()
        self.stands: dict[str, ScalewaySandbox] = {}
        self.names: dict[str, list[str]] = {SLOW: [f"{SLOW}-{number:02d}" for number in range(slow)]}
        self.names |= {account: [f"{account}-{number}" for number in range(2)] for account in HEALTHY}
        self._timeout = timeout
        self._every = every
        self._workers = workers
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.rig)
        text = (
            f'[vault]\naddress = "{self.rig.vault.address}"\nledger = "secret/rotator"\n'
            'auth = { method = "approle", role_id = "file:role-id", secret_id = "file:secret-id" }\n'
            f"[daemon]\n{f'workers = {self._workers}' if self._workers else ''}\n"
            f"[defaults]\n{FAST.format(every=self._every, grace='1s')}\n"
        )
        for account, names in self.names.items():
            stand = self.stands[account] = self._stack.enter_context(ScalewaySandbox(events_kept=1_000_000))
            stand.edit_organization(quota=10_000)
            self.rig.keep(f"key-{account}", Secret(stand.management_secret))
            text += (
                f'[accounts.{account}]\norganization_id = "{stand.organization_id}"\nsecret_key = "file:key-{account}"\n'
                f'api_url = "{stand.url}"\nrate_limit = 1000\n'
            )
            text += f'timeout = "{self._timeout}"\n' if account == SLOW and self._timeout else ""
            for name in names:
                bearer = self.rig.bearers[name] = stand.create_application(name)
                self.rig.vault.admin("POST", f"secret/metadata/apps/{name}", {"max_versions": 1000})
                self.rig.publish(name, *stand.create_key(bearer, description="made by hand"))
                text += f'[applications.{name}]\naccount = "{account}"\napplication_id = "{bearer}"\npath = "secret/apps/{name}"\n'
        self.rig.configuration.write_text(text)
        self.daemon = self.rig.daemon("three")
        return self

    def __exit__(self, *error: object) -> None:
        for stand in self.stands.values():
            stand.faults.clear()
            stand.release()
        self._stack.__exit__(*error)  # type: ignore[arg-type]  # the same three

    def hang(self, route: str) -> None:
        """From now on no request of this kind is answered by the slow account, until ``go_on``."""
        stand, keys = self.stands[SLOW], "/iam/v1alpha1/api-keys"
        others = f"SCW[!{stand.management_access_key[3]}]*"  # almost every key but the one that asks for the rest
        method, path, by = {
            "list": ("GET", keys, "*"),
            "get": ("GET", f"{keys}/*", "*"),
            "quota": ("GET", "*/quota*", "*"),
            "create": ("POST", keys, "*"),
            "delete": ("DELETE", f"{keys}/*", "*"),
            "probe": ("GET", f"{keys}/*", others),
        }[route]
        stand.faults.add("hang", method=method, path=path, access_key=by, times=None)

    def go_on(self) -> int:
        """Everything is answered again, also what hung; how many requests that were."""
        stand = self.stands[SLOW]
        hanging = stand.waiting()
        stand.faults.clear()
        stand.release()
        return hanging

    def rotations(self, *accounts: str) -> dict[str, int]:
        return {name: self.rig.rotations(name) for account in accounts for name in self.names[account]}

    def watch(self, route: str, seconds: float) -> Window:
        """Count what is rotated within so many seconds while this route of the slow account hangs (none: nothing does)."""
        if route:
            self.hang(route)
        before, slow, begun = self.rotations(*HEALTHY), sum(self.rotations(SLOW).values()), time.monotonic()
        time.sleep(seconds)
        after = self.rotations(*HEALTHY)
        took = time.monotonic() - begun
        slow = sum(self.rotations(SLOW).values()) - slow
        hanging = self.go_on()
        return Window(route, took, {name: after[name] - before[name] for name in after}, slow, hanging)


def main(seconds: float = SECONDS) -> int:
    """Print the ratios; the exit code is 0 if none is below nine tenths."""
    worst = 1.0
    with ThreeAccounts(slow=24, timeout="") as accounts:
        time.sleep(10)
        each = seconds / (len(ROUTES) + 1)
        without = accounts.watch("", each)
        sys.stdout.write(f"nothing hangs: {without.per_minute:.1f} rotations a minute of accounts that answer\n")
        for route in ROUTES:
            window = accounts.watch(route, each)
            ratio = window.per_minute / without.per_minute
            worst = min(worst, ratio)
            sys.stdout.write(
                f"{route:7} hangs: {window.per_minute:.1f} a minute, ratio {ratio:.2f}; {window.hanging} requests hung,"
                f" the account itself made {window.slow} rotations\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"lowest ratio {worst:.2f}\n")
    return 0 if worst >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
