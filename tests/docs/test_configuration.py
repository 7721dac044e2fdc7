"""The schema, docs/configuration.md and the example configuration say the same, or these tests say what to write."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from rotator.config import load, schema
from rotator.errors import ConfigurationError
from rotator.util.durations import format_duration

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "configuration.md"
EXAMPLE = ROOT / "config" / "rotator.example.toml"
SMALL = ROOT / "config" / "rotator.small.toml"

# Heading in the document -> table of the schema. An application may say everything that [defaults] may say.
TABLES: dict[str, type[schema.Table]] = {
    "[vault]": schema.VaultTable,
    "[vault.auth]": schema.AuthTable,
    "own_secret_id": schema.OwnSecretIdTable,
    "[accounts.NAME]": schema.AccountTable,
    "[accounts.NAME.own_key]": schema.OwnKeyTable,
    "[applications.NAME]": schema.ApplicationTable,
    "[defaults]": schema.DefaultsTable,
    "window": schema.WindowTable,
    "verification": schema.VerificationTable,
    "emergency_verification": schema.EmergencyVerificationTable,
    "[daemon]": schema.DaemonTable,
    "[control]": schema.ControlTable,
    "[webhook]": schema.WebhookTable,
    "[metrics]": schema.MetricsTable,
    "[heartbeat]": schema.HeartbeatTable,
    "[notifications]": schema.NotificationsTable,
}


def written(default: Any) -> str:
    if default is None:
        return "—"
    if isinstance(default, schema.Table):
        return "see below"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, timedelta):
        return f'`"{format_duration(default)}"`'
    if isinstance(default, str | Path):
        return f'`"{default}"`'
    if isinstance(default, list):
        return "`[" + ", ".join(f'"{item}"' for item in default) + "]`"
    return f"`{default}`"


def rows(table: type[schema.Table]) -> list[str]:
    inherited = schema.DefaultsTable.model_fields if issubclass(table, schema.ApplicationTable) else {}
    lines = []
    for name, field in table.model_fields.items():
        if name in inherited:
            continue
        extra = field.json_schema_extra
        computed = extra.get("computed") if isinstance(extra, dict) else None
        default = "required" if field.is_required() else computed or written(field.default)
        lines.append(f"| `{name}` | {default} | {field.description} |")
    return lines


def documented() -> dict[str, list[str]]:
    """Heading -> the rows of the table under it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("#"):
            match = re.fullmatch(r"#+ `(.+)`", line)
            heading = match[1] if match else ""
        elif heading and line.startswith("| `"):
            found.setdefault(heading, []).append(line)
    return found


def every_table(table: type[schema.Table] = schema.Table) -> set[type[schema.Table]]:
    found = {inner for kind in table.__subclasses__() for inner in {kind} | every_table(kind)}
    return {
        kind for kind in found if kind.__module__ == schema.__name__
    }  # the answers of `rotator init` are tables too


def test_every_table_of_the_schema_has_a_section_in_the_document() -> None:
    assert set(TABLES.values()) == every_table()
    assert set(documented()) == set(TABLES)


@pytest.mark.parametrize("heading", TABLES)
def test_the_document_has_every_option_with_its_default_and_its_meaning(heading: str) -> None:
    assert documented()[heading] == rows(TABLES[heading])


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(re.findall(r'"credential:([^"]+)"', EXAMPLE.read_text() + SMALL.read_text())) - {"NAME"}:
        (tmp_path / name).write_text("made-up\n")
        (tmp_path / name).chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))


PLACEHOLDERS = re.compile(r"([1-4])\1{7}-\1{4}-4\1{3}-8\1{3}-\1{12}|example\.com")


@pytest.mark.parametrize("path", [EXAMPLE, SMALL], ids=lambda path: path.name)
@pytest.mark.usefixtures("credentials")
def test_the_configurations_that_we_ship_are_sound_once_their_placeholders_are_replaced(
    path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    named = {problem.path for problem in caught.value.problems if "is a placeholder" in problem.message}
    assert named == {problem.path for problem in caught.value.problems}
    assert {"vault.address", "accounts.acme.organization_id", "applications.billing.application_id"} <= named
    filled = tmp_path / "rotator.toml"
    filled.touch(mode=0o600)
    filled.write_text(
        PLACEHOLDERS.sub(lambda found: "acme.test" if found[0] == "example.com" else f"id-{found[1]}", path.read_text())
    )
    configuration = load(filled)
    assert "billing" in configuration.specs
    assert configuration.specs["billing"].grace == timedelta(hours=24)


def example_tables() -> dict[str, dict[str, Any]]:
    """Section of the example -> every option shown in it, whether it is in force or behind a "# "."""
    found: dict[str, dict[str, Any]] = {}
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        if match := re.fullmatch(r"(?:# )?\[(.+)\]", line):
            section = match[1]
        elif re.match(r"(# )?[a-z_]+ = ", line):
            found.setdefault(section, {}).update(tomllib.loads(line.removeprefix("# ")))
    return found


SECTIONS: dict[str, type[schema.Table]] = {
    "vault": schema.VaultTable,
    "vault.auth": schema.AuthTable,
    "accounts.acme": schema.AccountTable,
    "accounts.acme.own_key": schema.OwnKeyTable,
    "daemon": schema.DaemonTable,
    "control": schema.ControlTable,
    "webhook": schema.WebhookTable,
    "metrics": schema.MetricsTable,
    "heartbeat": schema.HeartbeatTable,
    "notifications": schema.NotificationsTable,
    "defaults": schema.DefaultsTable,
    "applications.billing": schema.ApplicationTable,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_example_shows_every_option_and_nothing_else(section: str) -> None:
    table = SECTIONS[section]
    expected = set(table.model_fields) - (
        set(schema.DefaultsTable.model_fields) if issubclass(table, schema.ApplicationTable) else set()
    )
    tables = {"auth"} if section == "vault" else {"own_key"} if section == "accounts.acme" else set()
    assert set(example_tables()[section]) == expected - tables


@pytest.mark.parametrize("section", SECTIONS)
def test_what_the_example_shows_is_valid_and_is_the_default_where_there_is_one(section: str) -> None:
    table = SECTIONS[section]
    shown = example_tables()[section]
    partial = table.model_construct()
    for name, value in shown.items():
        setattr(partial, name, value)
        default = table.model_fields[name].default
        # Where the default is to have none, and where a reader must decide, the example shows an example.
        if default is not None and not table.model_fields[name].is_required():
            assert getattr(partial, name) == default, name


def test_nested_tables_are_found_by_their_annotation() -> None:
    kinds = [
        kind
        for field in schema.DefaultsTable.model_fields.values()
        for kind in (field.annotation, *get_args(field.annotation))
    ]
    assert {schema.WindowTable, schema.VerificationTable, schema.EmergencyVerificationTable} <= set(kinds)
