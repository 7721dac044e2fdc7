"""The simulated Vault keeps the contract of the real one; and its standbys are as far behind as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.document import DocumentState
from rotator.errors import Conflict, Indeterminate
from tests.support.simulated import EPOCH, PATH, Actor, Sim, SimVault, Version, no_hook, spec
from tests.vault.contract import VaultStoreContract

FIELDS = ("access_key", "secret_key")


@dataclass
class SimHand:
    """A person with the root token of the simulated Vault."""

    sim: Sim
    root: str = "secret/apps"
    prefix: str = "secret/rotator"

    def _where(self, path: str) -> str:
        own = {f"{self.prefix}/applications/": "ledger:", f"{self.prefix}/accounts/": "account:"}
        return next(
            (kind + path.removeprefix(place) for place, kind in own.items() if path.startswith(place)), "doc:" + path
        )

    def put(self, path: str, fields: Mapping[str, Any]) -> None:
        self.sim.append(self._where(path), dict(fields))

    def delete(self, path: str) -> None:
        self.sim.kv[self._where(path)][-1].deleted = True

    def undelete(self, path: str, version: int) -> None:
        self.sim.kv[self._where(path)][version - 1].deleted = False

    def delete_all(self, path: str) -> None:
        self.sim.remove(self._where(path))

    def destroy(self, path: str, version: int) -> None:
        destroyed = self.sim.kv[self._where(path)][version - 1]
        destroyed.deleted, destroyed.data = True, {}

    def prune_to(self, path: str, versions: int) -> None:
        self.sim.kept[self._where(path)] = versions

    def custom_metadata(self, path: str) -> Mapping[str, str]:
        return self.sim.annotations[path]

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        self.sim.annotations[path] = dict(values)


@pytest.fixture
def hand() -> SimHand:
    return SimHand(Sim(installation=""))


@pytest.fixture
def store(hand: SimHand) -> SimVault:
    return SimVault(hand.sim)


class TestSimVault(VaultStoreContract):
    """The simulation keeps the contract; the fixtures are those above."""


def furthest_behind(seen: int, latest: int) -> int:
    return seen


def published(vault: SimVault) -> str | None:
    return vault.read_document(PATH, *FIELDS).access_key


def three_versions() -> tuple[Sim, list[str]]:
    sim = Sim()
    keys = [sim.make_key()[0].access_key for _ in range(3)]
    for access_key in keys:
        sim.publish_by_hand(access_key)
    return sim, keys


def test_r14_a_standby_answers_from_any_write_that_it_has_heard_of() -> None:
    sim, keys = three_versions()
    reads = [published(SimVault(sim, lag=lambda seen, latest, at=at: at)) for at in range(4)]  # type: ignore[misc]  # a bound default
    assert reads == [None, *keys]


def test_r14_no_read_is_older_than_what_this_process_has_seen() -> None:
    sim, keys = three_versions()
    asked: list[tuple[int, int]] = []

    def middle(seen: int, latest: int) -> int:
        asked.append((seen, latest))
        return max(seen, 2)

    vault = SimVault(sim, lag=middle)
    assert [published(vault), vault.seen] == [keys[1], 2]
    vault.lag = lambda seen, latest: asked.append((seen, latest)) or seen  # type: ignore[func-returns-value]  # notes, then answers
    assert published(vault) == keys[1]
    assert vault.read_version(PATH, 3, *FIELDS).state is DocumentState.ABSENT
    vault.lag = None
    assert [published(vault), vault.seen] == [keys[2], 3]
    vault.lag = furthest_behind
    assert published(vault) == keys[2]
    assert asked == [(0, 3), (2, 3), (2, 3)]


def test_r14_a_lag_below_what_was_seen_is_a_mistake_of_the_test() -> None:
    sim, _ = three_versions()
    vault = SimVault(sim)
    published(vault)
    vault.lag = lambda seen, latest: seen - 1
    with pytest.raises(AssertionError):
        published(vault)


def test_r14_check_and_set_is_never_behind_and_what_it_says_is_seen() -> None:
    sim, keys = three_versions()
    vault = SimVault(sim, lag=furthest_behind)
    assert published(vault) is None
    with pytest.raises(Conflict):
        vault.write_document(PATH, {"access_key": "untracked"}, cas=0)
    assert published(vault) == keys[2]
    assert vault.write_document(PATH, {"access_key": "untracked"}, cas=3)[0] == 4
    assert published(vault) == "untracked"


def test_r14_an_answer_that_is_lost_teaches_the_process_nothing() -> None:
    sim, keys = three_versions()

    def hook(name: str, phase: str) -> None:
        if phase == "after":
            raise Indeterminate("no answer", service="vault", kind="timeout")

    sim.hook = hook
    vault = SimVault(sim, lag=furthest_behind)
    with pytest.raises(Indeterminate):
        vault.write_document(PATH, {"access_key": "untracked"}, cas=3)
    sim.hook = no_hook
    assert (published(vault), vault.seen) == (None, 0)


def test_r14_ledgers_and_their_list_are_behind_too() -> None:
    sim = Sim()
    leader, vault = SimVault(sim), SimVault(sim, lag=furthest_behind)
    ledger = new_ledger(spec())
    leader.write_ledger(ledger, cas=0)
    assert (vault.list_ledgers(), vault.read_ledger("billing")) == ((), (None, 0))
    vault.seen = 1
    leader.write_ledger(replace(ledger, failures=1), cas=1)
    assert (vault.list_ledgers(), vault.read_ledger("billing")) == (("billing",), (ledger, 1))


def test_r14_what_was_removed_is_still_there_on_a_standby_that_is_behind() -> None:
    sim, keys = three_versions()
    sim.remove("doc:" + PATH)
    again, _ = sim.make_key()
    sim.publish_by_hand(again.access_key)
    at: Callable[[int], SimVault] = lambda index: SimVault(sim, lag=lambda seen, latest: index)  # noqa: E731  # three readings in a line
    assert [published(at(index)) for index in (2, 3, 4, 5)] == [keys[1], keys[2], None, again.access_key]


def test_what_a_test_appends_without_an_index_has_been_there_always() -> None:
    sim, _ = three_versions()
    sim.kv["doc:" + PATH].append(Version({"access_key": "by hand"}, EPOCH))
    assert published(SimVault(sim, lag=furthest_behind)) == "by hand"


def test_a_process_that_starts_anew_has_seen_nothing() -> None:
    sim, _ = three_versions()
    actor = Actor(sim)
    actor.run()
    vault = actor.context.vault
    assert isinstance(vault, SimVault)
    assert vault.seen == sim.index
    actor.restart()
    assert vault.seen == 0
