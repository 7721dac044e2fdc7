"""What a daemon says of itself to the others of its installation, and what it believes of them.
Pure.

A presence is written once a minute and believed for three. What is read may come from any version
of the program, or from a person: it is either exactly a presence of this schema or nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rotator import __version__
from rotator.daemon.services import VAULT, ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.domain.presence import StoredPresence
from rotator.domain.reasons import REASONS, Reason, Source, reason_of
from rotator.domain.spec import ApplicationSpec

SCHEMA = 1

EXPIRY = timedelta(minutes=3)
"""Age from which a presence is not believed any more, by Vault's clock. It is renewed once in a
third of that time."""

LATE = timedelta(minutes=2)
"""How late a pass may begin, or a call in it be, before the application counts as failing."""

MAX_ACCOUNTS = 500
MAX_FAILING = 100
"""Names in one presence. The smallest default of the supported servers allows about a thousand
texts in a document."""

_ID = re.compile("[0-9a-f]{16}")
_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_ELSEWHERE = frozenset({Source.OBSERVER, Source.SERVICE, Source.ATTEMPT})


@dataclass(frozen=True)
class DaemonPresence:
    """One daemon. ``daemon``: the random id of its process. ``digest``: of the applications that it
    works for. ``accounts``: those whose applications it can look at, except the applications in
    ``failing``."""

    daemon: str
    digest: str
    accounts: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()

    def looks_at(self, account: str, application: str) -> bool:
        """Whether it says that it can look at this application."""
        return account in self.accounts and application not in self.failing

    def as_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "schema": SCHEMA,
            "daemon": self.daemon,
            "digest": self.digest,
            "accounts": sorted(self.accounts),
            "failing": sorted(self.failing),
        }


def parse_presence(content: Mapping[str, Any]) -> DaemonPresence | None:
    """The presence in a document; None if it is anything but one of this schema."""
    if set(content) != {"schema", "daemon", "digest", "accounts", "failing"}:
        return None
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:  # true is 1 as well
        return None
    daemon, digest = content["daemon"], content["digest"]
    accounts, failing = _names(content["accounts"], MAX_ACCOUNTS), _names(content["failing"], MAX_FAILING)
    if not (_matches(_ID, daemon) and _matches(_DIGEST, digest)) or accounts is None or failing is None:
        return None
    return DaemonPresence(daemon, digest, accounts, failing)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _names(value: object, limit: int) -> frozenset[str] | None:
    if not isinstance(value, list) or len(value) > limit or not all(_matches(_NAME, name) for name in value):
        return None
    return frozenset(value)


def is_fresh(stored: StoredPresence, vault_time: datetime) -> bool:
    """Whether the document was written within the last minutes, by the clock that dated it. A time
    that is far ahead is not believed either: it would stay fresh for ever."""
    return stored.created_time is not None and abs(vault_time - stored.created_time) < EXPIRY


def configuration_digest(specs: Iterable[ApplicationSpec]) -> str:
    """What two daemons have in common that would look at the applications alike: every option of
    each of them, and the version of the program."""
    digest = hashlib.sha256(__version__.encode())
    for spec in sorted(specs, key=lambda spec: spec.application):
        digest.update(json.dumps(vars(spec), default=_plain, sort_keys=True).encode())
    return digest.hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return str(value) if isinstance(value, timedelta) else vars(value)


def able_to_look(
    tasks: Iterable[TaskSnapshot], services: Iterable[ServiceSnapshot], now: datetime
) -> tuple[frozenset[str], frozenset[str]]:
    """The accounts whose applications this daemon can look at, and the applications among them that
    it cannot, or should not be alone with: not looked at yet, late, crashed, in an emergency, or
    stopped by what another daemon may not meet (a service, a right, a clock, a rotation that
    failed). An account that adds too many of those is left out."""
    up = {service.name for service in services if service.state is ServiceState.UP}
    if VAULT not in up:
        return frozenset(), frozenset()
    failing: dict[str, set[str]] = defaultdict(set)
    for task in tasks:
        if task.spec.configured and _fails_here(task, now):
            failing[task.spec.account].add(task.name)
    accounts, named = set[str](), set[str]()
    for account in sorted(up - {VAULT}, key=lambda name: (len(failing[name]), name))[:MAX_ACCOUNTS]:
        if len(named) + len(failing[account]) <= MAX_FAILING:
            accounts.add(account)
            named |= failing[account]
    return frozenset(accounts), frozenset(named)


def _fails_here(task: TaskSnapshot, now: datetime) -> bool:
    summary = task.summary
    if summary is None or summary.urgent or task.crashes or (task.due < now - LATE and not task.parked):
        return True
    if summary.problem is None:
        return False
    reason = reason_of(summary.problem.reason)
    if reason is None:  # of a plugin
        return True
    if reason in (Reason.LEDGER_UNREADABLE, Reason.DELETE_REFUSED):
        return reason is Reason.DELETE_REFUSED  # by the management key of this machine
    return REASONS[reason].source in _ELSEWHERE
