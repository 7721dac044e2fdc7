"""``rotator plan``: what would be done next and why. It looks as a pass looks, decides as a pass
decides, and does not act."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from rotator.cli.output.pager import paged
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.operations.queries.plan import Plan, PlanResult
from rotator.util.formatting import format_relative, format_time, format_timestamp
from rotator.util.shared_messages import grouped


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
@paged
def command(session: Session, applications: Sequence[str]) -> int:
    """Show the next action of each application, when and why, and warn of what will go wrong;
    change nothing."""
    found: Sequence[PlanResult] = session.ask("plan", applications=list(applications))
    answers, worst = list[dict[str, object]](), 0
    plans, failures = list[tuple[str, str]](), list[tuple[str, str]]()
    for one in found:
        if one.plan is not None:
            answers.append(_as_json(one.name, one.plan))
            plans.append((one.name, _told(one.plan)))
        elif one.failure is not None:
            worst = max(worst, one.failure.exit_code)
            answers.append({"name": one.name, "error": one.failure.as_json()})
            failures += [(one.name, sentence) for sentence in one.failure.sentences]
    for name, plan in () if session.json else grouped(plans):
        say(f"{name}: {plan}")
    complain(failures)
    if session.json:
        click.echo(json.dumps({"applications": answers}, indent=2))
    return worst


def _told(result: Plan) -> str:
    """The plan as sentences, the first of which goes behind the name."""
    if result.action == "held":
        return f"{result.reason}; nothing is claimed or revoked meanwhile"
    when = f"{format_relative(result.at, result.now)} ({format_time(result.at)})" if result.at > result.now else "now"
    first = f"blocked: {result.reason}" if result.action == "blocked" else f"{result.action} {when}: {result.reason}"
    steps = [f"  - {step}" for step in result.steps]
    return "\n".join([first, *steps, *(f"  warning: {warning}" for warning in result.warnings)])


def _as_json(name: str, result: Plan) -> dict[str, object]:
    return {
        "name": name,
        "action": result.action,
        "at": format_timestamp(result.at),
        "reason": result.reason,
        "steps": list(result.steps),
        "warnings": list(result.warnings),
    }
