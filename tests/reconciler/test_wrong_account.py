"""Another organisation under the name of an account: what it does not list is not gone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.keys import Key
from tests.support.scenarios import DAY, HOUR, adopted, mark, rotate
from tests.support.simulated import PATH, Actor, Sim, SimProvider


@dataclass
class Elsewhere(SimProvider):
    """Another organisation: it has none of these keys, and secrets authenticate all the same, as they do at Scaleway."""

    knows_bearer: bool = False

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        return ()

    def get_key(self, access_key: str) -> Key | None:
        return None

    def delete_key(self, access_key: str) -> bool:
        return False

    def bearer_exists(self, bearer: str) -> bool:
        return self.knows_bearer


def in_another_organisation(*, pruned: bool, knows_bearer: bool = False) -> tuple[Sim, Actor, str]:
    """A key whose grace is over, and an account that is another organisation."""
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.time.advance(25 * HOUR)
    if pruned:
        sim.kv["doc:" + PATH][0].pruned = True
    daemon.context = replace(daemon.context, provider=Elsewhere(sim, knows_bearer=knows_bearer))
    return sim, daemon, first


@pytest.mark.parametrize("knows_bearer", [False, True])
@pytest.mark.parametrize("pruned", [False, True])
def test_c5_a_key_that_another_organisation_does_not_list_is_not_gone(pruned: bool, knows_bearer: bool) -> None:
    sim, daemon, first = in_another_organisation(pruned=pruned, knows_bearer=knows_bearer)
    outcome = daemon.run_for(DAY)
    assert first in sim.ledger().names()
    assert "key.revoked" not in daemon.sink.names()
    assert outcome.wait.reason == "wrong_account"
    assert "organization_id" in outcome.wait.message
    daemon.context = replace(daemon.context, provider=SimProvider(sim))
    daemon.run_for(DAY)
    assert not sim.live(first), "with the right organisation the work goes on by itself"


def test_i3_an_emergency_in_another_organisation_is_not_called_contained() -> None:
    sim, daemon, first = in_another_organisation(pruned=True)
    mark(daemon, first)
    outcome = daemon.run_for(HOUR)
    assert first in sim.ledger().compromised_keys()
    assert "compromise.contained" not in daemon.sink.names()
    assert outcome.wait.problem is not None
    assert "organization_id" in outcome.wait.problem.message


def test_i3_an_unnamed_version_proves_nothing_where_the_bearer_is_not_known() -> None:
    sim, daemon, first = in_another_organisation(pruned=False)
    ledger = sim.ledger()
    ledger = replace(ledger, retiring=tuple(replace(entry, version=0) for entry in ledger.retiring))
    marked = mark_compromised(
        ledger, [first], reason="leaked", by="ops", at=sim.time.now, incident="i", mode="replace_first"
    )
    daemon.context.vault.write_ledger(marked, cas=len(sim.kv["ledger:billing"]))
    daemon.run_for(HOUR)
    assert sim.live(first)
    assert first in sim.ledger().compromised_keys()


def test_i3_a_revocation_is_not_verified_by_an_account_that_does_not_know_the_bearer() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.kv["doc:" + PATH][0].pruned = True
    sim.bearers.clear()
    mark(daemon, first)
    outcome = daemon.run()
    assert outcome.wait.problem is not None
    assert outcome.wait.problem.reason == "bearer_gone"
    assert first in sim.ledger().names()
