"""A document whose key stands in fields that the configuration does not name, from the first contact to the emergency."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotator.errors import Unavailable
from tests.cli.conftest import Desk
from tests.support.simulated import PATH, Sim, spec

BY_HAND = "SCW00000000000000001"
"""The key that a person wrote into the document and that consumers read."""
LINE = 'fields = { SCW_ACCESS_KEY = "{access_key}", SCW_SECRET_KEY = "{secret_key}" }'
WANTED = spec(fields={"SCW_ACCESS_KEY": "{access_key}", "SCW_SECRET_KEY": "{secret_key}"})


def write_by_hand(sim: Sim) -> None:
    key, secret = sim.make_key()
    sim.append(f"doc:{PATH}", {"SCW_ACCESS_KEY": key.access_key, "SCW_SECRET_KEY": secret.reveal()})


@pytest.fixture
def foreign() -> Desk:
    """A desk in a world in which nothing has happened but that a person wrote a document."""
    desk = Desk(Sim())
    write_by_hand(desk.sim)
    return desk


@pytest.fixture
def beside(desk: Desk) -> Desk:
    """A desk where rotator's own key stands beside the key that consumers read, as before this was noticed."""
    key, secret = desk.sim.make_key()
    stored = desk.sim.kv[f"doc:{PATH}"][-1].data
    assert stored is not None
    desk.sim.append(f"doc:{PATH}", {**stored, "SCW_ACCESS_KEY": key.access_key, "SCW_SECRET_KEY": secret.reveal()})
    desk.sim.time.advance(timedelta(days=1))
    return desk


def test_i2_the_daemon_makes_no_first_key_and_plan_gives_the_line_to_write(foreign: Desk) -> None:
    outcome = foreign.daemon().run()
    assert outcome.wait.reason == "key_in_other_field"
    assert foreign.sim.live_keys() == [BY_HAND]
    said = foreign.type("plan").stdout
    assert said.startswith(
        f"billing: blocked: the credential document {PATH} of billing holds key {BY_HAND} in the field"
    )
    assert LINE in said


def test_i2_a_person_s_rotation_is_refused_with_the_same_sentence(foreign: Desk) -> None:
    result = foreign.type("rotate", "billing")
    assert (result.exit_code, LINE in result.stderr) == (4, True)
    assert foreign.sim.live_keys() == [BY_HAND]


def test_with_the_line_in_the_configuration_the_key_is_taken_over_and_rotated(foreign: Desk) -> None:
    foreign.daemon().run()
    foreign.specs["billing"] = WANTED
    result = foreign.type("rotate", "billing")
    assert result.exit_code == 0, result.stderr
    published = foreign.sim.published()
    assert published is not None
    assert published.data is not None
    assert published.data["SCW_ACCESS_KEY"] != BY_HAND
    assert "access_key" not in published.data


def test_r9_an_emergency_by_the_name_of_the_application_kills_no_other_key(beside: Desk) -> None:
    own, by_hand = beside.sim.live_keys()
    result = beside.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 4
    assert "nothing was marked" in result.stderr
    assert (
        f"rotator rotate {by_hand} --compromised --reason TEXT --confirm {by_hand}, or one of {own} in its place"
        in result.stderr
    )
    assert LINE in result.stderr
    assert beside.sim.live_keys() == [own, by_hand]
    assert not beside.sim.ledger().incidents


def test_r9_an_emergency_by_the_name_of_a_key_is_about_that_key(beside: Desk) -> None:
    own, by_hand = beside.sim.live_keys()
    assert beside.type("rotate", own, "--compromised", "--reason", "leak").exit_code == 0
    assert own not in beside.sim.live_keys()
    assert by_hand in beside.sim.live_keys()


def test_r9_the_key_that_consumers_read_is_replaced_before_it_is_revoked_once_the_fields_are_named(
    foreign: Desk,
) -> None:
    order = ("rotate", BY_HAND, "--compromised", "--reason", "leak", "--confirm", BY_HAND)
    first = foreign.type(*order)
    assert first.exit_code == 4
    assert f"{BY_HAND} not verified as revoked" in first.stderr
    assert LINE in first.stderr
    assert foreign.sim.live_keys() == [BY_HAND]
    foreign.specs["billing"] = WANTED
    assert foreign.type(*order).exit_code == 0
    assert BY_HAND not in foreign.sim.live_keys()
    assert foreign.sim.published_key() is None  # that is the field of the default configuration
    published = foreign.sim.published()
    assert published is not None
    assert published.data is not None
    assert published.data["SCW_ACCESS_KEY"] in foreign.sim.live_keys()


def test_r9_revoke_first_ends_the_key_at_once_whatever_consumers_read(foreign: Desk) -> None:
    order = ("rotate", BY_HAND, "--compromised", "--reason", "leak", "--confirm", BY_HAND, "--revoke-first")
    result = foreign.type(*order)
    assert BY_HAND not in foreign.sim.live_keys(), result.stderr


def test_r9_an_emergency_does_not_wait_for_a_provider_that_does_not_list(beside: Desk) -> None:
    own = beside.sim.live_keys()[0]
    asked = 0

    def hook(effect: str, phase: str) -> None:
        nonlocal asked
        if effect == "list_keys" and asked == 0:
            asked += 1
            raise Unavailable("no answer", service="acme", kind="unreachable")

    beside.sim.hook = hook
    assert beside.type("rotate", "billing", "--compromised", "--reason", "leak").exit_code == 0
    assert own not in beside.sim.live_keys()


def test_i2_revoke_spares_the_key_that_stands_in_another_field(beside: Desk) -> None:
    by_hand = beside.sim.live_keys()[1]
    result = beside.type("revoke", by_hand, "--confirm", by_hand, "--reason", "tidy up")
    assert result.exit_code == 4
    assert by_hand in beside.sim.live_keys()


def test_a_key_of_another_bearer_in_the_document_stands_in_no_emergency_s_way(desk: Desk) -> None:
    other, _ = desk.sim.make_key(bearer="another")
    stored = desk.sim.kv[f"doc:{PATH}"][-1].data
    assert stored is not None
    desk.sim.append(f"doc:{PATH}", {**stored, "OTHER": other.access_key})
    assert desk.type("rotate", "billing", "--compromised", "--reason", "leak").exit_code == 0


def test_status_and_its_check_say_it_by_the_ledger(beside: Desk) -> None:
    beside.daemon().run()
    (told,) = beside.json("status")["applications"]
    assert (told["phase"], told["problem"]["reason"]) == ("blocked", "key_in_other_field")
    assert "blocked: billing [key_in_other_field]" in beside.type("status", "--check").stdout
    beside.sim.append(f"doc:{PATH}", {k: v for k, v in stored_of(beside).items() if not k.startswith("SCW_")})
    beside.daemon().run()
    assert beside.json("status")["applications"][0]["problem"] is None


def stored_of(desk: Desk) -> dict[str, object]:
    stored = desk.sim.kv[f"doc:{PATH}"][-1].data
    assert stored is not None
    return stored
