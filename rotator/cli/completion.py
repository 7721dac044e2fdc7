"""The words that a shell completes: applications, accounts and keys as the daemon knows them, else
the names of the configuration."""

from __future__ import annotations

import re
import threading
import tomllib
from typing import TYPE_CHECKING

import click

from rotator.cli.session import Session
from rotator.system.file_permissions import read_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.domain.status import StatusReport

TIMEOUT = 2.0
"""Seconds for which a person waits after the tab key; a daemon that does not answer until then is
not asked."""

MAX_CONFIGURATION = 4 * 1024 * 1024
"""Bytes of the configuration that are read at the tab key."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What is offered. A shell puts the word on its command line as it is, and a ledger may hold any
text as an access key."""

KINDS = {
    "application": "applications",
    "applications": "applications",
    "account": "accounts",
    "accounts": "accounts",
    "access_key": "keys",
    "access_keys": "keys",
}
"""What the parameters of these names are."""


def attach(command: click.Command) -> None:
    """Have the parameters of a command complete what they name."""
    for parameter in command.params:
        if kind := KINDS.get(parameter.name or ""):
            # What `shell_complete=` sets at each option; here it is one place.
            # SLF001: the library has no other way after the fact
            parameter._custom_shell_complete = _completer(kind)  # noqa: SLF001


def _completer(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        words = known(context.ensure_object(Session))[kind]
        return [word for word in words if word.startswith(incomplete)]

    return complete


def known(session: Session) -> dict[str, list[str]]:
    """The names that there are, by kind. Never raises, and never waits for long: a shell shows no
    error."""
    found: list[dict[str, list[str]]] = []
    asking = threading.Thread(target=lambda: found.append(_from_daemon(session)), daemon=True)
    asking.start()
    asking.join(TIMEOUT)
    names = found[0] if found and any(found[0].values()) else _from_configuration(session)
    return {kind: list(filter(_NAME.fullmatch, words)) for kind, words in names.items()}


def _from_daemon(session: Session) -> dict[str, list[str]]:
    try:
        with session.daemon(commands=False) as daemon:
            return _named(daemon.call("status", applications=[]))
    except Exception:  # noqa: BLE001 - whatever it is, the names of the configuration are left
        return {}


def _named(report: StatusReport) -> dict[str, list[str]]:
    keys: dict[str, None] = {}
    for view in report.views:
        if ledger := view.ledger:
            keys |= {ledger.current.access_key: None} if ledger.current else {}
            keys |= {key.access_key: None for key in ledger.retiring}
    accounts = dict.fromkeys(view.spec.account for view in report.views)
    return {
        "applications": [view.spec.application for view in report.views],
        "accounts": list(accounts),
        "keys": list(keys),
    }


def _from_configuration(session: Session) -> dict[str, list[str]]:
    try:
        data = tomllib.loads(read_file(session.path, MAX_CONFIGURATION).decode())
    except (OSError, ValueError, RecursionError):
        data = {}
    tables = {kind: data.get(kind) for kind in ("applications", "accounts")}
    return {kind: list(table) if isinstance(table, dict) else [] for kind, table in tables.items()} | {"keys": []}
