"""Which rights the login at Vault needs: one table, from which policies, checks and the hints of
errors are made. Pure.

A policy names paths of the API (``secret/data/apps/billing``), not those of documents
(``secret/apps/billing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Split = Callable[[str], tuple[str, str]]
"""The mount of a path and the path inside it. A mount may have slashes in its name, so only Vault
can tell for sure."""

Scope = Literal["login", "ledger", "document", "mount", "secret", "role"]


@dataclass(frozen=True)
class Need:
    """One line of the table: what is done in that area of the API, with which capabilities, and
    why.

    Below the ledger's prefix ``inside`` is the pattern that a policy needs, and ``checked`` what
    stands for it where rights are asked for: Vault is asked about paths and not about patterns.
    """

    scope: Scope
    area: str
    capabilities: tuple[str, ...]
    purpose: str
    inside: str = ""
    checked: str = ""


@dataclass(frozen=True)
class Right:
    """Capabilities on one path of the API, or on all that a pattern covers."""

    path: str
    capabilities: tuple[str, ...]
    purpose: str

    @property
    def line(self) -> str:
        """The line of a policy that gives it."""
        return policy_line(self.path, self.capabilities)


NEEDS: tuple[Need, ...] = (
    Need("login", "auth/token/lookup-self", ("read",), "tell a token that has ended from a path that is denied"),
    Need("login", "auth/token/renew-self", ("update",), "renew the token"),
    Need("login", "auth/token/revoke-self", ("update",), "give the token back when the program ends"),
    Need("login", "sys/capabilities-self", ("update",), "ask for the rights before they are needed"),
    Need(
        "ledger",
        "data",
        ("create", "read", "update"),
        "remember what was done and is to be done",
        "/*",
        "/applications/NAME",
    ),
    Need("ledger", "metadata", ("list",), "find applications that left the configuration", "/*", "/applications"),
    Need("document", "data", ("create", "read", "update"), "publish new keys"),
    Need("document", "metadata", ("read", "patch"), "see which versions there are, and annotate them for people"),
    Need("document", "destroy", ("update",), "destroy the secrets of compromised keys"),
    Need("mount", "config", ("read",), "see how many versions the mount keeps"),
    Need("secret", "data", ("read",), "read a secret that the configuration refers to as vault:"),
    Need("role", "custom-secret-id", ("update",), "make the next secret id of the login"),
    Need("role", "secret-id/lookup", ("update",), "see when Vault ends the secret id of the login"),
    Need("role", "secret-id/destroy", ("update",), "destroy the former secret id of the login"),
)
"""The table of the daemon, and of commands that act without it."""

WATCHER_NEEDS: tuple[Need, ...] = (
    Need("login", "auth/token/lookup-self", ("read",), "tell a token that has ended from a path that is denied"),
    Need("login", "auth/token/renew-self", ("update",), "renew the token"),
    Need("login", "auth/token/revoke-self", ("update",), "give the token back when the program ends"),
    Need("ledger", "data", ("read",), "read what was done and is to be done", "/*", "/applications/NAME"),
    Need("ledger", "metadata", ("list",), "find applications that left the configuration", "/*", "/applications"),
)
"""The table of a login that shows the state of applications, and reads no credential."""

CONSUMER_NEEDS: tuple[Need, ...] = (Need("document", "data", ("read",), "read the key"),)
"""The table of a consumer, whose login has Vault's default policy or its own rights on its
token."""


def first_segment(path: str) -> tuple[str, str]:
    """The mount by its usual form, one segment, where Vault cannot be asked."""
    mount, _, inside = path.partition("/")
    return mount, inside


def needed(scope: Scope, area: str) -> tuple[str, ...]:
    """The capabilities that are needed in that area."""
    return tuple(
        capability for need in NEEDS if (need.scope, need.area) == (scope, area) for capability in need.capabilities
    )


def required_rights(
    ledger: str,
    documents: Iterable[str],
    secrets: Iterable[str] = (),
    *,
    role: str = "",
    split: Split = first_segment,
) -> tuple[Right, ...]:
    """What a policy has to give: for the ledgers below that prefix, for these documents, and for
    secrets that are only read.

    A document may be a pattern, such as ``secret/apps/*``. ``role`` is the AppRole whose secret id
    is rotated, such as ``auth/approle/role/rotator``.
    """
    places: dict[Scope, list[str]] = {
        "document": list(documents),
        "secret": list(secrets),
        "role": [role] if role else [],
    }
    return _rights(NEEDS, ledger, places, split, lambda need: need.inside)


def watcher_rights(ledger: str, *, split: Split = first_segment) -> tuple[Right, ...]:
    """What the policy of a login that only shows the state of applications has to give."""
    return _rights(WATCHER_NEEDS, ledger, {}, split, lambda need: need.inside)


def consumer_rights(document: str, *, split: Split = first_segment) -> tuple[Right, ...]:
    """What the policy of the consumer of one credential document has to give."""
    return _rights(CONSUMER_NEEDS, "", {"document": [document]}, split, lambda need: need.inside)


def checked_rights(ledger: str, application: str, path: str, *, split: Split = first_segment) -> tuple[Right, ...]:
    """The same, in the same order, for one application and as they are asked of
    ``sys/capabilities-self``."""
    return _rights(NEEDS, ledger, {"document": [path]}, split, lambda need: need.checked.replace("NAME", application))


def _rights(
    needs: tuple[Need, ...],
    ledger: str,
    given: Mapping[Scope, list[str]],
    split: Split,
    inside: Callable[[Need], str],
) -> tuple[Right, ...]:
    ledgers = [ledger.strip("/")] if ledger else []
    mounts = list(dict.fromkeys(split(path)[0] for path in (*given.get("document", []), *ledgers)))
    places: dict[Scope, list[str]] = {"login": [""], "ledger": ledgers, "mount": mounts, **given}
    found = []
    for need in needs:
        for place in places.get(need.scope, []):
            mount, rest = (place, "") if need.scope in ("login", "mount", "role") else split(place)
            path = "/".join(part for part in (mount, need.area, rest) if part) + inside(need)
            found.append(Right(path, need.capabilities, need.purpose))
    return tuple(dict.fromkeys(found))


def policy_line(path: str, capabilities: Sequence[str]) -> str:
    """One line of a policy."""
    listed = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{ capabilities = [{listed}] }}'


def merged_capabilities(rights: Iterable[Right]) -> dict[str, tuple[str, ...]]:
    """The capabilities of all rights on each path: Vault wants one entry for a path."""
    merged: dict[str, dict[str, None]] = {}
    for right in rights:
        merged.setdefault(right.path, {}).update(dict.fromkeys(right.capabilities))
    return {path: tuple(capabilities) for path, capabilities in merged.items()}


def policy_text(rights: Iterable[Right]) -> str:
    """The rights as a policy, one line for each path, in columns."""
    merged = merged_capabilities(rights)
    width = max((len(path) for path in merged), default=0) + 2
    lines = []
    for path, capabilities in merged.items():
        listed = ", ".join(f'"{capability}"' for capability in capabilities)
        quoted = f'"{path}"'
        lines.append(f"path {quoted:<{width}} {{ capabilities = [{listed}] }}\n")
    return "".join(lines)
