"""The words that a shell completes: applications, accounts and keys as the daemon knows them, else
the names of the configuration."""

from __future__ import annotations

import threading
import tomllib
from typing import TYPE_CHECKING

import click

from rotator.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.domain.status import StatusReport

TIMEOUT = 2.0
"""Seconds for which a person waits after the tab key; a daemon that does not answer until then is
not asked."""

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
    return found[0] if found and any(found[0].values()) else _from_configuration(session)


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
        data = tomllib.loads(session.path.read_text(encoding="utf-8"))
        return {kind: list(data.get(kind, {})) for kind in ("applications", "accounts")} | {"keys": []}
    except (OSError, ValueError, TypeError):
        return {"applications": [], "accounts": [], "keys": []}
