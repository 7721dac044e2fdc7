"""Which services are up: Vault, and the provider behind each account.

Everything begins unknown and is asked once. A service that fails a pass is asked again; while it is
down it is asked every few seconds by one cheap call, and the passes that need it are not even
begun. So a thousand applications do not call a service that one has found closed, and work begins
within seconds when it opens.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.errors import Indeterminate, PermissionDenied, RotatorError, ServiceError, Unavailable

VAULT = "vault"

AGAIN = timedelta(seconds=2)
"""How long until a service that is down is asked again."""

AGAIN_DENIED = timedelta(seconds=15)
"""The same for an account that refuses the management key. (A refused login at Vault is remembered
where it is made.)"""

DENIED = frozenset({"unauthenticated", "permissions_denied", "secret_key"})
"""What that is called."""

ABOUT_ONE = frozenset({"stale", "upgrading"})
"""Kinds of problems that are one document's or one mount's, and not the service's."""


class ServiceState(enum.Enum):
    """What is known of a service."""

    UNKNOWN = "unknown"
    UP = "up"
    SUSPECT = "suspect"
    """It failed a pass and is being asked; nothing is begun meanwhile."""
    DOWN = "down"


@dataclass
class ServiceHealth:
    """One service: how it is since when, and how to ask. ``said`` is the sentence for the
    status."""

    name: str
    ask: Callable[[], object]
    state: ServiceState = ServiceState.UNKNOWN
    since: datetime | None = None
    kind: str = ""
    message: str = ""

    def probe(self) -> ServiceError | None:
        """Ask the service; what keeps it from being used, or None. A negative answer is an
        answer."""
        try:
            self.ask()
        except (Unavailable, Indeterminate) as error:
            return None if error.kind in ABOUT_ONE else error
        except PermissionDenied as error:
            return error if self.name != VAULT or error.kind in ("login", "credentials") else None
        except RotatorError:
            return None
        return None

    def note(self, problem: ServiceError | None, now: datetime) -> bool:
        """Remember what a probe found; whether that is news to people: down, down in another way,
        or back."""
        before = self.kind
        self.kind, self.message = (problem.kind, str(problem)) if problem else ("", "")
        if bool(before) != bool(problem) or self.since is None:
            self.since = now
        self.state = ServiceState.DOWN if problem else ServiceState.UP
        return self.kind != before

    @property
    def pause(self) -> timedelta:
        """How long until it should be asked again, while it is down."""
        return AGAIN_DENIED if self.kind in DENIED else AGAIN


def tracked_services(runtime: DaemonRuntime) -> dict[str, ServiceHealth]:
    """The services that the applications of a fleet need, none of them asked yet.

    Each probe asks about the next application, so that one which is broken in itself cannot make a
    service look down for long.
    """
    names = cycle(runtime.specs)
    found = {
        VAULT: ServiceHealth(
            VAULT, lambda: runtime.vault.read_ledger(next(names)) if runtime.specs else runtime.vault.list_ledgers()
        )
    }
    bearers: dict[str, list[str]] = {}
    for spec in runtime.specs.values():
        bearers.setdefault(spec.account, []).append(spec.bearer)
    for account, borne in bearers.items():
        found[account] = ServiceHealth(account, _asking(runtime, account, cycle(borne)))
    return found


def _asking(runtime: DaemonRuntime, account: str, bearers: Iterator[str]) -> Callable[[], object]:
    return lambda: runtime.provider(account).list_keys(next(bearers))
