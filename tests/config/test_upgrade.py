"""A configuration with former names is rewritten: the same values under present names, and every comment where it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from rotator.cli.main import root
from rotator.config.problems import Problems
from rotator.config.renamed import RENAMED, translate
from rotator.config.upgrade import upgrade
from rotator.errors import ConfigurationError, Refused

FORMER = """\
# At the top.
[vault]
address = "https://vault.internal:8200"
ledger = "secret/rotator"  # beside it

[defaults]
every = "30d"
prove = { successes = 2 }
# How long.
takeover_after = "10m"

[applications.billing]
path = "secret/apps/billing"
observe_every = "5m"

[applications."mailer.eu"]
refresh = "1m"

[alarm]
# A monitor.
ping = "file:ping"
name = "here"
# People.
notify = [
  "file:one",  # a chat
  "file:two",
]

[daemon]
catch_up = "1h"
"""


def translated(text: str) -> dict[str, object]:
    data = tomllib.loads(text)
    translate(data, Problems("a file"))
    return data


def test_the_values_stay_and_nothing_has_a_former_name() -> None:
    changed, warnings = upgrade(FORMER, "a file")
    assert tomllib.loads(changed) == translated(FORMER)
    assert len(warnings) == 9
    assert upgrade(changed, "a file") == (changed, ())


def test_every_comment_stays_beside_its_option() -> None:
    changed, _ = upgrade(FORMER, "a file")
    for pair in (
        "# At the top.\n[vault]",
        'ledger_path = "secret/rotator"  # beside it',
        '# How long.\nstale_claim_timeout = "10m"',
        '# A monitor.\nurl = "file:ping"',
        '# People.\ntargets = [\n  "file:one",  # a chat\n  "file:two",\n]',
    ):
        assert pair in changed
    assert "[alarm]" not in changed


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_each_former_name_is_known(old: str, new: str) -> None:
    *table, name = old.replace("*", "billing").split(".")
    text = f'[{".".join(table)}]\n{name} = "x"\n'
    changed, (warning,) = upgrade(text, "a file")
    assert warning.path == old.replace("*", "billing")
    *table, name = new.replace("*", "billing").split(".")
    found = tomllib.loads(changed)
    for part in table:
        found = found[part]
    assert found == {name: "x"}


def test_an_option_moves_with_the_comment_above_it_and_with_nothing_else() -> None:
    text = '[alarm]\nname = "here"\n# A monitor.\n# Of two lines.\nping = "file:ping"\n'
    assert upgrade(text, "a file")[0] == (
        '[heartbeat]\n# A monitor.\n# Of two lines.\nurl = "file:ping"\n\n[notifications]\nname = "here"\n'
    )


def test_a_configuration_with_present_names_is_not_touched() -> None:
    text = (Path(__file__).parents[2] / "config" / "rotator.example.toml").read_text()
    assert upgrade(text, "a file") == (text, ())


@pytest.mark.parametrize(
    "text",
    ['vault = { ledger = "secret/rotator" }\n', '[vault]\n"ledger" = "secret/rotator"\n', 'vault.ledger = "x/y"\n'],
)
def test_what_is_written_otherwise_is_refused_with_the_names_to_change(text: str) -> None:
    with pytest.raises(Refused, match=r"change by hand: vault\.ledger is now called vault\.ledger_path"):
        upgrade(text, "a file")


def test_a_line_of_a_string_that_looks_like_an_option_is_no_option() -> None:
    text = '[vault]\nnamespace = """\nledger = 1\n"""\nledger = "secret/rotator"\n'
    with pytest.raises(Refused):
        upgrade(text, "a file")


def test_an_option_under_both_names_is_a_problem() -> None:
    with pytest.raises(ConfigurationError, match="is the former name"):
        upgrade('[vault]\nledger = "a/b"\nledger_path = "a/b"\n', "a file")


def test_the_command_prints_the_new_text_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rotator.toml"
    path.write_text(FORMER)
    result = CliRunner().invoke(root, ["upgrade-config", "--config", str(path)])
    assert result.exit_code == 0
    assert result.stdout == upgrade(FORMER, "")[0]
    assert "vault.ledger is now called vault.ledger_path" in result.stderr
    assert path.read_text() == FORMER
