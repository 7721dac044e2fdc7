"""Renders a new configuration, and writes it to a file that did not exist."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from rotator.config import Configuration, load, schema
from rotator.errors import ConfigurationError, ConfigurationProblem, Refused
from rotator.setup.answers import Answers
from rotator.setup.discovery import Chosen
from rotator.util.durations import format_duration

MODE = 0o644
"""The service runs as a user of its own and reads the file. It holds references and no secret."""

_OWN = {"applications", "path", "discover_with"}
"""Answers that are no options of the configuration."""


def render(answers: Answers, chosen: Sequence[Chosen]) -> str:
    """The configuration, with a comment for each table and each application."""
    lines = [
        "# Configuration of rotator, made by `rotator init`. docs/configuration.md describes every option.",
        (
            "# `rotator check` validates it, `rotator plan` shows what would be done, and `rotator policy` prints "
            "what it needs at Vault."
        ),
        "",
        (
            "# Vault or OpenBao: where it is, how to log in, and where the ledgers are, which name keys and hold no "
            "secret."
        ),
        "[vault]",
        f"address = {_toml(answers.of_vault('address'))}",
        f"auth = {_toml(answers.of_vault('auth'))}",
        f"ledger_path = {_toml(answers.of_vault('ledger_path'))}",
        *_others(answers.vault, {"address", "auth", "ledger_path"}),
    ]
    for name in answers.accounts:
        given = answers.accounts[name]
        lines += [
            "",
            "# An organisation at the provider, and a reference to the key that manages its keys.",
            f"[accounts.{_key(name)}]",
            f"organization_id = {_toml(given['organization_id'])}",
            f"secret_key = {_toml(answers.account(name, 'secret_key'))}",
            *_others(given, {"organization_id", "secret_key", *_OWN}),
        ]
    lines += [
        "",
        "# What holds for every application that says nothing else.",
        "[defaults]",
        "# A key is replaced at this age, and the key before it stays valid for the grace period.",
        f"every = {_toml(answers.default('every'))}",
        f"grace = {_toml(answers.default('grace'))}",
    ]
    for one in chosen:
        lines += ["", *([f"# {one.remark}"] if one.remark else []), f"[applications.{_key(one.name)}]"]
        lines += [f"account = {_toml(one.account)}"] if len(answers.accounts) > 1 else []
        lines += [f"application_id = {_toml(one.application_id)}", f"path = {_toml(one.path)}"]
    return "\n".join(lines) + "\n"


def write_new(path: Path, text: str) -> Configuration:
    """Validates the text as a configuration, writes it to a new file, and returns the
    configuration.

    An invalid text is not written. The file appears whole or not at all. Raises
    ``ConfigurationError`` and ``Refused``.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    except OSError as error:
        raise Refused(
            f"{path.absolute().parent} cannot be written: {error.strerror}; name another file with --config"
        ) from None
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), MODE)
            file.flush()
            os.fsync(file.fileno())
        try:
            configuration = load(temporary, credentials=False)
        except ConfigurationError as error:
            raise ConfigurationError([_as_answer(problem) for problem in error.problems]) from None
        os.link(temporary, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise Refused(
            f"{path} exists and is not overwritten; move it away, or name another file with --config"
        ) from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}; name another file with --config") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return replace(configuration, path=path)


def _as_answer(problem: ConfigurationProblem) -> ConfigurationProblem:
    return replace(problem, file="the answers")


def _others(given: Any, shown: set[str]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in given.items() if name not in shown and value is not None]


def _key(name: str) -> str:
    return name if "." not in name else json.dumps(name)


def _toml(value: object) -> str:
    """A value as TOML. JSON strings are TOML strings, as far as the schema permits them."""
    if isinstance(value, timedelta):
        return json.dumps(format_duration(value, units=5))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, schema.Table):
        return _toml(
            {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        )
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
