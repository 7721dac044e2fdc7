"""``rotator plan``: what would be done next and why. It looks as a pass looks, decides as a pass decides, and does not act."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from rotator.cli.planning import Plan, plan
from rotator.cli.session import App, Session, chosen, common, pass_session
from rotator.hands.failures import Failure, explain
from rotator.hands.together import together
from rotator.model import Policy
from rotator.render import timestamp
from rotator.words import moment, towards


@click.command(
    "plan",
    epilog="""\b
Examples:
  rotator plan
  rotator plan billing --json""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@common
@pass_session
def command(session: Session, applications: Sequence[str]) -> int:
    """Say what would be done next for each application, when and why, and warn of what will go wrong; change nothing."""
    with session.app() as app:
        policies = chosen(app, applications)
        found = together(lambda policy: _look(session, app, policy), policies)
    answers, worst = [], 0
    for policy, result in zip(policies, found, strict=True):
        if isinstance(result, Plan):
            answers.append(_as_json(policy, result))
            if not session.json:
                _say(policy, result)
            continue
        failure = explain(result)
        worst = max(worst, failure.exit_code)
        answers.append({"name": policy.application, "error": failure.as_json()})
        _complain(policy, failure)
    if session.json:
        click.echo(json.dumps({"applications": answers}, indent=2))
    return worst


def _look(session: Session, app: App, policy: Policy) -> Plan:
    world = app.world(policy)
    return plan(policy, world, app.vault, lambda until: session.sleep(world.clock, until))


def _say(policy: Policy, result: Plan) -> None:
    when = f"{towards(result.at, result.now)} ({moment(result.at)})" if result.at > result.now else "now"
    if result.action == "blocked":
        click.echo(f"{policy.application}: blocked: {result.reason}")
    else:
        click.echo(f"{policy.application}: {result.action} {when}: {result.reason}")
    for step in result.steps:
        click.echo(f"  - {step}")
    for warning in result.warnings:
        click.echo(f"  warning: {warning}")


def _complain(policy: Policy, failure: Failure) -> None:
    for sentence in failure.sentences:
        click.echo(f"rotator: {policy.application}: {sentence}", err=True)


def _as_json(policy: Policy, result: Plan) -> dict[str, object]:
    return {
        "name": policy.application,
        "action": result.action,
        "at": timestamp(result.at),
        "reason": result.reason,
        "steps": list(result.steps),
        "warnings": list(result.warnings),
    }
