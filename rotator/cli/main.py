"""``rotator`` itself: finds the command, imports only that one, and turns every ending into a
sentence and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from rotator import __version__
from rotator.cli.exit_codes import EXIT_CODES, Interrupted
from rotator.cli.session import Session, common
from rotator.cli.streams import LOST
from rotator.operations.failures import FailureReport, explain
from rotator.util.terminal import plain_streams

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "run": "Run the daemon, in the foreground.",
    "reload": "Have the daemon read its configuration again.",
    "init": "Write a new configuration, and print what is left to do.",
    "check": "Validate the configuration; contact nothing.",
    "upgrade-config": "Print the configuration with present names of options.",
    "doctor": "Examine Vault, accounts and this machine.",
    "policy": "Print the policy that the login at Vault needs.",
    "plan": "Show what is next for each application; change nothing.",
    "status": "Show every application from its ledger.",
    "agenda": "Show what is due in the next days.",
    "rotate": "Rotate now, and wait until it is done.",
    "lookup": "Show which application owns a key, and its state.",
    "revoke": "End a grace early, or revoke an unmanaged key.",
    "extend": "Extend the grace period of old keys.",
    "hold": "Pause rotation and revocation for applications.",
    "resume": "Resume applications that are on hold.",
    "coverage": "List the old keys of an account that are still valid.",
    "waive": "Exempt an old key from coverage, with a reason.",
    "incident": "Show a report of an incident.",
    "history": "Show past rotations of an application.",
    "events": "Print the events of the daemon as they come.",
    "drill": "Run an emergency as an exercise, with timings.",
    "rotate-login": "Replace the secret id of the login at Vault.",
    "notify": "Show who is notified, or send a test message.",
    "demo": "Show a whole life cycle on this machine.",
    "sandbox": "Practise on this machine: start, status, break, mend, stop.",
}
"""Each is a module of this package that has a ``command``. The sentences stand here so that help
imports none of them."""

COMPLETION = "_ROTATOR_COMPLETE"
"""The variable by which a shell asks for completion."""

ALIASES = {"who": "lookup"}
"""Former names of commands, still understood."""

ORDERS = frozenset(
    {
        "run",
        "reload",
        "init",
        "rotate",
        "revoke",
        "extend",
        "hold",
        "resume",
        "waive",
        "drill",
        "rotate-login",
        "notify",
        "sandbox",
    }
)
"""The commands that change something: their exit code says what became of the order and not of its
report."""

OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""New objects before the garbage collector looks for cycles. With its default of 700 it takes a
third of the time of an answer about thousands of applications, of which it can free nothing."""

INTERRUPTED = (
    "interrupted; nothing is lost: every step is written to the ledger before it is taken, so the daemon goes on with "
    "it, or the same command does"
)


class FittedHelp(click.HelpFormatter):
    """Help of which no line is wider than the terminal, not even an example."""

    def getvalue(self) -> str:
        """The help as it is printed."""
        text = super().getvalue()
        if not sys.stdout.isatty():
            return text
        from rotator.cli.output.sentences import columns, fitted  # noqa: PLC0415 - only help on a terminal pays for it

        return fitted(text, columns())


class CommandContext(click.Context):
    """The context of every command."""

    formatter_class = FittedHelp


class Root(click.Group):
    """The group of all commands, imported one at a time, and the end of every exception."""

    context_class = CommandContext

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """The commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it
        """The command of that name, imported now."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"rotator.cli.commands.{cmd_name.replace('-', '_')}").command
        command.context_class = CommandContext
        if COMPLETION in os.environ:
            from rotator.cli.completion import attach  # noqa: PLC0415 - only the shell pays for it

            attach(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was named, or an error with the nearest one."""
        name = args[0]
        if name not in (*COMMANDS, *ALIASES) and not name.startswith("-"):
            from rotator.util.suggestions import closest_match  # noqa: PLC0415 - only mistakes pay for it

            raise click.UsageError(f"there is no command {name!r}; {closest_match(name, COMMANDS)}", ctx)
        ctx.ensure_object(Session).question = name not in ORDERS
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, without importing any."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only the shell pays for it

        if not incomplete.startswith("-"):
            return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return super().shell_complete(ctx, incomplete)

    # ARG002: click passes it
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Exit codes and examples, and where the documents of this installation are."""
        from rotator.system.installation import documents  # noqa: PLC0415 - only help pays for it

        super().format_epilog(ctx, formatter)
        if place := documents():
            formatter.write_paragraph()
            formatter.write_text(f"Documents and examples: {place}")

    def main(  # type: ignore[override]  # it only ever ends the process
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run one command and end the process. No exception passes this point."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(
                    errors="backslashreplace"
                )  # a terminal that cannot show a letter is no reason to fail
        # The library writes the words for a shell as bytes, which no stream of text takes; they are
        # names of commands and options.
        with nullcontext() if COMPLETION in os.environ else plain_streams():
            self._run_and_exit(list(sys.argv[1:] if args is None else args), prog_name, **extra)

    def _run_and_exit(self, arguments: list[str], prog_name: str | None, **extra: Any) -> NoReturn:
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
        session = extra.pop("obj", None) or Session()
        if arguments[:1] == ["help"]:
            arguments = [*arguments[1:], "--help"]
        extra["standalone_mode"] = False
        try:
            code = super().main(arguments, prog_name or "rotator", obj=session, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            sys.exit(2)
        except click.ClickException as error:
            sys.exit(report_failure(_usage(error), as_json=session.json or "--json" in arguments))
        except (click.Abort, KeyboardInterrupt):
            sys.exit(report_failure(explain(Interrupted(INTERRUPTED)), as_json=session.json))
        except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence and never a traceback
            sys.exit(report_failure(explain(error), as_json=session.json))
        sys.exit(_answered(code if isinstance(code, int) else 0, session))


def _answered(code: int, session: Session) -> int:
    """The exit code of the order, whatever became of its report. A question whose answer could not
    be written has failed."""
    if code or "output" not in LOST or not session.question:
        return code
    return report_failure(
        FailureReport("output", ("the answer could not be written to standard output",), 1), as_json=False
    )


def _usage(error: click.ClickException) -> FailureReport:
    from rotator.domain.secret import to_displayable  # noqa: PLC0415 - only mistakes pay for it

    context = getattr(error, "ctx", None)
    hint = f" (see: {context.command_path} --help)" if context else ""
    message = to_displayable(" ".join(error.format_message().split()))
    return FailureReport("usage", (f"{_begun(message)}{hint}",), 2)


def _begun(message: str) -> str:
    """The message with a small first letter, unless its first word is written in capitals, as an
    access key is."""
    return message if message[1:2].isupper() else f"{message[:1].lower()}{message[1:]}"


def report_failure(failure: FailureReport, *, as_json: bool) -> int:
    """Say what went wrong: sentences on standard error and, where JSON is wanted, one document on
    standard output."""
    from rotator.cli.output.sentences import say  # noqa: PLC0415 - only mistakes pay for it

    for sentence in failure.sentences:
        say(f"rotator: {sentence}", err=True)
    if as_json:
        import json  # noqa: PLC0415 - for those who want it

        click.echo(json.dumps({"error": failure.as_json()}, indent=2))
    return failure.exit_code


EPILOG = f"""\b
Exit codes:
  {EXIT_CODES.replace(chr(10), chr(10) + "  ")}

\b
Examples:
  rotator check
  rotator status
  rotator rotate billing --compromised --reason "found in a public repository"
"""


@click.group(
    cls=Root, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@common
@click.version_option(__version__, message="rotator %(version)s")
def root() -> None:
    """Rotate Scaleway API keys into HashiCorp Vault or OpenBao.

    Commands work whether or not the daemon runs: each is an actor under the same protocol.
    """
