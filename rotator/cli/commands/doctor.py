"""``rotator doctor``: examines Vault, the accounts and this machine, and prints a line for each
check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.util.terminal import visible_line

if TYPE_CHECKING:
    from rotator.operations.queries.diagnosis import Diagnosis

STYLES: Mapping[str, Mapping[str, Any]] = {
    "warning": {"fg": "yellow"},
    "failed": {"fg": "red"},
    "skipped": {"dim": True},
}


@click.command(
    "doctor",
    epilog="""\b
Examples:
  rotator doctor
  rotator doctor --direct --json""",
)
@asking
@common
@pass_session
def command(session: Session) -> int:
    """Examine Vault, each account and this machine; one line for each check, with a remedy for each
    fault. Change nothing.

    The exit code is 1 when a check failed, 5 when one is a warning, and 0 otherwise.
    """
    from rotator.util.formatting import format_timestamp  # noqa: PLC0415 - not for --help

    found = with_unit(session.ask("doctor"))
    if session.json:
        checks = [
            {"name": check.name, "outcome": check.outcome, "message": check.message, "remedy": check.remedy or None}
            for check in found.checks
        ]
        click.echo(
            json.dumps({"at": format_timestamp(found.at), "checks": checks, "exit_code": found.exit_code}, indent=2)
        )
        return found.exit_code
    width = max(len(check.name) for check in found.checks)
    for check in found.checks:
        remedy = f": {check.remedy}" if check.remedy else ""
        line = f"{check.outcome:<7}  {check.name:<{width}}  {check.message}{remedy}"
        say(visible_line(line), **STYLES.get(check.outcome, {}))
    return found.exit_code


def with_unit(found: Diagnosis) -> Diagnosis:
    """The lines with the one about the systemd unit, which the service itself may not ask for."""
    from rotator.operations.queries.doctor_machine import check_unit  # noqa: PLC0415 - not for --help
    from rotator.system.service_facts import unit_properties  # noqa: PLC0415 - same

    if any(check.name == "unit" for check in found.checks) or not (properties := unit_properties()):
        return found
    place = next((number for number, check in enumerate(found.checks) if check.name == "clocks"), len(found.checks) - 1)
    return replace(found, checks=(*found.checks[: place + 1], check_unit(properties), *found.checks[place + 1 :]))
