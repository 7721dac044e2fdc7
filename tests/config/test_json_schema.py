"""The JSON Schema takes what the loader takes, as far as types and names go, and knows every option."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rotator.cli.main import root
from rotator.config.json_schema import json_schema
from rotator.config.schema import NAMED, SINGLE

jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="it comes with schemathesis")

ROOT = Path(__file__).parents[2]


def faults(configuration: dict[str, Any]) -> list[str]:
    validator = jsonschema_rs.Draft202012Validator(json_schema())
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(configuration)
    ]


def example(name: str = "rotator.small.toml") -> dict[str, Any]:
    return tomllib.loads((ROOT / "config" / name).read_text())


def test_the_schema_is_one_of_its_draft() -> None:
    assert jsonschema_rs.meta.is_valid(json_schema())


@pytest.mark.parametrize("name", ["rotator.small.toml", "rotator.example.toml"])
def test_the_shipped_configurations_fit_the_schema(name: str) -> None:
    assert faults(example(name)) == []


@pytest.mark.parametrize(
    ("table", "option", "value"),
    [
        ("vault", "adress", "https://vault.internal"),
        ("vault", "timeout", 15),
        ("vault", "timeout", "soon"),
        ("vault", "ledger_path", 7),
        ("daemon", "workers", "16"),
        ("control", "enabled", "yes"),
        ("metrics", "listen", 9464),
    ],
)
def test_a_wrong_name_or_type_does_not_fit(table: str, option: str, value: object) -> None:
    configuration = example()
    configuration.setdefault(table, {})[option] = value
    assert faults(configuration)


def test_a_literal_in_the_place_of_a_reference_does_not_fit() -> None:
    configuration = example()
    configuration["accounts"]["acme"]["secret_key"] = "5ec0e7f1-0000-4000-8000-0000000000a1"
    assert faults(configuration)


def test_every_option_of_every_table_is_in_the_schema_with_its_description() -> None:
    definitions = json_schema()["$defs"]
    for table in (*SINGLE.values(), *NAMED.values()):
        for name, field in table.model_fields.items():
            assert definitions[table.__name__]["properties"][name]["description"] == field.description


def test_a_default_is_written_as_a_person_writes_it() -> None:
    assert json_schema()["$defs"]["VaultTable"]["properties"]["timeout"]["default"] == "15s"


def test_check_prints_the_schema_without_any_configuration() -> None:
    result = CliRunner().invoke(root, ["check", "--schema", "--config", "/nonexistent"])
    assert result.exit_code == 0
    assert '"Configuration of rotator"' in result.stdout
