"""The commands that only look, and the frame around all of them: help, options, errors, exit codes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from rotator import __version__
from rotator.cli.main import COMMANDS, root
from rotator.cli.session import Session
from rotator.decision.status import status_of
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import (
    CompromisedKey,
    CurrentKey,
    Hold,
    Intent,
    Ledger,
    Problem,
    RetiringKey,
    RevokingKey,
    RotationMode,
)
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import PHASES
from rotator.errors import LedgerUnreadable
from rotator.operations.failures import explain
from tests.cli.conftest import Desk
from tests.support.simulated import EPOCH, Version, spec

OLD = "SCW00000000000000001"


# --- the frame ------------------------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(root, ["--help"])
    assert result.exit_code == 0
    for name, sentence in COMMANDS.items():
        assert f"{name} " in result.stdout
        assert sentence in result.stdout
    for line in ("0  done", "1  it failed", "2  usage", "3  a service was unreachable", "4  refused"):
        assert line in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0
    assert f"rotator {name}" in result.stdout.split("Example")[1]
    assert "--json" in result.stdout
    assert "--config FILE" in result.stdout
    assert import_module(f"rotator.cli.commands.{name.replace('-', '_')}").command.name == name


def test_version_is_told() -> None:
    assert CliRunner().invoke(root, ["--version"]).stdout == f"rotator {__version__}\n"


def test_common_options_are_taken_before_and_after_the_command(desk: Desk) -> None:
    assert json.loads(desk.type("--json", "status").stdout) == json.loads(desk.type("status", "--json").stdout)
    for words in (["--config", "/nowhere", "check"], ["check", "--config", "/nowhere"]):
        result = CliRunner().invoke(root, words)
        assert result.exit_code == 2
        assert result.stderr.startswith("rotator: /nowhere: there is no configuration here")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stauts"], "there is no command 'stauts'; did you mean status?"),
        (["xyz"], "there is no command 'xyz'; write one of: agenda, check,"),
        (["rotate", "billing", "--compromise"], "no such option '--compromise'. Did you mean '--compromised'?"),
        (["--jsno", "status"], "no such option '--jsno'"),
        (["rotate"], "say which applications"),
        (["run", "--log-format", "xml"], "'xml' is not one of"),
        (["history", "a", "b"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(words: list[str], said: str) -> None:
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unknown_application_is_told_with_the_nearest_one(desk: Desk) -> None:
    for words in (["rotate", "biling"], ["status", "biling"], ["plan", "biling"], ["history", "biling"]):
        result = desk.type(*words)
        assert result.exit_code == 2
        assert "did you mean billing?" in result.stderr


def test_an_error_is_json_on_standard_output_and_a_sentence_on_standard_error(desk: Desk) -> None:
    desk.sim.sealed = True
    result = desk.type("status", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"] == {
        "kind": "sealed",
        "message": "Vault is sealed: unseal it",
        "exit_code": 3,
        "service": "vault",
    }
    assert result.stderr == "rotator: Vault is sealed: unseal it\n"


def test_a16_an_error_of_the_program_is_told_by_type_and_place_and_never_by_its_text(desk: Desk) -> None:
    def broken(name: str, phase: str) -> None:
        raise ZeroDivisionError("11111111-2222-3333-4444-secretsecret")

    desk.sim.hook = broken
    for words in (
        ["status"],
        ["status", "--json"],
        ["plan"],
        ["rotate", "billing"],
        ["rotate", "billing", "--compromised", "--reason", "x"],
    ):
        result = desk.type(*words)
        assert result.exit_code == 1
        assert re.search(
            r"an error of the program: ZeroDivisionError at rotator\.(cli|operations|reconciler)\.", result.stderr
        )
        assert "secretsecret" not in result.output
        assert "Traceback" not in result.output


def test_ctrl_c_says_that_nothing_is_lost_and_ends_with_130(desk: Desk) -> None:
    def interrupt(name: str, phase: str) -> None:
        raise KeyboardInterrupt

    desk.sim.hook = interrupt
    result = desk.type("status")
    assert result.exit_code == 130
    assert "nothing is lost" in result.stderr


def test_what_went_wrong_outside_of_our_code_has_no_place() -> None:
    assert "an unknown place" in explain(ValueError("x")).sentences[0]


# --- check ----------------------------------------------------------------------------------------------------------------

CONFIGURATION = """
[vault]
address = "http://127.0.0.1:1"
auth    = { method = "token", token = "file:token" }
ledger_path = "secret/rotator"
[accounts.acme]
organization_id = "105bdce1-64c0-48ab-899d-868455867ecf"
secret_key      = "file:token"
[applications.billing]
application_id = "0766588d-4a0e-4938-a140-544964da7870"
path           = "secret/apps/billing"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("s3cret")
    found = tmp_path / "rotator.toml"
    found.write_text(CONFIGURATION)
    return found


def check(file: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(root, ["check", "--config", str(file), *words], obj=Session())
    return result.exit_code, result.stdout, result.stderr


def test_check_says_what_is_sound(file: Path) -> None:
    assert check(file) == (0, f"{file} is sound: 1 application, 1 account\n", "")
    code, stdout, _ = check(file, "--json")
    assert code == 0
    assert json.loads(stdout) == {
        "file": str(file),
        "sound": True,
        "applications": ["billing"],
        "accounts": ["acme"],
        "warnings": [],
    }


def test_the_configuration_is_found_by_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATOR_CONFIG", str(file))
    assert CliRunner().invoke(root, ["check"], obj=Session()).exit_code == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("[vault]", "[vault", "is not TOML"),
        ("ledger_path", "legder_path", "did you mean ledger_path?"),
        (
            'application_id = "0766588d-4a0e-4938-a140-544964da7870"',
            "application_id = 7",
            "is not an identifier; write it in quotes",
        ),
        (
            'secret_key      = "file:token"',
            'secret_key = "11111111-2222-3333-4444-555555555555"',
            "is written in the open",
        ),
        ('secret_key      = "file:token"', 'secret_key = "file:nothing"', "does not exist"),
    ],
)
def test_every_mistake_in_the_configuration_is_a_sentence_with_its_place(
    file: Path, before: str, after: str, said: str
) -> None:
    file.write_text(CONFIGURATION.replace(before, after))
    code, stdout, stderr = check(file)
    assert (code, stdout) == (2, "")
    assert said in stderr
    assert "11111111" not in stderr
    assert all(line.startswith(f"rotator: {file}: ") for line in stderr.splitlines())


def test_all_mistakes_are_told_at_once_and_listed_for_machines(file: Path) -> None:
    file.write_text(CONFIGURATION + 'evry = "30d"\ngrace = 12\n')
    _, _, stderr = check(file)
    assert len(stderr.splitlines()) == 2
    _, stdout, _ = check(file, "--json")
    problems = json.loads(stdout)["error"]["problems"]
    assert {problem["path"] for problem in problems} == {"applications.billing.evry", "applications.billing.grace"}


# --- status ---------------------------------------------------------------------------------------------------------------


def test_status_answers_in_the_documented_form(desk: Desk) -> None:
    desk.type("rotate", "billing")
    [found] = desk.json("status")["applications"]
    assert found["name"] == "billing"
    assert found["phase"] == "grace"
    assert found["current"]["access_key"] == "SCW00000000000000002"
    assert found["current"]["since"] == "2026-01-01T00:00:20Z"
    assert found["retiring"] == [{"access_key": OLD, "revoke_after": "2026-01-02T00:00:20Z", "reason": "replaced"}]
    assert found["next"] == {"action": "revoke", "at": "2026-01-02T00:00:20Z", "reason": f"grace of {OLD} ends"}
    assert found["problem"] is None
    assert found["as_of"] == "2026-01-01T00:00:20Z"


def test_status_reads_ledgers_and_no_credentials(desk: Desk) -> None:
    desk.sim.calls.clear()
    desk.type("status")
    assert set(desk.sim.calls) == {"list_ledgers", "read_ledger"}


def test_in_a_pipe_status_is_plain_text(desk: Desk) -> None:
    desk.type("rotate", "billing")
    lines = desk.type("status").stdout.splitlines()
    assert lines[0].startswith("billing  grace        SCW00000000000000002 since 2026-01-01T00:00:20Z")
    assert lines[1] == f"  grace: {OLD} until 2026-01-02T00:00:20Z (replaced)"
    assert "\x1b" not in "".join(lines)


def test_a_damaged_ledger_is_trouble_of_its_application_and_hides_no_other(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="b")
    desk.sim.kv["ledger:mailer"] = [Version({"schema": 99}, EPOCH)]
    result = desk.type("status", "--json")
    assert result.exit_code == 5
    billing, mailer = json.loads(result.stdout)["applications"]
    assert billing["phase"] == "idle"
    assert mailer["phase"] == "unreadable"
    assert "newer rotator" in mailer["problem"]["message"]


def test_an_application_that_left_the_configuration_is_shown_until_it_is_done(desk: Desk) -> None:
    gone = desk.specs.pop("billing")
    desk.left = {"billing": replace(gone, configured=False, every=None)}
    assert "orphan: not in the configuration any more" in desk.type("status").stdout
    assert desk.json("status", "billing")["applications"][0]["configured"] is False


def test_an_empty_configuration_is_no_error(empty: Desk) -> None:
    empty.specs = {}
    assert empty.type("status").exit_code == 0
    assert empty.json("status") == {"applications": [], "not_shown": []}


def ledger(wanted: ApplicationSpec, **changes: object) -> Ledger:
    return replace(new_ledger(wanted), **{"current": CurrentKey(OLD, 1, EPOCH), **changes})  # type: ignore[arg-type]  # names are the test's


MARK = CompromisedKey(OLD, "leak", "alice", EPOCH)
INTENT = Intent("a" * 16, 1, "-", "x", RotationMode.SCHEDULED, "o", EPOCH)
TROUBLE = Problem("quota", "no room", EPOCH)
GRACE = RetiringKey("SCW0", 1, EPOCH + timedelta(hours=1), "replaced")
DAY = timedelta(days=1)

SITUATIONS: dict[str, tuple[dict[str, object], timedelta]] = {
    "compromised": ({"compromised": (MARK,), "intent": INTENT, "problem": TROUBLE}, timedelta(0)),
    "held": ({"hold": Hold("x", "bob", EPOCH), "retiring": (GRACE,)}, timedelta(0)),
    "rotating": ({"intent": INTENT, "retiring": (GRACE,)}, timedelta(0)),
    "failing": (
        {"failures": 2, "problem": Problem("verification_failed", "it did not authenticate", EPOCH)},
        timedelta(0),
    ),
    "blocked": ({"problem": TROUBLE}, timedelta(0)),
    "overdue": ({}, 31 * DAY),
    "revoking": ({"revoking": (RevokingKey("SCW0", 1, "x"),), "retiring": (GRACE,)}, timedelta(0)),
    "grace": ({"retiring": (GRACE,)}, timedelta(0)),
    "new": ({"current": None}, timedelta(0)),
    "idle": ({}, timedelta(0)),
}


@pytest.mark.parametrize("phase", SITUATIONS)
def test_the_phase_is_the_most_pressing_truth(phase: str) -> None:
    changes, later = SITUATIONS[phase]
    wanted = spec()
    assert status_of(wanted, ledger(wanted, **changes), EPOCH + later).phase == phase


def test_every_phase_is_documented() -> None:
    text = Path("docs/cli.md").read_text()
    assert set(SITUATIONS) | {"unreadable"} == set(PHASES)
    for phase in PHASES:
        assert f"`{phase}`" in text


def test_a6_past_due_says_since_when(desk: Desk) -> None:
    desk.sim.time.advance(timedelta(days=33))
    [found] = desk.json("status")["applications"]
    assert found["phase"] == "overdue"
    assert found["overdue_seconds"] == 3 * 86400
    assert found["next"]["at"] == "2026-01-31T00:00:00Z"
    assert "past due by 3d" in desk.type("status").stdout


def test_a_grace_that_ended_long_ago_is_past_due(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.sim.time.advance(timedelta(days=2))
    [found] = desk.json("status")["applications"]
    assert found["phase"] == "overdue"
    assert found["next"]["action"] == "revoke"


# --- plan -----------------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_when_and_why_and_changes_nothing(desk: Desk) -> None:
    before = {name: len(versions) for name, versions in desk.sim.kv.items()}
    desk.sim.calls.clear()
    result = desk.type("plan")
    assert result.stdout == "billing: rotate in 30d (2026-01-31 00:00:00 UTC): every 30d\n"
    assert not {"write_ledger", "write_document", "create_key", "delete_key", "annotate"} & set(desk.sim.calls)
    assert {name: len(versions) for name, versions in desk.sim.kv.items()} == before


def test_a_plan_for_an_empty_world_is_a_first_key(empty: Desk) -> None:
    [found] = empty.json("plan")["applications"]
    assert found["action"] == "rotate"
    assert "first key" in found["reason"]
    assert empty.sim.kv == {}


def test_a_plan_for_a_key_that_is_in_use_takes_it_over(empty: Desk) -> None:
    key, _ = empty.sim.make_key()
    empty.sim.publish_by_hand(key.access_key)
    [found] = empty.json("plan")["applications"]
    assert (found["action"], found["reason"]) == ("adopt", f"take over {OLD}, which consumers already use, as it is")


def test_a_plan_of_a_rotation_that_is_due_is_now(desk: Desk) -> None:
    desk.sim.time.advance(timedelta(days=31))
    [found] = desk.json("plan")["applications"]
    assert found["action"] == "rotate"
    assert found["at"] == "2026-02-01T00:00:00Z"
    assert "every 30d" in found["reason"]


def test_a_plan_revokes_when_grace_is_over(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.sim.time.advance(timedelta(days=2))
    [found] = desk.json("plan")["applications"]
    assert found["action"] == "revoke"
    assert OLD in found["reason"]


def test_a_plan_says_what_blocks(desk: Desk) -> None:
    desk.sim.publish_by_hand("SCW-of-somebody-else", "nonsense")
    desk.sim.bearers.clear()
    result = desk.type("plan")
    assert result.stdout.startswith("billing: blocked: ")


def test_a_plan_warns_of_what_will_go_wrong(desk: Desk) -> None:
    desk.sim.make_key("somebody else's")
    desk.sim.lacking = ("create", "update")
    desk.sim.quota = 2
    desk.kept = 2
    [found] = desk.json("plan")["applications"]
    strangers, rights, quota, versions = found["warnings"]
    assert "SCW00000000000000002 is unmanaged" in strangers
    assert 'add path "secret/data/apps/billing/scaleway" { capabilities = ["create", "update"] }' in rights
    assert "no room for another key" in quota
    assert "keeps only 2 versions" in versions


def test_a_plan_goes_on_when_one_application_cannot_be_looked_at(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="b")
    desk.sim.kv["ledger:mailer"] = [Version({"schema": 99, "application": "mailer"}, EPOCH)]
    result = desk.type("plan")
    assert result.exit_code == 4
    assert "billing: rotate in 30d" in result.stdout
    assert "rotator: mailer: the ledger of mailer was written by a newer rotator" in result.stderr


# --- history --------------------------------------------------------------------------------------------------------------


def test_history_tells_what_happened_newest_last(desk: Desk) -> None:
    desk.type("rotate", "billing", "--reason", "monthly")
    desk.sim.time.advance(timedelta(days=2))
    desk.daemon().run()
    lines = desk.type("history", "billing").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == sorted(line.split("  ")[0] for line in lines)
    assert "was taken over as it was" in lines[0]
    assert "became the current key" in lines[1]
    assert "monthly" in lines[1]
    assert "was revoked" in lines[2]
    assert "refused" in lines[2]


def test_history_knows_versions_that_the_ledger_does_not_explain(desk: Desk) -> None:
    desk.sim.time.advance(timedelta(hours=1))
    desk.sim.publish_by_hand(OLD)
    entries = desk.json("history", "billing")["history"]
    assert entries[-1] == {
        "at": "2026-01-01T01:00:00Z",
        "event": "written",
        "access_key": None,
        "version": 2,
        "rotation_id": None,
        "reason": None,
        "source": "vault",
    }


def test_history_tells_of_emergencies(desk: Desk) -> None:
    desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    events = [entry["event"] for entry in desk.json("history", "billing")["history"]]
    assert "emergency" in events
    assert events[-1] == "contained"


def test_without_any_history_the_command_says_so(empty: Desk) -> None:
    result = empty.type("history", "billing")
    assert result.exit_code == 4
    assert "has no history yet" in result.stderr


def test_a_damaged_ledger_ends_history_with_exit_code_4(desk: Desk) -> None:
    desk.sim.kv["ledger:billing"].append(Version({"schema": 99}, EPOCH))
    assert desk.type("history", "billing").exit_code == LedgerUnreadable.exit_code


def test_row_40_policy_prints_what_the_login_needs_for_this_configuration_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text("made-up")
    file = tmp_path / "rotator.toml"
    file.write_text(
        '[vault]\naddress = "https://vault.acme.test:8200"\nledger = "kv/ours"\nauth = { method = "token", token = "file:secret" }\n'
        '[accounts.acme]\norganization_id = "1f0e2d3c-1111-4111-8111-111111111111"\nsecret_key = "vault:other/management#key"\n'
        '[applications.billing]\napplication_id = "2f0e2d3c-2222-4222-8222-222222222222"\npath = "kv/apps/billing"\nevery = "30d"\n'
    )
    done = CliRunner().invoke(root, ["policy", "--config", str(file)], obj=Session())
    assert done.exit_code == 0, done.output
    paths = [line.split('"')[1] for line in done.output.splitlines()]
    assert paths == [
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "auth/token/revoke-self",
        "sys/capabilities-self",
        "kv/data/ours/*",
        "kv/metadata/ours/*",
        "kv/data/apps/billing",
        "kv/metadata/apps/billing",
        "kv/destroy/apps/billing",
        "kv/config",
        "other/data/management",
    ]
    told = CliRunner().invoke(root, ["policy", "--json", "--config", str(file)], obj=Session())
    assert json.loads(told.output)["policy"] == done.output
