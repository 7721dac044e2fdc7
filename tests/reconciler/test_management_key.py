"""The key that an account logs in with is nobody's to revoke: not a rotation's, a grace's, an emergency's or a command's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from rotator.decision.observation import RotationRequest
from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.ledger import Ledger, RevokingKey
from rotator.errors import Rejected
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.commands.revoke import revoke
from rotator.providers.management_key import FixedKeyName, ManagementKeyGuard
from tests.support.scenarios import DAY, HOUR, adopted, rotate
from tests.support.simulated import Actor, Sim, SimProvider, SimVault


def managed_with_its_own_key() -> tuple[Sim, Actor, str]:
    """A world whose account logs in with the key that billing publishes."""
    sim, daemon, first = adopted()
    daemon.context = replace(daemon.context, provider=ManagementKeyGuard(SimProvider(sim), FixedKeyName(first)))
    return sim, daemon, first


def sleep_on(sim: Sim) -> object:
    def sleep(until: datetime) -> None:
        sim.time.now = max(sim.time.now, until)

    return sleep


def change(sim: Sim, ledger: Ledger) -> None:
    SimVault(sim).write_ledger(ledger, cas=len(sim.kv["ledger:billing"]))


def test_c20_a_rotation_replaces_the_management_key_and_its_grace_never_ends_in_a_revocation() -> None:
    sim, daemon, first = managed_with_its_own_key()
    second = rotate(daemon)
    outcome = daemon.run_for(10 * DAY)
    assert sim.live_keys() == sorted([first, second])
    problem = outcome.wait.problem
    assert problem is not None
    assert problem.reason == "management_key"
    assert "[accounts.acme]" in problem.message


def test_c20_once_the_account_logs_in_with_another_key_the_old_one_is_revoked() -> None:
    sim, daemon, first = managed_with_its_own_key()
    second = rotate(daemon)
    daemon.run_for(10 * DAY)
    daemon.context = replace(daemon.context, provider=ManagementKeyGuard(SimProvider(sim), FixedKeyName(second)))
    outcome = daemon.run_for(HOUR)
    assert sim.live_keys() == [second]
    assert outcome.wait.problem is None


def test_c20_an_emergency_replaces_the_management_key_and_says_who_can_end_it() -> None:
    sim, daemon, first = managed_with_its_own_key()
    result = contain(daemon.spec, daemon.context, sleep_on(sim), CompromiseRequest("leaked", "ops"))  # type: ignore[arg-type]
    assert result.exit_code == 4
    assert "[accounts.acme]" in result.message
    assert sim.live(first)
    assert sim.published_key() != first


def test_c20_an_emergency_that_revokes_first_spares_the_management_key_too() -> None:
    sim, daemon, first = managed_with_its_own_key()
    ledger = mark_compromised(
        sim.ledger(), [first], reason="leaked", by="ops", at=sim.time.now, incident="i", mode="revoke_first"
    )
    change(sim, ledger)
    daemon.run_for(DAY)
    assert sim.live(first)


def test_c20_a_ledger_that_condemns_the_management_key_does_not_get_it_deleted() -> None:
    sim, daemon, first = managed_with_its_own_key()
    rotate(daemon)
    sim.hidden.add(first)  # a list that lacks it proves nothing
    change(sim, replace(sim.ledger(), retiring=(), revoking=(RevokingKey(first, 1, "leftover"),)))
    outcome = daemon.run_for(DAY)
    assert sim.live(first)
    assert outcome.wait.problem is not None
    assert "[accounts.acme]" in outcome.wait.problem.message


@pytest.mark.parametrize("in_grace", [True, False])
def test_c20_the_command_revoke_refuses_the_management_key(in_grace: bool) -> None:
    sim, daemon, first = managed_with_its_own_key()
    if in_grace:
        rotate(daemon)
    else:
        key, _ = sim.make_key("somebody else's")
        first = key.access_key
        daemon.context = replace(daemon.context, provider=ManagementKeyGuard(SimProvider(sim), FixedKeyName(first)))
    result = revoke(daemon.spec, daemon.context, sleep_on(sim), first, by="ops", confirmed=first)  # type: ignore[arg-type]
    assert result.exit_code == 4
    assert "logs in with" in result.message
    assert sim.live(first)


def test_c20_the_guard_marks_the_key_wherever_it_is_listed_and_sends_no_delete() -> None:
    sim, _, first = managed_with_its_own_key()
    guard = ManagementKeyGuard(SimProvider(sim), FixedKeyName(first)).urgent()
    (listed,), (everywhere,), one = (
        guard.list_keys(next(iter(sim.bearers))),
        guard.list_all_keys(),
        guard.get_key(first),
    )
    assert one is not None
    assert listed.manages_account
    assert everywhere.manages_account
    assert one.manages_account
    assert not one.revocable
    sim.calls.clear()
    with pytest.raises(Rejected, match="logs in with"):
        guard.delete_key(first)
    assert sim.calls == []


def test_c20_the_other_keys_of_the_application_are_revoked_as_ever() -> None:
    sim, daemon, first = managed_with_its_own_key()
    daemon.context = replace(
        daemon.context, provider=ManagementKeyGuard(SimProvider(sim), FixedKeyName("SCW00000000000000099"))
    )
    daemon.run(RotationRequest("asked", first))
    daemon.run_for(2 * DAY)
    assert not sim.live(first)
