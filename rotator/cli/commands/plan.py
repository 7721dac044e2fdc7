"""``rotator plan``: what would be done next and why. It looks as a pass looks, decides as a pass
decides, and does not act."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from rotator.cli.output.results import complain
from rotator.cli.session import Session, asking, common, pass_session
from rotator.operations.queries.plan import Plan, PlanResult
from rotator.util.formatting import format_relative, format_time, format_timestamp


@click.command(
    "plan",
    epilog="""\b
Examples:
  rotator plan
  rotator plan billing --json""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@asking
@common
@pass_session
def command(session: Session, applications: Sequence[str]) -> int:
    """Show the next action of each application, when and why, and warn of what will go wrong;
    change nothing."""
    found: Sequence[PlanResult] = session.ask("plan", applications=list(applications))
    answers, failures, worst = list[dict[str, object]](), list[tuple[str, str]](), 0
    for one in found:
        if one.plan is not None:
            answers.append(_as_json(one.name, one.plan))
            if not session.json:
                _say(one.name, one.plan)
        elif one.failure is not None:
            worst = max(worst, one.failure.exit_code)
            answers.append({"name": one.name, "error": one.failure.as_json()})
            failures += [(one.name, sentence) for sentence in one.failure.sentences]
    complain(failures)
    if session.json:
        click.echo(json.dumps({"applications": answers}, indent=2))
    return worst


def _say(name: str, result: Plan) -> None:
    if result.action == "held":
        click.echo(f"{name}: {result.reason}; nothing is claimed or revoked until it is resumed")
        return
    when = f"{format_relative(result.at, result.now)} ({format_time(result.at)})" if result.at > result.now else "now"
    if result.action == "blocked":
        click.echo(f"{name}: blocked: {result.reason}")
    else:
        click.echo(f"{name}: {result.action} {when}: {result.reason}")
    for step in result.steps:
        click.echo(f"  - {step}")
    for warning in result.warnings:
        click.echo(f"  warning: {warning}")


def _as_json(name: str, result: Plan) -> dict[str, object]:
    return {
        "name": name,
        "action": result.action,
        "at": format_timestamp(result.at),
        "reason": result.reason,
        "steps": list(result.steps),
        "warnings": list(result.warnings),
    }
