"""Which applications a mass rotation is about, which of their keys, and in which order. Pure.

It begins with the provider's list of all keys of the account. A key counts as an application's when
the ledger names it, when consumers read it, or when it has a marker of this installation;
everything else stays for the coverage proof.
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
    """What was asked for: these names (all when empty), of these accounts (all when empty), that
    fit one of these patterns."""

    names: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether applications are named, so that it is about these and not about whole
        accounts."""
        return bool(self.names or self.globs)

    def chooses(self, spec: ApplicationSpec) -> bool:
        """Whether the application is one of those that were asked for."""
        return (
            (not self.names or spec.application in self.names)
            and (not self.accounts or spec.account in self.accounts)
            and (not self.globs or any(fnmatchcase(spec.application, glob) for glob in self.globs))
        )

    def selector(self, *, created_before: str, compromised: bool) -> str:
        """The command in words that are the same however it was typed, by which it is known
        again."""
        parts = [*sorted(self.names), *(f"--account {account}" for account in sorted(self.accounts))]
        parts += [f"--match {glob}" for glob in sorted(self.globs)]
        parts += [f"--created-before {created_before}"] if created_before else []
        said = " ".join([*(parts or ["--all"]), *(["--compromised"] if compromised else [])])
        if len(said) <= MAX_SELECTOR:
            return said
        return f"{said[: MAX_SELECTOR - 30]} ... sha256:{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def is_partial(selector: str) -> bool:
    """Whether the selector of a mass rotation names applications, as ``Selection.partial`` tells of
    its selection."""
    return not selector.startswith("--") or selector.startswith("--match ") or " --match " in selector


@dataclass(frozen=True)
class SelectionInput:
    """What is there of one account: every key at the provider, the ledgers by application, what
    consumers read where there is no ledger yet, and why some could not be read."""

    keys: Sequence[Key]
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    published: Mapping[str, str | None] = field(default_factory=dict)
    unread: Mapping[str, Exception] = field(default_factory=dict)
    installation: str = ""
    unlisted: str = ""
    """Why ``keys`` lacks those of bearers that no application has; empty when it lacks none."""


@dataclass(frozen=True)
class Candidate:
    """One application whose turn will come, and its keys that are too old.

    ``needs_room``: consumers read one of them, so that another key has to be made, and none of the
    others is revoked before that. ``marked``: a mark is in the ledger already, so that every daemon
    acts on it now.
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
    """The applications that have a key from before that time, in the order in which they are to be
    worked on: first those that need no room and may make some; then those that are marked already,
    because daemons act on them in any case; then by the age of their oldest key. Without a
    compromise, only a key that consumers read is to be replaced, and only of an application that is
    configured: one in grace is revoked by itself."""
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
    ours = {current} if current else set()
    if compromised:
        ours |= ledger.names() if ledger else set()
        ours |= {key.access_key for key in survey.keys if _made_for(spec, key, survey.installation)}
    born = {name: _born(name, listed, ledger) for name in ours}
    old = {
        name: at for name, at in born.items() if at is not None and at < created_before and _can_die(listed.get(name))
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
    """Whether the key was made for the application: a bearer has one application, whatever it was
    called when the key was made."""
    marker = parse_marker(key.description)
    return marker is not None and marker.installation == installation and key.bearer == spec.bearer


def _born(access_key: str, listed: Mapping[str, Key], ledger: Ledger | None) -> datetime | None:
    """When the key was made. A list proves no absence: the current key is judged by the ledger when
    it is not on it."""
    if access_key in listed:
        return listed[access_key].created_at
    current = ledger.current if ledger else None
    return (current.created_at or current.since) if current and current.access_key == access_key else None


def _can_die(key: Key | None) -> bool:
    return key is None or key.revocable
