"""Which services are up: Vault, and the provider behind each account.

Everything begins unknown and is asked once. A service that fails a pass is asked again; while it is down it is asked every few
seconds by one cheap call, and the passes that need it are not even begun. So a thousand applications do not knock at a door
that one has found closed, and work begins within seconds when it opens.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.daemon.fleet import Fleet
from rotator.errors import Denied, RotatorError, ServiceError, Unavailable, Unclear

VAULT = "vault"

AGAIN = timedelta(seconds=2)
"""How long until a service that is down is asked again."""

AGAIN_DENIED = timedelta(seconds=15)
"""The same when it refuses our credentials: a person has to act, and a locked login must not be hammered."""


class State(enum.Enum):
    """What is known of a service."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass
class Service:
    """One service: how it is since when, and how to ask. ``said`` is the sentence for the status."""

    name: str
    ask: Callable[[], object]
    state: State = State.UNKNOWN
    since: datetime | None = None
    kind: str = ""
    message: str = ""

    def probe(self) -> ServiceError | None:
        """Ask the service; what keeps it from being used, or None. An answer that we only dislike is an answer."""
        try:
            self.ask()
        except (Unavailable, Unclear) as error:
            return error
        except Denied as error:
            return error if self.name != VAULT or error.kind in ("login", "credentials") else None
        except RotatorError:
            return None
        return None

    def note(self, trouble: ServiceError | None, now: datetime) -> bool:
        """Remember what a probe found; whether that is news."""
        state = State.DOWN if trouble else State.UP
        kind, message = (trouble.kind, str(trouble)) if trouble else ("", "")
        news = state is not self.state or kind != self.kind
        if state is not self.state:
            self.since = now
        self.state, self.kind, self.message = state, kind, message
        return news

    @property
    def pause(self) -> timedelta:
        """How long until it should be asked again, while it is down."""
        return AGAIN_DENIED if self.kind in ("login", "denied", "unauthenticated", "permission") else AGAIN


def services(fleet: Fleet) -> dict[str, Service]:
    """The services that the applications of a fleet need, none of them asked yet."""
    found = {VAULT: Service(VAULT, lambda: _ask_vault(fleet))}
    for policy in fleet.policies.values():
        if policy.account not in found:
            found[policy.account] = Service(policy.account, _provider_probe(fleet, policy.account, policy.bearer))
    return found


def _ask_vault(fleet: Fleet) -> object:
    """A call that needs a login, and is made anew every time."""
    application = next(iter(fleet.policies), None)
    return fleet.vault.read_ledger(application) if application else fleet.vault.list_ledgers()


def _provider_probe(fleet: Fleet, account: str, bearer: str) -> Callable[[], object]:
    return lambda: fleet.provider(account).list_keys(bearer)
