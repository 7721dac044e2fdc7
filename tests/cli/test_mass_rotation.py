"""``rotate --all`` and its relatives, ``coverage`` and ``waive``, on the simulated world."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rotator.cli.output.mass_rotation import ProgressSink
from rotator.decision.observation import RotationRequest
from rotator.domain.keys import Key
from rotator.domain.ledger import Hold
from rotator.domain.ports import EventSink
from rotator.domain.secret import Secret
from rotator.errors import QuotaExceeded, TooManyKeys, Unavailable
from tests.cli.conftest import CountingProvider, Desk, SimApp
from tests.support.simulated import EPOCH, Actor, Killed, Sim, SimProvider, SimVault, spec

DAY = timedelta(days=1)
LEAK = ("--compromised", "--reason", "breach")


@dataclass
class Fleet(Desk):
    """A desk in a world of many applications, each with a published key, the first of which is the oldest."""

    refused: int = 0
    """How often the provider said that the quota is used up."""

    def furnish(self, count: int) -> Fleet:
        self.specs = {}
        for number in range(count):
            name = f"app-{number:02d}"
            self.specs[name] = spec(application=name, bearer=f"bearer-{number:02d}", path=f"secret/apps/{name}")
            self.sim.bearers.add(f"bearer-{number:02d}")
            key, _ = self.sim.make_key(
                bearer=f"bearer-{number:02d}", created=self.sim.time.now - DAY * (count - number)
            )
            self.sim.publish_by_hand(key.access_key, path=f"secret/apps/{name}")
            Actor(self.sim, self.specs[name]).run()
        self.sim.time.advance(DAY)
        return self

    def open(self, path: Path, sink: EventSink, only: Collection[str] = ()) -> SimApp:
        app = super().open(path, sink, only)
        app.world_of = lambda context: replace(context, provider=Refusing(self, most=self.creates))
        return app

    def first_keys(self) -> set[str]:
        return {key for key in self.sim.keys if int(key.removeprefix("SCW")) <= len(self.specs)}

    def alive(self) -> set[str]:
        return self.first_keys() & set(self.sim.live_keys())

    def order(self) -> list[str]:
        """The applications in the order in which their documents were written for the second time."""
        writes = [
            (versions[1].index, where.rpartition("/")[2])
            for where, versions in self.sim.kv.items()
            if where.startswith("doc:") and len(versions) > 1
        ]
        return [name for _, name in sorted(writes)]


class Refusing(CountingProvider):
    """The simulated API, and a count of how often the quota was found used up."""

    def __init__(self, fleet: Fleet, most: int) -> None:
        super().__init__(fleet.sim, most=most)
        self.fleet = fleet

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        try:
            return super().create_key(bearer, description, default_project_id=default_project_id, expires_at=expires_at)
        except QuotaExceeded:
            self.fleet.refused += 1
            raise


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(Sim()).furnish(8)


# --- beforehand -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_the_order_the_room_the_time_and_what_remains_and_changes_nothing(fleet: Fleet) -> None:
    fleet.sim.quota = 12
    stranger, _ = fleet.sim.make_key(bearer="somebody", created=fleet.sim.time.now - 9 * DAY)
    before = {where: len(versions) for where, versions in fleet.sim.kv.items()}
    result = fleet.type("rotate", "--all", *LEAK, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "account acme: 8 applications with 8 keys from before 2026-01-02 00:00:00 UTC" in result.stdout
    assert "the quota has room for 3; at most 1 applications at once" in result.stdout
    listed = [line.split()[1] for line in result.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert listed == [f"{name}:" for name in fleet.specs]
    assert f"{stranger.access_key}  made" in result.stdout
    assert {where: len(versions) for where, versions in fleet.sim.kv.items()} == before


def test_a_dry_run_of_an_ordinary_mass_rotation_says_that_the_rest_must_wait_for_graces(fleet: Fleet) -> None:
    fleet.sim.quota = 13
    result = fleet.type("rotate", "--all", "--dry-run")
    assert "so 3 of 8 fit now: the rest follow as graces end" in result.stdout
    answer = fleet.json("rotate", "--all", "--dry-run")["mass_rotations"][0]
    assert (answer["room"], len(answer["applications"]), len(answer["remaining"])) == (5, 8, 8)


def test_a_dry_run_tells_who_is_held_and_that_their_keys_remain(fleet: Fleet) -> None:
    fleet.type("hold", "app-03", "--reason", "migration")
    result = fleet.type("rotate", "--all", *LEAK, "--dry-run")
    assert "app-03: held, and passed by" in result.stdout
    assert "app-02: rotate" in result.stdout
    assert "afterwards untouched: 1 key from before that time" in result.stdout
    said = fleet.type("rotate", "--all", *LEAK).stderr
    assert "rotator resume app-03, or rotator rotate app-03 --compromised --reason TEXT --override-hold" in said


def test_without_room_for_a_single_key_a_dry_run_refuses(fleet: Fleet) -> None:
    fleet.sim.quota = 8
    result = fleet.type("rotate", "--all", *LEAK, "--dry-run")
    assert result.exit_code == 4
    assert "has no room for another key" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say which applications"),
        (("--all", "app-01"), "exclude each other"),
        (("--match", "nothing-*"), "no configured application matches"),
        (("--created-before", "yesterday"), "is no time: write 2026-05-04T12:00:00Z, or a duration such as 36h or 7d"),
        (("--created-before", "2026-01-01"), "is no time"),
        (("--created-before", "2036-01-01T00:00:00Z"), "is in the future"),
        (("app-01", "--wait"), "--wait and --yes are for a mass rotation"),
        (("--account", "nobody"), "there is no account nobody"),
        (("nobody", "--created-before", "2d"), "there is no application nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write_instead(
    fleet: Fleet, words: tuple[str, ...], said: str
) -> None:
    result = fleet.type("rotate", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert fleet.alive() == fleet.first_keys()


# --- a breach -------------------------------------------------------------------------------------------------------------


def test_a2_after_a_breach_every_old_key_is_dead_and_that_is_proven(fleet: Fleet) -> None:
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 0, result.stderr
    assert "8 applications rotated" in result.stdout
    assert (
        "coverage proven: no key from before 2026-01-02 00:00:00 UTC is valid; looked at 8 keys of account acme"
        in result.stdout
    )
    assert not fleet.alive()
    assert fleet.refused == 0


def test_all_marks_of_one_breach_bear_one_incident_and_its_reason(fleet: Fleet) -> None:
    answer = fleet.json("rotate", "--all", *LEAK)["mass_rotations"][0]
    incidents = [fleet.sim.ledger(name).incidents[-1] for name in fleet.specs]
    assert {(incident.id, incident.reason) for incident in incidents} == {(answer["id"], "breach")}
    assert all(incident.closed_at for incident in incidents)
    assert answer["coverage"]["complete"]


@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_a5_however_little_room_there_is_the_quota_is_never_found_used_up(fleet: Fleet, room: int) -> None:
    fleet.sim.quota = 8 + room
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 0, result.stderr
    assert fleet.refused == 0
    assert not fleet.alive()


def test_the_oldest_keys_go_first(fleet: Fleet) -> None:
    fleet.sim.quota = 9
    fleet.type("rotate", "--all", *LEAK)
    assert fleet.order() == list(fleet.specs)


PART = [("--match", "app-0[0-2]"), ("app-00", "app-01", "app-02", "--created-before", "1h")]


@pytest.mark.parametrize("chosen", PART, ids=["match", "names"])
def test_c13_the_proof_of_a_part_is_about_that_part_and_the_rest_is_one_line(
    fleet: Fleet, chosen: tuple[str, ...]
) -> None:
    fleet.sim.make_key(bearer="of no application", created=fleet.sim.time.now - 9 * DAY)
    result = fleet.type("rotate", *chosen, *LEAK)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert set(fleet.order()) == {"app-00", "app-01", "app-02"}
    assert "coverage proven: no key of the 3 chosen applications from before 2026-01-0" in result.stdout
    assert (
        "6 keys from before that time are outside of the selection: rotator coverage --account acme --created-before"
        in result.stdout
    )
    assert "app-03" not in result.stdout
    assert fleet.sim.ledger("app-00").incidents[0].closed_at


def test_c13_the_proof_of_a_part_fails_by_what_is_left_of_that_part(fleet: Fleet) -> None:
    left, _ = fleet.sim.make_key(bearer="bearer-01", created=fleet.sim.time.now - 9 * DAY)
    result = fleet.type("rotate", "--match", "app-0[0-2]", *LEAK)
    assert result.exit_code == 1
    assert "coverage not proven: 1 key of the 3 chosen applications from before" in result.stdout
    assert f"{left.access_key}  made" in result.stdout
    answer = fleet.json("rotate", "--match", "app-0[0-2]", *LEAK)["mass_rotations"][0]["coverage"]
    assert (answer["complete"], answer["outside"], len(answer["keys"])) == (False, 5, 1)


def test_c13_of_an_organisation_with_too_many_keys_for_a_list_the_part_is_proven_and_the_rest_is_not_counted(
    fleet: Fleet,
) -> None:
    fleet.sim.hook = too_many
    result = fleet.type("rotate", "--match", "app-0[0-2]", *LEAK)
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "at least 5 keys from before that time are outside of the selection" in result.stdout


def test_c13_a_list_that_lacks_a_key_of_the_part_proves_nothing_for_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimProvider, "list_all_keys", lambda self: ())
    assert fleet.type("rotate", "--match", "app-0[0-2]", *LEAK).exit_code == 6


def test_the_dry_run_and_the_incident_of_a_part_are_about_that_part_too(fleet: Fleet) -> None:
    told = fleet.type("rotate", "--match", "app-0[0-2]", *LEAK, "--dry-run").stdout
    assert (
        "afterwards untouched: 0 keys of the 3 chosen applications from before that time; 5 keys outside of the selection"
        in told
    )
    assert "app-03" not in told
    incident = fleet.json("rotate", "--match", "app-0[0-2]", *LEAK)["mass_rotations"][0]["id"]
    (coverage,) = fleet.json("incident", incident)["coverage"]
    assert (coverage["complete"], coverage["keys"], coverage["outside"]) == (True, [], 5)
    assert "coverage proven: no key of the 3 affected applications" in fleet.type("incident", incident).stdout


@pytest.mark.parametrize("words", [("--all",), ("--account", "acme"), ("--created-before", "1h")])
def test_the_proof_of_a_whole_account_is_about_every_key_of_it(fleet: Fleet, words: tuple[str, ...]) -> None:
    fleet.sim.make_key(bearer="of no application", created=fleet.sim.time.now - 9 * DAY)
    answer = fleet.json("rotate", *words, *LEAK)["mass_rotations"][0]["coverage"]
    assert (answer["complete"], answer["outside"], len(answer["keys"])) == (False, None, 1)


def test_a_time_in_the_past_spares_younger_keys(fleet: Fleet) -> None:
    result = fleet.type("rotate", "--created-before", "6d12h", *LEAK)
    assert result.exit_code == 0, result.stderr
    assert set(fleet.order()) == {"app-00", "app-01", "app-02"}


def test_a2_a_strangers_old_key_fails_the_proof_until_a_person_waives_it_by_name(fleet: Fleet) -> None:
    stranger, _ = fleet.sim.make_key(bearer="somebody", created=fleet.sim.time.now - 9 * DAY)
    assert fleet.type("rotate", "--all", *LEAK).exit_code == 1
    asked = ("coverage", "--created-before", "2026-01-02T00:00:00Z")
    result = fleet.type(*asked)
    assert (result.exit_code, stranger.access_key in result.stdout) == (1, True)
    assert fleet.type("waive", stranger.access_key).exit_code == 2
    waived = fleet.type("waive", stranger.access_key, "--reason", "break glass", "--until", "30d")
    assert (
        waived.stdout == f"{stranger.access_key} is waived until 2026-02-01 00:00:{fleet.sim.time.now.second:02d} UTC\n"
    )
    result = fleet.type(*asked)
    assert result.exit_code == 0
    assert "is valid but 1 key that a person has waived" in result.stdout
    assert "break glass" in result.stdout
    fleet.sim.time.advance(31 * DAY)
    assert fleet.type(*asked).exit_code == 1
    assert fleet.sim.live(stranger.access_key)


def test_a_waiver_can_be_withdrawn_and_a_dead_key_needs_none(fleet: Fleet) -> None:
    fleet.type("waive", "SCW00000000000000001", "--reason", "for now")
    assert (
        fleet.json("waive", "SCW00000000000000002", "--reason", "same")["waivers"][1]["access_key"]
        == "SCW00000000000000002"
    )
    assert fleet.type("waive", "SCW00000000000000001", "--withdraw").exit_code == 0
    assert fleet.json("waive", "SCW00000000000000002", "--withdraw")["waivers"] == []
    refused = fleet.type("waive", "SCW00000000000000999", "--reason", "typo")
    assert (refused.exit_code, "has no key SCW00000000000000999" in refused.stderr) == (4, True)
    for words in (("--until", "2020-01-01T00:00:00Z", "--reason", "late"), ("--withdraw", "--reason", "both")):
        assert fleet.type("waive", "SCW00000000000000001", *words).exit_code == 2


def test_the_key_that_the_account_is_managed_with_is_shown_as_such_and_fails_the_proof(fleet: Fleet) -> None:
    fleet.management_key = fleet.sim.make_key(bearer="rotator", created=fleet.sim.time.now - DAY)[0].access_key
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 1
    assert "the key that this account is managed with: replace it by hand" in result.stdout


def test_a2_a_list_whose_pages_do_not_add_up_is_an_error_and_no_proof(fleet: Fleet) -> None:
    def hook(name: str, phase: str) -> None:
        if name == "list_all_keys":
            raise Unavailable("the pages do not add up", service="acme", kind="inconsistent_pages")

    fleet.sim.hook = hook
    result = fleet.type("coverage", "--created-before", "1d")
    assert (result.exit_code, result.stdout) == (3, "")


def test_c13_an_empty_list_is_no_proof_and_says_which_keys_it_lacks(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimProvider, "list_all_keys", lambda self: ())
    result = fleet.type("coverage", "--created-before", "1d")
    assert result.exit_code == 6
    assert result.stdout.startswith("no proof: the list of account acme lacks SCW00000000000000001, ")
    assert fleet.type("rotate", "--all", *LEAK).exit_code == 6


def too_many(name: str, phase: str) -> None:
    """An organisation with more keys than are read at once."""
    if name == "list_all_keys":
        message = "acme: listing all keys of the organisation: the list has 12000 keys on 120 pages, more than the 100 pages that are read at once"
        raise TooManyKeys(message, service="acme", kind="too_many_keys")


def test_c13_beyond_the_limit_of_one_list_coverage_lists_by_application_says_the_limit_and_is_not_complete(
    fleet: Fleet,
) -> None:
    fleet.sim.hook = too_many
    result = fleet.type("coverage", "--created-before", "2020-01-01T00:00:00Z")
    assert (result.exit_code, result.stdout.startswith("coverage not proven")) == (1, True)
    assert "more than the 100 pages that are read at once: only the keys of the" in result.stdout
    told = fleet.json("coverage", "--created-before", "2020-01-01T00:00:00Z")
    assert (told["complete"], "12000 keys" in told["not_listed"], told["keys_listed"] > 0) == (False, True, True)


def test_c13_beyond_the_limit_of_one_list_a_mass_rotation_rotates_every_application_and_does_not_say_complete(
    fleet: Fleet,
) -> None:
    fleet.sim.hook = too_many
    before = {name: fleet.sim.published_key(one.path) for name, one in fleet.specs.items()}
    result = fleet.type("rotate", "--all", *LEAK)
    after = {name: fleet.sim.published_key(one.path) for name, one in fleet.specs.items()}
    assert all(after[name] != before[name] for name in before)
    assert not any(fleet.sim.live(key) for key in before.values() if key)
    assert result.exit_code == 1
    assert "coverage not proven" in result.stdout


def test_on_a_terminal_it_shows_how_far_it_is_and_says_at_once_what_was_given_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    about = {"account": "acme", "incident": "i1"}
    said: list[str] = []
    with ProgressSink(shown=True, say=said.append) as onlooker:
        onlooker.emit(
            "mass_rotation.started",
            created_before=EPOCH,
            compromised=True,
            applications=2,
            begun_at=EPOCH,
            again=True,
            **about,
        )
        onlooker.emit("rotation.created", application="billing", access_key="SCW1")
        onlooker.emit("mass_rotation.application_done", application="billing", outcome="contained", **about)
        onlooker.emit(
            "mass_rotation.application_failed", application="mailer", reason="no_answer", message="no answer", **about
        )
    shown = capsys.readouterr().err
    assert "mailer: no answer" in shown
    assert "2/2" in shown
    (first,) = said
    assert first.startswith("mass rotation i1: compromised, 2 applications with keys from before 2026-01-01T00:00:00Z")
    assert first.endswith("goes on with what was begun 2026-01-01 00:00:00 UTC")


# --- what is broken -------------------------------------------------------------------------------------------------------


def test_what_is_broken_stops_no_other_and_is_listed_at_the_end(fleet: Fleet) -> None:
    store = SimVault(fleet.sim)
    ledger, version = store.read_ledger("app-03")
    assert ledger
    store.write_ledger(replace(ledger, hold=Hold("migration", "bob", fleet.sim.time.now)), cas=version)
    fleet.sim.append("ledger:app-05", {"schema": 99})
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 4
    assert "app-03: " in result.stderr
    assert "held by bob (migration)" in result.stderr
    assert "app-05: the ledger of app-05 was written by a newer rotator" in result.stderr
    assert len(fleet.order()) == 6
    assert "6 applications rotated" in result.stdout
    assert "coverage not proven: 2 keys" in result.stdout


# --- killed and gone on with ----------------------------------------------------------------------------------------------


def kill_after(sim: Sim, writes: int) -> Callable[[str, str], None]:
    """Every thread of the process ends with the so-manieth write of a document."""
    count = itertools.count(1)
    dead: list[bool] = []

    def hook(name: str, phase: str) -> None:
        if dead or (name == "write_document" and phase == "before" and next(count) > writes):
            dead.append(True)
            raise Killed

    return hook


def test_a4_after_a_kill_the_same_command_goes_on_with_the_same_time_and_the_same_incident(fleet: Fleet) -> None:
    fleet.sim.quota = 11
    fleet.sim.hook = kill_after(fleet.sim, 3)
    killed = fleet.begin("rotate", "--all", *LEAK)
    assert killed
    done = set(fleet.order())
    assert 0 < len(done) < 8
    fleet.sim.hook = lambda *_: None
    fleet.sim.time.advance(timedelta(minutes=50))
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 0, result.stderr
    assert "goes on with what was begun 2026-01-02 00:00:0" in result.stdout
    assert "with keys from before 2026-01-02T00:00:00Z" in result.stdout
    assert not fleet.alive()
    assert {len(fleet.sim.kv[f"doc:secret/apps/{name}"]) for name in done} == {2}, "what was done was done again"
    assert len({fleet.sim.ledger(name).incidents[-1].id for name in fleet.specs}) == 1
    assert fleet.refused == 0


def test_a_second_breach_is_not_taken_for_the_first_that_never_ended(fleet: Fleet) -> None:
    fleet.sim.quota = 11
    fleet.sim.hook = kill_after(fleet.sim, 3)
    fleet.begin("rotate", "--all", "--compromised", "--reason", "breach")
    fleet.sim.hook = lambda *_: None
    fleet.sim.time.advance(90 * DAY)
    fleet.sim.quota = None
    leaked = set(fleet.sim.live_keys())
    result = fleet.type("rotate", "--all", "--compromised", "--reason", "breach")
    assert result.exit_code == 0, result.stderr
    assert not leaked & set(fleet.sim.live_keys())


def test_another_reason_is_another_breach(fleet: Fleet) -> None:
    fleet.sim.quota = 11
    fleet.sim.hook = kill_after(fleet.sim, 3)
    fleet.begin("rotate", "--all", "--compromised", "--reason", "breach A")
    fleet.sim.hook = lambda *_: None
    fleet.sim.time.advance(timedelta(minutes=10))
    leaked = set(fleet.sim.live_keys())
    result = fleet.type("rotate", "--all", "--compromised", "--reason", "breach B")
    assert "goes on with" not in result.stdout
    assert not leaked & set(fleet.sim.live_keys())


def test_where_the_quota_is_full_of_keys_in_grace_a_compromise_makes_its_own_room(fleet: Fleet) -> None:
    assert fleet.type("rotate", "--all").exit_code in {0, 1}  # the old keys are in grace, so the proof is not complete
    fleet.sim.time.advance(timedelta(hours=1))
    leaked = set(fleet.sim.live_keys())
    fleet.sim.quota = len(leaked)
    result = fleet.type("rotate", "--all", *LEAK)
    assert result.exit_code == 0, result.stderr
    assert not leaked & set(fleet.sim.live_keys())
    assert fleet.refused == 0


def test_what_left_the_configuration_is_not_rotated_and_keeps_nobody_waiting(fleet: Fleet) -> None:
    orphan = replace(fleet.specs.pop("app-05"), configured=False)
    fleet.left = {"app-05": orphan}
    assert "app-05" not in fleet.json("rotate", "--all")["mass_rotations"][0]["without_room"]
    named = fleet.type("rotate", "app-05")
    assert named.exit_code != 0
    assert "app-05 left the configuration: put it back" in named.stderr


def test_waiting_for_room_ends_when_there_is_room_and_not_only_when_a_grace_has_ended(fleet: Fleet) -> None:
    fleet.type("rotate", "app-00")  # its old key is in grace for a day
    fleet.sim.time.advance(timedelta(hours=1))
    fleet.sim.quota = len(fleet.sim.live_keys())
    begun = fleet.sim.time.now
    raised = fleet.pause

    def pause(seconds: float) -> None:
        raised(seconds)
        fleet.sim.quota = 100

    fleet.pause = pause  # type: ignore[method-assign]  # somebody raises the quota while the command sleeps
    (told,) = fleet.json("rotate", "--match", "app-0[1-3]", *LEAK, "--wait")["mass_rotations"]
    assert told["rotated"] == 3
    assert fleet.sim.time.now - begun < timedelta(minutes=10)


def test_a5_whoever_loses_the_last_room_to_another_is_no_more_broken_than_the_rest(fleet: Fleet) -> None:
    """Two mass rotations beside each other count the same room; the provider decides."""
    fleet.sim.quota = len(fleet.sim.live_keys()) + 1
    taken: list[str] = []

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "before") and not taken:
            taken.append(fleet.sim.make_key(bearer="somebody")[0].access_key)

    fleet.sim.hook = hook
    told = fleet.json("rotate", "--match", "app-0[1-3]", *LEAK)["mass_rotations"][0]
    assert (told["without_room"], told["applications"]) == (["app-01", "app-02", "app-03"], [])
    del fleet.sim.keys[taken[0]]
    fleet.sim.time.advance(timedelta(seconds=3))  # a create that was refused is not tried again at once
    again = fleet.json("rotate", "--match", "app-0[1-3]", *LEAK)["mass_rotations"][0]
    assert again["rotated"] == 3, again["applications"]


@pytest.mark.parametrize("ahead", [timedelta(seconds=-90), timedelta(seconds=90)])
def test_b_the_time_that_was_not_told_is_now_by_the_clock_that_stamps_the_keys(fleet: Fleet, ahead: timedelta) -> None:
    """A key made a moment ago is replaced, and no key that replaces one, though the provider's clock is not ours."""
    fleet.sim.time.skew_provider = ahead
    fresh, _ = fleet.sim.make_key(bearer="somebody", created=fleet.sim.time.now + ahead - timedelta(seconds=5))
    told = fleet.json("rotate", "--all", *LEAK)["mass_rotations"][0]
    assert [row["access_key"] for row in told["coverage"]["keys"]] == [fresh.access_key]
    assert told["rotated"] == 8
    again = fleet.json("rotate", "--all", "--dry-run", *LEAK)["mass_rotations"][0]
    assert again["goes_on_with"] is None


def test_a_mass_rotation_that_has_ended_is_begun_anew_by_the_same_words(fleet: Fleet) -> None:
    first = fleet.json("rotate", "--all", *LEAK)["mass_rotations"][0]
    fleet.sim.time.advance(DAY)
    second = fleet.json("rotate", "--all", *LEAK)["mass_rotations"][0]
    assert first["id"] != second["id"]
    assert (first["rotated"], second["rotated"]) == (8, 8)


def test_marks_are_written_only_for_those_who_are_let_in(fleet: Fleet) -> None:
    """A kill leaves no mark behind for whose key there is no room."""
    fleet.sim.quota = 11
    most = [0]

    def hook(name: str, phase: str) -> None:
        marked = {mark.access_key for name in fleet.specs for mark in fleet.sim.ledger(name).compromised}
        published = {fleet.sim.published_key(one.path) for one in fleet.specs.values()}
        most[0] = max(most[0], len(marked & published))

    fleet.sim.hook = hook
    fleet.type("rotate", "--all", *LEAK)
    assert most[0] == 1


def test_the_key_that_manages_the_account_is_asked_for_while_nobody_named_it(fleet: Fleet) -> None:
    manager, _ = fleet.sim.make_key(bearer="somebody", created=fleet.sim.time.now - DAY)
    asked = "is one of these the key that manages the account? name it: access_key in [accounts.acme]"
    assert asked in fleet.type("coverage", "--created-before", "0s").stdout
    fleet.management_key = manager.access_key
    assert asked not in fleet.type("coverage", "--created-before", "0s").stdout


# --- without a compromise -------------------------------------------------------------------------------------------------


def test_without_a_compromise_the_old_keys_live_on_for_their_grace_and_the_proof_says_until_when(fleet: Fleet) -> None:
    result = fleet.type("rotate", "--all")
    assert result.exit_code == 1
    assert len(fleet.order()) == 8
    assert "8 applications rotated" in result.stdout
    assert "in grace, revoked in 23h59m" in result.stdout
    fleet.sim.time.advance(2 * DAY)
    for one in fleet.specs.values():
        Actor(fleet.sim, one).run()
    assert fleet.type("coverage", "--created-before", "2026-01-02T00:00:00Z").exit_code == 0


def test_where_the_quota_has_no_room_for_all_it_says_when_the_rest_can_follow(fleet: Fleet) -> None:
    fleet.sim.quota = 11
    result = fleet.type("rotate", "--all")
    assert result.exit_code == 1
    assert len(fleet.order()) == 3
    assert "5 applications found no room for another key; the first can follow in 23h59m" in result.stderr
    assert "run the same command again then, or say --wait: app-03, app-04" in result.stderr
    assert fleet.refused == 0


def test_told_to_wait_it_goes_on_as_graces_end_also_where_no_daemon_runs(fleet: Fleet) -> None:
    fleet.sim.quota = 11
    result = fleet.type("rotate", "--all", "--wait")
    assert len(fleet.order()) == 8
    assert "5 applications wait for room until 2026-01-03" in result.stdout
    assert "8 applications rotated" in result.stdout
    assert fleet.refused == 0
    assert result.exit_code == 1, "the last of them are in grace"


def test_what_somebody_else_has_rotated_meanwhile_is_not_rotated_again(fleet: Fleet) -> None:
    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("list_all_keys", "after"):
            fleet.sim.hook = lambda *_: None
            Actor(fleet.sim, fleet.specs["app-02"]).run(RotationRequest("by the daemon", "SCW00000000000000003"))

    fleet.sim.hook = hook
    answer = fleet.json("rotate", "--all")["mass_rotations"][0]
    outcomes = {one["name"]: one["outcome"] for one in answer["applications"]}
    assert outcomes["app-02"] == "overtaken"
    assert len(fleet.sim.kv["doc:secret/apps/app-02"]) == 2
