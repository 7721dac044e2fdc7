"""Which tables of a configuration some applications need, and which applications a problem
concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rotator.config.problems import Problems, dotted
from rotator.config.specs import own_key_name
from rotator.util.placeholders import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Collection


def needed(data: dict[str, Any], only: Collection[str]) -> frozenset[str]:
    """The applications to load; empty, for all, if one of the names is not in the configuration,
    such as an access key or a removed application."""
    known = _table(data, "applications").keys() | {own_key_name(name) for name in _table(data, "accounts")}
    return frozenset(only) if set(only) <= known else frozenset()


def users_of(data: dict[str, Any]) -> dict[str, set[str]]:
    """The accounts by name, each with the applications that select it."""
    accounts, inherited = list(_table(data, "accounts")), _table(data, "defaults").get("account")
    found: dict[str, set[str]] = {name: {own_key_name(name)} for name in accounts}
    for name, raw in _table(data, "applications").items():
        said = raw.get("account", inherited) if isinstance(raw, dict) else inherited
        account = accounts[0] if said is None and len(accounts) == 1 else said
        if isinstance(account, str):
            found.setdefault(account, set()).add(name)
    return found


def check_placeholders(data: dict[str, Any], users: dict[str, set[str]], problems: Problems) -> None:
    """Rejects values that are placeholders of an example."""
    for table in ("vault", "defaults"):
        _find_placeholders(data.get(table), (table,), problems)
    for name, raw in _table(data, "accounts").items():
        with problems.concerning(users[name]):
            _find_placeholders(raw, ("accounts", name), problems)
    for name, raw in _table(data, "applications").items():
        with problems.concerning((name,)):
            _find_placeholders(raw, ("applications", name), problems)
    with problems.concerning(()):
        for table in ("control", "webhook", "metrics", "heartbeat", "notifications"):
            _find_placeholders(data.get(table), (table,), problems)


def _find_placeholders(value: object, where: tuple[str, ...], problems: Problems) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _find_placeholders(inner, (*where, str(name)), problems)
    elif isinstance(value, str) and is_placeholder(value):
        problems.add(dotted(*where), "is a placeholder of an example; write the value of this installation")


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}
