"""The same for several items at once: C11, the items of one account delay none of another."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CurrentKey
from rotator.domain.secret import Secret
from rotator.operations.queries.key_lookup import locate_key
from rotator.operations.queries.secret_lookup import probe_accounts
from rotator.util.concurrency import as_completed, run_concurrently
from tests.support.daemon_stage import FakeFleet, eventually, published, runtime, settled


def test_results_and_exceptions_come_in_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ValueError
        return number * 10

    first, second, third = run_concurrently(work, [1, 2, 3])
    assert (first, third) == (10, 30)
    assert isinstance(second, ValueError)
    assert run_concurrently(work, []) == []


def test_c11_forty_applications_of_an_account_that_hangs_delay_none_of_another() -> None:
    let_go, done = threading.Event(), threading.Event()

    def work(item: tuple[str, int]) -> str:
        account, number = item
        if account == "slow":
            assert let_go.wait(60)
        elif number == 19:
            done.set()
        return account

    items = [("slow", number) for number in range(40)] + [("acme", number) for number in range(20)]
    results: list[Any] = []
    command = threading.Thread(
        target=lambda: results.extend(run_concurrently(work, items, lane=lambda item: item[0])), daemon=True
    )
    command.start()
    try:
        eventually(done.is_set, "the last application of the account that answers")
        assert not results
    finally:
        let_go.set()
    command.join(60)
    assert results == [account for account, _ in items]


def test_who_has_seen_enough_does_not_wait_for_the_rest() -> None:
    let_go = threading.Event()

    def work(name: str) -> str:
        if name == "slow":
            let_go.wait(60)
        return name

    try:
        assert next(as_completed(work, ["slow", "acme"])) == (1, "acme")
    finally:
        let_go.set()


def one_hanging() -> tuple[FakeFleet, threading.Event, list[str]]:
    """Two applications of two accounts with a key each; the account ``slow`` hangs until the event. Then what it was asked."""
    made = runtime("billing", "stuck", accounts={"stuck": "slow"})
    for name in ("billing", "stuck"):
        settled(name, made)
    let_go, answered = threading.Event(), list[str]()

    def hang(name: str, phase: str) -> None:
        let_go.wait(20)
        answered.append(name)

    made.stages["slow"].hook = hang
    return made, let_go, answered


def test_c11_a_leaked_key_is_found_in_its_account_while_another_account_hangs() -> None:
    made, let_go, answered = one_hanging()
    leaked = published(made, "billing")
    assert leaked
    try:
        found = locate_key(made, [leaked])
        assert answered == [], "the account that hangs is not waited for"
    finally:
        let_go.set()
    assert {name: account for name, (account, _) in found.items()} == {leaked: "acme"}


def test_c11_a_reported_secret_is_found_valid_while_another_account_hangs() -> None:
    made, let_go, answered = one_hanging()
    stage = made.stages["acme"]
    _, secret = stage.make_key(bearer="bearer-billing")
    for name in ("stuck", "billing"):
        made.vault.write_ledger(ledger_with_current(made, name), cas=0)
    try:
        assert probe_accounts(made, Secret(secret.reveal())) == "valid"
        assert answered == [], "the account that hangs is not waited for"
    finally:
        let_go.set()


def ledger_with_current(made: FakeFleet, name: str) -> Any:
    key = published(made, name)
    assert key
    return replace(new_ledger(made.applications[name]), current=CurrentKey(key, 1, datetime.now(UTC)))


def test_one_item_needs_no_thread_of_its_own() -> None:
    assert run_concurrently(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]


def test_the_threads_do_not_keep_a_command_alive_that_is_interrupted() -> None:
    assert run_concurrently(lambda _: threading.current_thread().daemon, [1, 2]) == [True, True]
