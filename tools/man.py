"""The manual pages, made from the commands themselves: what ``--help`` says, as troff.

``python -m tools.man`` writes them to ``packaging/man``; a test holds them to the commands. They are made beforehand and not while
the package is built, because then the build would need the libraries of the program. See docs/decisions/0040.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from rotator.cli.exit_codes import EXIT_CODES
from rotator.cli.main import COMMANDS, root

PLACE = Path(__file__).resolve().parents[1] / "packaging" / "man"

ENVIRONMENT = {
    "ROTATOR_CONFIG": "The configuration, where --config is not given.",
    "ROTATOR_CONTROL": "The directory of the sockets of the daemon.",
    "NO_COLOR": "No colours, if it is set.",
    "PAGER": "The program for output that is longer than the terminal; less by default, none if it is empty.",
    "NO_PAGER": "No pager, if it is set.",
    "TZ": "The zone of the local times on a terminal.",
}


def pages() -> dict[str, str]:
    """The name of each page and its text."""
    context = click.Context(root, info_name="rotator", **root.context_settings)
    found = {"rotator.1": _root_page(context)}
    for name, sentence in COMMANDS.items():
        command = root.get_command(context, name)
        if command is None:
            raise AssertionError(f"{name} is listed and is no command")
        found[f"rotator-{name}.1"] = _page(command, click.Context(command, info_name=name, parent=context), sentence)
    return found


def _root_page(context: click.Context) -> str:
    head = _head("rotator", "rotate Scaleway API keys into HashiCorp Vault or OpenBao")
    commands = [".SH COMMANDS"]
    for name, sentence in COMMANDS.items():
        commands += [".TP", f".BR rotator\\-{_escaped(name)} (1)", _text(sentence)]
    codes = [".SH EXIT STATUS"]
    for line in EXIT_CODES.splitlines():
        code, _, meaning = line.partition("  ")
        codes += [".TP", f".B {code}", _text(meaning)]
    environment = [".SH ENVIRONMENT"]
    for name, sentence in ENVIRONMENT.items():
        environment += [".TP", f".B {name}", _text(sentence)]
    files = [
        ".SH FILES",
        ".TP",
        ".I /etc/rotator/rotator.toml",
        "The configuration.",
        ".TP",
        ".I /run/rotator",
        "The sockets of the daemon.",
    ]
    see = [".SH SEE ALSO", _text("The documents of the installation, in share/doc/rotator.")]
    parts = [
        head,
        _synopsis(context),
        _description(root),
        _options(root, context),
        commands,
        _epilog(root),
        codes,
        environment,
        files,
        see,
    ]
    return _joined(parts)


def _page(command: click.Command, context: click.Context, sentence: str) -> str:
    name = context.command_path.replace(" ", "-")
    parts = [
        _head(name, f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")),
        _synopsis(context),
        _description(command),
    ]
    parts.append(_options(command, context))
    if isinstance(command, click.Group):
        subcommands = [".SH COMMANDS"]
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            if found is not None:
                inner = click.Context(found, info_name=word, parent=context)
                subcommands += [
                    f".SS {_escaped(_usage(inner))}",
                    *_paragraphs(found.help or ""),
                    *_option_list(found, inner),
                ]
        parts.append(subcommands)
    parts += [_epilog(command), [".SH EXIT STATUS", "See", ".BR rotator (1)."], [".SH SEE ALSO", ".BR rotator (1)"]]
    return _joined(parts)


def _joined(parts: list[list[str]]) -> str:
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(name: str, sentence: str) -> list[str]:
    title = f'.TH "{name.upper()}" "1" "" "rotator" "rotator"'
    return ['.\\" Made by: python -m tools.man', title, ".SH NAME", f"{_escaped(name)} \\- {_escaped(sentence)}"]


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _synopsis(context: click.Context) -> list[str]:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return [".SH SYNOPSIS", f".B {_escaped(context.command_path)}", _text(pieces)]


def _description(command: click.Command) -> list[str]:
    return [".SH DESCRIPTION", *_paragraphs(command.help or "")]


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.split("\f", maxsplit=1)[0].strip()):
        if lines:
            lines.append(".PP")
        if paragraph.startswith("\b"):
            lines += [".nf", *map(_text, paragraph.splitlines()[1:]), ".fi"]
        else:
            lines.append(_text(" ".join(paragraph.split())))
    return lines


def _options(command: click.Command, context: click.Context) -> list[str]:
    return [".SH OPTIONS", *_option_list(command, context)]


def _option_list(command: click.Command, context: click.Context) -> list[str]:
    lines: list[str] = []
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            names, told = record
            lines += [".TP", f".B {_escaped(names)}", _text(" ".join(told.split()))] if told else []
    return lines


def _epilog(command: click.Command) -> list[str]:
    """The sections of the epilog, such as the examples, as they are written."""
    lines: list[str] = []
    for block in (command.epilog or "").split("\b\n"):
        title, *rest = block.strip("\n").split("\n")
        if title.endswith(":") and title != "Exit codes:":
            lines += [
                f".SH {title.rstrip(':').upper()}",
                ".nf",
                *(_text(line.removeprefix("  ")) for line in rest if line.strip()),
                ".fi",
            ]
    return lines


def _text(text: str) -> str:
    """A line of text, which no request may begin."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _escaped(text: str) -> str:
    plain = (
        text.replace("\\", "\\e")
        .replace("-", "\\-")
        .replace("'", "\\(aq")
        .replace("`", "\\(ga")
        .replace("^", "\\(ha")
        .replace("~", "\\(ti")
    )
    return plain.replace("…", "...")


def main() -> None:
    """Write every page, and remove those of commands that are gone."""
    PLACE.mkdir(exist_ok=True)
    made = pages()
    for old in PLACE.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (PLACE / name).write_text(text)


if __name__ == "__main__":
    main()
