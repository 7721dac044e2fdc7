from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from rotator.decision.transitions.publication import new_ledger
from rotator.sandbox.openbao import OpenBao
from tests.support.simulated import spec
from tests.vault.conftest import Build, RootHand
from tests.vault.contract import VaultStoreContract


class TestKvStoreOnOpenBao(VaultStoreContract):
    """The real adapter on the real server; the fixtures are those of this folder."""


def test_r11_many_threads_of_many_processes_that_begin_at_once_agree_on_one_installation(
    bao: OpenBao, hand: RootHand, make: Build
) -> None:
    stores = [make(bao, ledger=hand.prefix) for _ in range(4)]
    barrier = threading.Barrier(16)

    def begin(n: int) -> str:
        barrier.wait()
        store = stores[n % len(stores)]
        found = store.installation()
        store.write_ledger(replace(new_ledger(spec()), application=f"app-{n}"), cas=0)  # from now on there are ledgers
        return found

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(begin, range(16)))) == 1


def test_r11_an_installation_that_another_process_makes_between_two_looks_is_taken(
    bao: OpenBao, hand: RootHand, make: Build
) -> None:
    first, second = make(bao, ledger=hand.prefix), make(bao, ledger=hand.prefix)
    made: list[str] = []
    look = second.list_ledgers

    def late() -> tuple[str, ...]:
        made.append(first.installation())
        first.write_ledger(new_ledger(spec()), cas=0)
        return look()

    second._ledgers.list_ledgers = late  # type: ignore[method-assign]  # the other process acts in the worst moment
    assert [second.installation()] == made
