"""Former names of options: accepted for one version, each with a warning that has the new name.

`CHANGELOG.md` has the same table, and a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rotator.config.problems import Problems, dotted
from rotator.errors import ConfigurationProblem

RENAMED: tuple[tuple[str, str], ...] = (
    ("vault.ledger", "vault.ledger_path"),
    *(
        (f"{table}.{old}", f"{table}.{new}")
        for table in ("defaults", "applications.*")
        for old, new in (
            ("prove", "verification"),
            ("prove_emergency", "emergency_verification"),
            ("observe_every", "resync_interval"),
            ("takeover_after", "stale_claim_timeout"),
            ("refresh", "consumer_refresh"),
        )
    ),
    ("daemon.catch_up", "daemon.startup_spread"),
    ("daemon.clock_tolerance", "daemon.max_clock_skew"),
    ("daemon.stop_timeout", "daemon.shutdown_timeout"),
    ("webhook.per_minute", "webhook.rate_limit"),
    ("alarm.ping", "heartbeat.url"),
    ("alarm.ping_every", "heartbeat.interval"),
    ("alarm.ca_cert", "heartbeat.ca_cert"),
    ("alarm.proxy", "heartbeat.proxy"),
    ("alarm.allow_http", "heartbeat.allow_http"),
    ("alarm.name", "notifications.name"),
    ("alarm.notify", "notifications.targets"),
    ("alarm.notify_every", "notifications.min_interval"),
    ("alarm.deadline_notice", "notifications.deadline_warning"),
)
"""Former path and present path; ``*`` is any application."""


def translate(data: dict[str, Any], problems: Problems) -> tuple[ConfigurationProblem, ...]:
    """Moves values to their present names in ``data``; returns the warnings. An option under both
    names is a problem."""
    warnings: list[ConfigurationProblem] = []
    for old, new in RENAMED:
        for table, name in _tables(data, old):
            if name not in table:
                continue
            before, after = _concrete(old, table, data), _concrete(new, table, data)
            place, option = _place(data, after)
            if place is None:
                continue  # not a table, which is reported elsewhere
            value = table.pop(name)
            if option in place:
                problems.add(dotted(*before), f"is the former name of {dotted(*after)}, which is set too; remove it")
                continue
            place[option] = value
            warnings.append(
                ConfigurationProblem(
                    problems.file, dotted(*before), f"is now called {dotted(*after)}; rename it before the next version"
                )
            )
    if data.get("alarm") == {}:
        del data["alarm"]
    return tuple(warnings)


def _tables(data: dict[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The tables that may contain the option of this path, with the name of the option."""
    *parents, name = path.split(".")
    tables: list[Any] = [data]
    for parent in parents:
        found = [table for table in tables if isinstance(table, dict)]
        tables = (
            [value for table in found for value in table.values()]
            if parent == "*"
            else [table.get(parent) for table in found]
        )
    yield from ((table, name) for table in tables if isinstance(table, dict))


def _concrete(path: str, table: dict[str, Any], data: dict[str, Any]) -> tuple[str, ...]:
    """The path with the name of the table's application in place of ``*``."""
    if "*" not in path:
        return tuple(path.split("."))
    application = next(name for name, value in data["applications"].items() if value is table)
    return ("applications", application, path.rsplit(".", maxsplit=1)[-1])


def _place(data: dict[str, Any], path: tuple[str, ...]) -> tuple[dict[str, Any] | None, str]:
    """The table of this path, created if missing, and the name of the option in it."""
    *parents, name = path
    table: Any = data
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            return None, name
    return table, name
