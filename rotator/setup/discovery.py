"""Lists the applications of an account, and selects those that become part of the configuration."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotator.domain.keys import Bearer, Key
from rotator.domain.ports import BearerDirectory, Provider
from rotator.errors import Rejected
from rotator.setup.answers import EVERYTHING
from rotator.util.formatting import format_span, pluralize, strip_control_characters
from rotator.util.suggestions import closest_match


@dataclass(frozen=True)
class ApplicationCandidate:
    """An application at the provider with its keys, oldest first."""

    bearer: Bearer
    keys: tuple[Key, ...] = ()

    def summary(self, now: datetime) -> str:
        """The number of its keys and the age of the oldest."""
        if not self.keys:
            return "no key"
        return f"{pluralize(len(self.keys), 'key')}, the oldest {format_span(now - self.keys[0].created_at)} old"


@dataclass(frozen=True)
class Chosen:
    """An application of the new configuration."""

    name: str
    account: str
    application_id: str
    path: str
    remark: str = ""


def discover(provider: Provider) -> tuple[ApplicationCandidate, ...]:
    """Every application of the account, by name, with its keys. Raises ``ServiceError``."""
    if not isinstance(provider, BearerDirectory):
        raise Rejected(
            "this kind of provider does not list its applications: write applications as a table of names with ids",
            service=provider.name,
            kind="no_directory",
        )
    keys: dict[str, list[Key]] = {}
    for key in provider.list_all_keys():
        keys.setdefault(key.bearer, []).append(key)
    return tuple(ApplicationCandidate(bearer, tuple(keys.get(bearer.id, ()))) for bearer in provider.list_bearers())


def without_management_key(
    candidates: Iterable[ApplicationCandidate], access_key: str | None
) -> tuple[ApplicationCandidate, ...]:
    """The candidates without the application of the management key, which only ``own_key``
    rotates."""
    return tuple(one for one in candidates if access_key not in {key.access_key for key in one.keys})


def select(
    candidates: Sequence[ApplicationCandidate], wanted: Sequence[str]
) -> tuple[tuple[ApplicationCandidate, ...], tuple[str, ...]]:
    """The candidates with these names or ids, and a sentence for each name that matches none or
    several."""
    if EVERYTHING in wanted:
        return tuple(candidates), ()
    found: dict[str, ApplicationCandidate] = {}
    faults = []
    for name in wanted:
        matching = [one for one in candidates if name in (one.bearer.id, one.bearer.name)]
        if len(matching) == 1:
            found[matching[0].bearer.id] = matching[0]
        elif matching:
            ids = ", ".join(one.bearer.id for one in matching)
            faults.append(f"{name} is the name of several applications; write the id of one: {ids}")
        else:
            faults.append(
                f"there is no application {name}; {closest_match(name, (one.bearer.name for one in candidates))}"
            )
    return tuple(found.values()), tuple(faults)


def choose(
    candidates: Iterable[ApplicationCandidate], account: str, template: str, now: datetime, taken: Collection[str] = ()
) -> tuple[Chosen, ...]:
    """Each candidate with a name for the configuration and a path. ``taken``: names of other
    accounts."""
    used = set(taken)
    chosen = []
    for one in candidates:
        name = unique(config_name(one.bearer.name), used)
        used.add(name)
        called = strip_control_characters(one.bearer.name)
        remark = f"{called}: {one.summary(now)}"
        chosen.append(Chosen(name, account, one.bearer.id, template.replace("{name}", name), remark))
    return tuple(chosen)


def config_name(display: str) -> str:
    """A name that the configuration accepts, close to the one at the provider."""
    name = re.sub(r"[^a-z0-9._]+", "-", display.lower()).strip("-._")[:60]
    return name or "application"


def unique(name: str, used: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    number = 2
    found = name
    while found in used:
        found = f"{name}-{number}"
        number += 1
    return found
