"""``rotator lookup``: from a key in hand to its owner, and no secret on the way."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rotator.cli.commands.lookup import scanned
from rotator.cli.main import root
from rotator.cli.session import Session
from rotator.errors import PermissionDenied, TooManyKeys, Unavailable
from tests.cli.conftest import Desk
from tests.cli.test_rotate import fail
from tests.support.simulated import EPOCH, spec

OLD = "SCW00000000000000001"
NEW = "SCW00000000000000002"
STRAY = "deadbeef-0000-4000-8000-00000000000f"
DAY = timedelta(days=1)


@pytest.fixture
def office(desk: Desk) -> Desk:
    """A desk in a world whose secrets look like those of Scaleway, with a key in grace and a current one."""
    for number, true in enumerate(desk.sim.keys.values(), 1):
        true.secret = uuid(number)
    desk.sim.kv["doc:secret/apps/billing/scaleway"][0].data["secret_key"] = uuid(1)
    desk.type("rotate", "billing")
    desk.sim.keys[NEW].secret = uuid(2)
    desk.sim.kv["doc:secret/apps/billing/scaleway"][1].data["secret_key"] = uuid(2)
    desk.sim.calls.clear()
    return desk


def uuid(number: int) -> str:
    return f"0{number}abcdef-0000-4000-8000-{number:012d}"


def given(desk: Desk, text: str, *words: str) -> Result:
    """A command with something on standard input. Nothing of a secret comes out again, whatever it says."""
    session = Session(opener=desk.open, pause=desk.pause, now=lambda: desk.sim.time.now)
    result = CliRunner().invoke(root, list(words), obj=session, input=text)
    for secret in (STRAY, *(true.secret for true in desk.sim.keys.values())):
        assert secret not in result.output
        assert secret.upper() not in result.output
    return result


# --- the names of keys ----------------------------------------------------------------------------------------------------


def test_the_purpose_of_a_key_is_shown_by_lookup_by_status_and_by_the_incident(office: Desk) -> None:
    assert [one["purpose"] for one in office.json("lookup", NEW, OLD)["keys"]] == ["made by hand", "made by hand"]
    assert office.json("status", "billing")["applications"][0]["current"]["purpose"] == "made by hand"
    assert "made by hand" in office.type("status", "billing").stdout
    office.type("rotate", "billing", "--compromised", "--reason", "leaked")
    name = office.json("incident", "list")["incidents"][0]["id"]
    assert office.json("incident", name)["applications"][0]["purpose"] == "made by hand"
    assert "billing is for: made by hand" in office.type("incident", name).stdout


def test_who_tells_the_owner_the_state_the_place_and_what_if_it_were_revoked(office: Desk) -> None:
    office.sim.time.advance(timedelta(hours=2))
    told = office.type("lookup", NEW, OLD).stdout.splitlines()
    assert told[0].startswith(f"{NEW}: the current key (application billing, account acme), 2h")
    assert told[0].endswith("published in version 2 of secret/apps/billing/scaleway, made for: made by hand")
    assert "the consumers of billing would be refused until they read another key" in told[1]
    assert told[2].startswith(f"{OLD}: in grace")
    assert ", valid until 2026-01-02" in told[2]
    assert "that have not read the newer key yet would be refused; it is revoked by itself in 22h" in told[3]


def test_a_key_in_grace_that_a_person_deleted_is_revoked_and_has_no_end_ahead(office: Desk) -> None:
    del office.sim.keys[OLD]
    assert office.type("lookup", OLD).stdout.splitlines()[0] == f"{OLD}: revoked (application billing, account acme)"
    assert office.json("lookup", OLD)["keys"][0]["revoke_after"] is None


@pytest.mark.parametrize(("names", "asked"), [(2, "get_key"), (9, "list_all_keys")])
def test_an_account_is_asked_for_a_few_keys_by_name_and_listed_once_for_many(
    office: Desk, names: int, asked: str
) -> None:
    for number in range(20):
        office.specs[f"app-{number}"] = spec(
            application=f"app-{number}", bearer=f"b-{number}", path=f"secret/apps/{number}"
        )
    keys = [office.sim.make_key(bearer=f"b-{number}")[0].access_key for number in range(names)]
    office.type("lookup", *keys)
    provider = [call for call in office.sim.calls if call in {"get_key", "list_all_keys", "list_keys"}]
    assert provider == ["get_key"] * 2 if asked == "get_key" else ["list_all_keys"]


def test_c13_beyond_the_limit_of_one_list_many_keys_are_asked_for_by_name(office: Desk) -> None:
    keys = []
    for number in range(9):
        office.specs[f"app-{number}"] = spec(
            application=f"app-{number}", bearer=f"b-{number}", path=f"secret/apps/{number}"
        )
        keys.append(office.sim.make_key(bearer=f"b-{number}")[0].access_key)

    def hook(name: str, phase: str) -> None:
        if name == "list_all_keys":
            raise TooManyKeys("too many", service="acme", kind="too_many_keys")

    office.sim.hook = hook
    found = {entry["access_key"]: entry["state"] for entry in office.json("lookup", *keys)["keys"]}
    assert set(found) == set(keys)
    assert "unknown" not in found.values()


def test_every_state_is_told(office: Desk) -> None:
    stranger, _ = office.sim.make_key("by hand")
    protected, _ = office.sim.make_key("by hand")
    office.sim.keys[protected.access_key].key = replace(protected, provider_managed=True)
    foreign, _ = office.sim.make_key(bearer="not-ours")
    expired, _ = office.sim.make_key(created=EPOCH - 2 * DAY, expires=EPOCH - DAY)
    office.type("revoke", OLD, "--confirm", OLD)
    names = [
        stranger.access_key,
        protected.access_key,
        foreign.access_key,
        expired.access_key,
        OLD,
        "SCWUNKNOWNUNKNOWNUNK",
    ]
    found = {entry["access_key"]: entry for entry in office.json("lookup", *names)["keys"]}
    assert [found[name]["state"] for name in names] == [
        "unmanaged",
        "protected",
        "foreign",
        "revoked",
        "revoked",
        "unknown",
    ]
    assert found[stranger.access_key]["if_revoked"].endswith(
        f"--compromised --reason TEXT --confirm {stranger.access_key}"
    )
    assert found[OLD]["application"] == "billing"
    assert found[foreign.access_key]["bearer"] == "not-ours"


def test_a_published_key_that_no_ledger_names_yet_is_no_stranger(empty: Desk) -> None:
    key, _ = empty.sim.make_key()
    empty.sim.publish_by_hand(key.access_key)
    [entry] = empty.json("lookup", key.access_key)["keys"]
    assert (entry["state"], entry["published"]["version"]) == ("current", 1)
    assert empty.type("rotate", key.access_key, "--compromised", "--reason", "leak").exit_code == 0
    assert not empty.sim.live(key.access_key)


def test_a_compromised_key_is_said_to_be_on_its_way(office: Desk) -> None:
    fail(office, "delete_key", PermissionDenied("may not", service="acme", kind="policy"))
    office.type("rotate", OLD, "--compromised", "--reason", "leak")
    [entry] = office.json("lookup", OLD)["keys"]
    assert entry["state"] == "compromised"


def test_the_ledgers_tell_about_keys_while_no_account_answers(office: Desk) -> None:
    fail(office, "get_key", Unavailable("acme is away", service="acme", kind="500"))
    result = office.type("lookup", OLD, NEW)
    assert result.exit_code == 0, result.stderr
    assert f"{OLD}: in grace" in result.stdout
    assert f"{NEW}: the current key (application billing" in result.stdout
    assert result.stdout.count("the account could not be read: acme is away") == 2
    unnamed = office.type("lookup", OLD, "SCWUNKNOWNUNKNOWNUNK")
    assert (unnamed.exit_code, "acme is away" in unnamed.stderr) == (3, True), "absence is not concluded"


def test_a_key_that_nobody_knows_ends_with_1(office: Desk) -> None:
    assert office.type("lookup", OLD).exit_code == 0
    assert office.type("lookup", OLD, "SCWUNKNOWNUNKNOWNUNK").exit_code == 1


def test_a_secret_key_is_never_taken_as_an_argument_and_not_repeated(office: Desk) -> None:
    for words in (("lookup", uuid(2)), ("who", OLD, f"x={uuid(2).upper()}"), ("revoke", uuid(2))):
        result = office.type(*words)
        assert result.exit_code == 2
        assert "arguments are seen by every user of the machine" in result.stderr
        assert uuid(2) not in result.output.lower()
    assert office.sim.calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lookup",), "give the names of keys"),
        (("lookup", "billing"), "argument 1 is not the name of a key"),
        (("lookup", OLD, "--secret"), "give the names of keys"),
        (("lookup", "--scan", "/nowhere"), "/nowhere cannot be read"),
    ],
)
def test_what_is_left_unsaid_is_asked_for(office: Desk, words: tuple[str, ...], said: str) -> None:
    result = office.type(*words)
    assert (result.exit_code, said in result.stderr) == (2, True)


# --- a secret on standard input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "name", "version"), [(1, OLD, 1), (2, NEW, 2)])
def test_a_secret_that_vault_holds_is_told_by_the_name_of_its_key(
    office: Desk, number: int, name: str, version: int
) -> None:
    result = given(office, uuid(number).upper() + "\n", "lookup", "--secret")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{name}: ")
    assert f"its secret is in version {version} of secret/apps/billing/scaleway" in result.stdout


def test_a_secret_that_vault_does_not_hold_is_only_alive_or_dead(office: Desk) -> None:
    stranger, _ = office.sim.make_key("by hand")
    office.sim.keys[stranger.access_key].secret = STRAY
    alive = given(office, STRAY, "lookup", "--secret")
    assert (alive.exit_code, "it is VALID" in alive.stdout) == (1, True)
    office.sim.keys[stranger.access_key].deleted_at = EPOCH
    dead = given(office, STRAY, "lookup", "--secret")
    assert (dead.exit_code, "it is revoked" in dead.stdout) == (0, True)


def test_what_no_account_answers_about_is_not_called_dead(office: Desk) -> None:
    fail(office, "authenticate", Unavailable("away", service="acme", kind="timeout"))
    result = given(office, STRAY, "lookup", "--secret")
    assert (result.exit_code, "it is unknown whether it is valid" in result.stdout) == (3, True)


@pytest.mark.parametrize("text", ["", "nonsense", f"{STRAY} and more"])
def test_anything_but_a_secret_is_refused_without_repeating_it(office: Desk, text: str) -> None:
    result = given(office, text, "lookup", "--secret")
    assert result.exit_code == 2
    assert "holds no secret key" in result.stderr
    assert "nonsense" not in result.output


def test_a_document_that_cannot_be_read_is_said_and_hides_no_other(office: Desk) -> None:
    office.specs["mailer"] = spec(application="mailer", bearer="another", path="secret/apps/mailer")

    def deny(name: str, phase: str) -> None:
        if (name, phase, office.sim.calls.count("read_document")) == ("read_document", "before", 1):
            raise PermissionDenied("our token may not read it", service="vault", kind="policy")

    office.sim.hook = deny
    result = given(office, uuid(2), "lookup", "--secret")
    assert "not compared with" in result.stderr


# --- a text ---------------------------------------------------------------------------------------------------------------


def test_a_text_is_scanned_for_keys_by_their_format_and_only_places_are_told(office: Desk, tmp_path: Path) -> None:
    text = f"access={OLD}\nsecret={uuid(2)}\nproject={STRAY}\n{OLD} again\nNOTSCW00000000000000001X\n"
    file = tmp_path / "leak.txt"
    file.write_text(text)
    for result in (given(office, "", "lookup", "--scan", str(file)), given(office, text, "who", "--scan", "-")):
        assert result.exit_code == 0, result.stderr
        assert f"{OLD}: in grace" in result.stdout
        assert "(named in line 1, 4)" in result.stdout
        assert f"{NEW}: the current key" in result.stdout
        assert "(its SECRET stands in line 2)" in result.stdout
        assert "1 other UUID in it" in result.stdout
        assert "NOTSCW" not in result.stdout


def test_what_stands_in_a_text_is_never_sent_to_a_provider(office: Desk) -> None:
    given(office, f"{STRAY}\n", "lookup", "--scan", "-")
    assert "authenticate" not in office.sim.calls


def test_a_text_without_keys_is_said_to_have_none(office: Desk) -> None:
    result = given(office, "nothing\n", "lookup", "--scan", "-")
    assert (result.exit_code, result.stdout) == (0, "the text names no key of a configured application\n")
    assert office.sim.calls == []


@pytest.mark.parametrize("before", [0, 10, 65_520, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("separator", [" ", "="])
def test_a_line_of_any_length_is_scanned_in_pieces_that_cut_no_key(before: int, separator: str) -> None:
    name, secret = "SCWAAAAAAAAAAAAAAAAA", "8e3a0b7c-1111-4222-8333-944445555666"
    text = (
        f"first\n{'x' * before}{separator}{name}{separator}{'-' * 65_500}{separator}{secret}{separator}{'y' * 70_000}"
    )
    for line in (text, f"{text}\nlast", f"{text}\n"):
        found = scanned(io.StringIO(line))
        assert {key: set(lines) for key, lines in (found.names | found.secrets).items()} == {name: {2}, secret: {2}}


@pytest.mark.parametrize("before", [65_526, 65_536, 131_060])
def test_a_part_of_a_longer_word_is_no_key_where_a_line_is_cut(before: int) -> None:
    found = scanned(io.StringIO(f"{'A' * before}SCWAAAAAAAAAAAAAAAAA and SCWAAAAAAAAAAAAAAAAAB{'C' * 70_000}"))
    assert (found.names, found.secrets) == ({}, {})


def test_a_line_without_an_end_is_scanned_in_bounded_memory() -> None:
    class Endless(io.StringIO):
        pieces = 0

        def readline(self, size: int = -1) -> str:  # type: ignore[override]  # the stub of the class above is of bytes
            assert 0 < size < 1_000_000
            self.pieces += 1
            return "x" * size if self.pieces < 1000 else ""

    tracemalloc.start()
    assert scanned(Endless()).names == {}
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
