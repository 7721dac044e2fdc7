"""Selects the applications of a mass rotation, their keys, and the order. Pure.

Starts from the provider's list of all keys of the account. A key belongs to an application if its
ledger names it, if consumers read it, or if it has a marker of this installation. All other keys
remain for the coverage report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from rotator.domain.spec import ApplicationSpec

MAX_SELECTOR = 400
"""Characters of a selector in the account document; a longer one is cut and ends in its digest."""


@dataclass(frozen=True)
class Selection:
    """The selection: these names (all if empty), of these accounts (all if empty), that match one
    of these patterns."""

    names: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether applications are named or matched, rather than whole accounts."""
        return bool(self.names or self.globs)

    def chooses(self, spec: ApplicationSpec) -> bool:
        """Whether the application is selected."""
        return (
            (not self.names or spec.application in self.names)
            and (not self.accounts or spec.account in self.accounts)
            and (not self.globs or any(fnmatchcase(spec.application, glob) for glob in self.globs))
        )

    def selector(self, *, created_before: str, compromised: bool) -> str:
        """The canonical text of the selection, by which the same command is recognised."""
        parts = [*sorted(self.names), *(f"--account {account}" for account in sorted(self.accounts))]
        parts += [f"--match {glob}" for glob in sorted(self.globs)]
        parts += [f"--created-before {created_before}"] if created_before else []
        selector = " ".join([*(parts or ["--all"]), *(["--compromised"] if compromised else [])])
        if len(selector) <= MAX_SELECTOR:
            return selector
        return f"{selector[: MAX_SELECTOR - 30]} ... sha256:{hashlib.sha256(selector.encode()).hexdigest()[:16]}"


def is_partial(selector: str) -> bool:
    """Whether the selector of a mass rotation names applications, like ``Selection.partial``."""
    return not selector.startswith("--") or selector.startswith("--match ") or " --match " in selector


@dataclass(frozen=True)
class SelectionInput:
    """The state of one account: every key at the provider, the ledgers by application, the
    published key if there is no ledger yet, and why some could not be read."""

    keys: Sequence[Key]
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    published: Mapping[str, str | None] = field(default_factory=dict)
    unread: Mapping[str, Exception] = field(default_factory=dict)
    installation: str = ""
    unlisted: str = ""
    """Why ``keys`` lacks keys of bearers without an application; empty if it lacks none."""


@dataclass(frozen=True)
class Candidate:
    """An application to rotate, and its old keys.

    ``needs_room``: consumers read one of them, so another key is created before any of them is
    revoked. ``marked``: the ledger has a mark already, so every daemon acts on it.
    """

    spec: ApplicationSpec
    keys: frozenset[str]
    oldest: datetime
    needs_room: bool = True
    marked: bool = False

    @property
    def name(self) -> str:
        """The application."""
        return self.spec.application


def candidates(
    specs: Iterable[ApplicationSpec], survey: SelectionInput, *, created_before: datetime, compromised: bool
) -> tuple[Candidate, ...]:
    """The applications with a key from before that time, in the order to rotate them: first those
    that need no quota and may free some, then marked ones, because daemons act on them in any case,
    then by the age of their oldest key. Without a compromise only published keys of configured
    applications are replaced: keys in grace are revoked anyway."""
    found = [
        candidate
        for spec in specs
        if (compromised or spec.configured)
        and (candidate := _candidate(spec, survey, created_before, compromised=compromised)) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.needs_room, not one.marked, one.oldest, one.name)))


def _candidate(
    spec: ApplicationSpec, survey: SelectionInput, created_before: datetime, *, compromised: bool
) -> Candidate | None:
    ledger, listed = survey.ledgers.get(spec.application), {key.access_key: key for key in survey.keys}
    current = ledger.current.access_key if ledger and ledger.current else survey.published.get(spec.application)
    names = {current} if current else set()
    if compromised:
        names |= ledger.names() if ledger else set()
        names |= {key.access_key for key in survey.keys if _made_for(spec, key, survey.installation)}
    created = {name: _creation_time(name, listed, ledger) for name in names}
    old = {
        name: at
        for name, at in created.items()
        if at is not None and at < created_before and _may_be_revoked(listed.get(name))
    }
    if not old:
        return None
    return Candidate(
        spec,
        frozenset(old),
        oldest=min(old.values()),
        needs_room=current in old and not (compromised and len(old) > 1),
        marked=bool(ledger and ledger.compromised_keys() & set(old)),
    )


def _made_for(spec: ApplicationSpec, key: Key, installation: str) -> bool:
    """Whether the key was made for the application under any of its names: its marker is of this
    installation, and its bearer is the application's."""
    marker = parse_marker(key.description)
    return marker is not None and marker.installation == installation and key.bearer == spec.bearer


def _creation_time(access_key: str, listed: Mapping[str, Key], ledger: Ledger | None) -> datetime | None:
    """When the key was created. If the current key is not on the list, the ledger's date counts."""
    if access_key in listed:
        return listed[access_key].created_at
    current = ledger.current if ledger else None
    return (current.created_at or current.since) if current and current.access_key == access_key else None


def _may_be_revoked(key: Key | None) -> bool:
    return key is None or key.revocable
