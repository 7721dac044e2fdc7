"""What commands about whole accounts share: how an account is looked up, and how a time is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from rotator.cli.session import App
from rotator.mass import Estate
from rotator.timing import parse_duration


def estates(app: App, accounts: Sequence[str] = ()) -> list[Estate]:
    """The accounts that were named, once each; all of the configuration when none was."""
    named = list(dict.fromkeys(accounts)) or sorted(app.accounts)
    facts = {name: app.account(name) for name in named}
    everything = {**app.orphans(), **app.policies}
    return [
        Estate(
            account=name,
            provider=app.provider(name),
            vault=app.vault,
            clock=app.clock,
            policies={policy.application: policy for policy in everything.values() if policy.account == name},
            world=app.world,
            journal=app.journal,
            rate_limit=facts[name].rate_limit,
            management_key=facts[name].access_key or "",
        )
        for name in named
    ]


def only_account(app: App, named: str | None) -> str:
    """The account that was named, or the only one that there is."""
    if named is not None:
        app.account(named)
        return named
    if len(app.accounts) != 1:
        raise click.UsageError(f"there are several accounts: say which with --account ({', '.join(sorted(app.accounts))})")
    return min(app.accounts)


def moment_of(text: str, now: datetime, *, ahead: bool = False) -> datetime:
    """The time that a person told: with date and zone, or as a duration, which means so long ago (``ahead``: so long from now)."""
    try:
        duration = parse_duration(text, minimum=timedelta(0))
    except ValueError:
        pass
    else:
        return now + duration if ahead else now - duration
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.UsageError(f"{text!r} is no time: write 2026-05-04T12:00:00Z, or a duration such as 36h or 7d")
    return found.astimezone(UTC)
