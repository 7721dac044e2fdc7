"""``rotator sandbox``: a place to practise that stays until it is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rotator.cli.session import Session, common, pass_session
from rotator.sandbox import require_sandbox

DIRECTORY = Path("~/.rotator-sandbox")

VERBS = ("start", "status", "break", "mend", "stop")

THINGS = {
    "answer": "lose the answer to the next creation of a key",
    "vault": "seal Vault",
    "login": "lock the AppRole of the daemon, and end its token",
    "provider": "let the provider answer 503",
    "quota": "exhaust the quota on keys",
    "key": "leak the key of billing",
    "former-key": "leak the key of billing that is in grace",
    "unmanaged-key": "make a key of billing by hand, and leak it",
    "consumer": "let the consumer of billing read no new key",
    "configuration": "write half an application into the configuration",
    "daemon": "stop the daemon in the middle of its work (SIGSTOP)",
    "crash": "kill the daemon (SIGKILL)",
}


@click.command(
    "sandbox",
    epilog="\b\nWhat can be broken:\n"
    + "\n".join(f"  {name:<14} {meaning}" for name, meaning in THINGS.items())
    + """

\b
Examples:
  rotator sandbox start
  rotator sandbox break key
  rotator sandbox status
  rotator sandbox mend
  rotator sandbox stop""",
)
@click.argument("verb", type=click.Choice(VERBS), metavar="[start|status|break|mend|stop]")
@click.argument("what", required=False, metavar="[WHAT]", type=click.Choice(sorted(THINGS)))
@click.option(
    "--directory", type=click.Path(path_type=Path), default=DIRECTORY, show_default=True, help="Where its files are."
)
@common
@pass_session
def command(session: Session, verb: str, what: str | None, directory: Path) -> int:
    """Practise on this machine.

    A real OpenBao, a stand-in of Scaleway, three applications with consumers, and a daemon. Nothing
    outside of the directory is touched. The commands of rotator work on it with the configuration
    in the directory.
    """
    session.question = verb == "status"
    require_sandbox("sandbox")
    from rotator.sandbox.practice import client  # noqa: PLC0415 - the sandbox is an optional extra

    if (verb == "break") != (what is not None):
        raise click.UsageError(
            f"say what to break: {', '.join(THINGS)}" if verb == "break" else f"{verb} takes no other word"
        )
    directory = directory.expanduser().absolute()
    if verb == "start":
        if not session.json:
            click.echo("starting OpenBao, the stand-in of Scaleway, three applications and the daemon …", err=True)
        client.start(directory)
        answer = client.ask(directory, "status")
        return _answer(session, answer, _started(answer))
    if verb == "stop":
        client.stop(directory)
        return _answer(session, {"stopped": str(directory)}, f"stopped; its files are in {directory}")
    answer = client.ask(directory, verb, what or "")
    return _answer(
        session, answer if verb == "status" else {"done": answer}, _picture(answer) if verb == "status" else answer
    )


def _answer(session: Session, answer: Any, text: str) -> int:
    click.echo(json.dumps(answer, indent=2) if session.json else text)
    return 0


def _started(answer: dict[str, Any]) -> str:
    return (
        f"{_picture(answer)}\n\nTo use it:\n  export ROTATOR_CONFIG={answer['configuration']}\n  rotator status\n"
        "  rotator sandbox break key        # and see what to do"
    )


def _picture(answer: dict[str, Any]) -> str:
    second = f" · second daemon {answer['second_daemon']}" if answer["second_daemon"] != "stopped" else ""
    lines = [f"Vault {answer['vault']} · daemon {answer['daemon']}{second}"]
    for name, one in answer["applications"].items():
        frozen = "  reads no new key" if one["frozen"] else ""
        lines.append(
            f"  {name:<8} {one['access_key'] or 'no key yet':<20}  {one['calls']} calls, {one['refused']} "
            f"refused{frozen}"
        )
    if leaked := answer["leaked"]:
        lines.append(f"leaked: {leaked['access_key']} is {'still accepted' if leaked['accepted'] else 'refused'}")
    lines.append(f"broken: {', '.join(answer['broken'])}" if answer["broken"] else "nothing is broken")
    return "\n".join(lines)
