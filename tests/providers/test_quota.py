"""The remembered room for keys: C11, a quota that hangs delays each waiter at most once and never a create that has ended."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from rotator.providers.scaleway.client import ManagementKey
from rotator.providers.scaleway.errors import ApiCall
from rotator.providers.scaleway.quota import FAILURE_MEMORY, MEMORY, QuotaHeadroom
from tests.support.daemon_stage import eventually


class Quota:
    """The provider's side: hangs until it is let go, then answers or fails."""

    def __init__(self, room: int | None = 10) -> None:
        self.room = room
        self.fails = False
        self.asked = 0
        self.let_go = threading.Event()

    def __call__(self) -> int | None:
        self.asked += 1
        room = self.room
        assert self.let_go.wait(60)
        if self.fails:
            raise Unavailable("no answer", service="acme", kind="timeout")
        return room


def test_c11_sixteen_workers_ask_a_hanging_quota_once_and_its_failure_is_remembered() -> None:
    time, quota = [100.0], Quota()
    quota.fails = True
    headroom = QuotaHeadroom(quota, now=lambda: time[0])
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(headroom.get) for _ in range(16)]
        eventually(lambda: quota.asked)
        quota.let_go.set()
        assert [one.result(60) for one in asked] == [None] * 16
    assert quota.asked == 1
    assert headroom.get() is None
    assert headroom.get(fresh=True) is None
    assert quota.asked == 1, "for seconds the account counts as unknown"
    time[0] += FAILURE_MEMORY + 1
    quota.fails = False
    assert headroom.get() == 10


def test_c11_a_create_that_has_ended_does_not_wait_for_a_quota_that_hangs() -> None:
    quota = Quota()
    headroom = QuotaHeadroom(quota)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(headroom.get)
        eventually(lambda: quota.asked)
        pool.submit(headroom.change, -1).result(10)
        quota.let_go.set()
        assert asked.result(60) == 9, "the key that was made after the question is not in its answer"


def test_a_key_that_is_deleted_while_the_quota_is_asked_frees_its_room_with_the_next_answer() -> None:
    time, quota = [100.0], Quota()
    headroom = QuotaHeadroom(quota, now=lambda: time[0])
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(headroom.get)
        eventually(lambda: quota.asked)
        headroom.change(+1)
        quota.let_go.set()
        assert asked.result(60) == 10
    headroom.change(+1)
    assert headroom.get() == 11
    quota.room = 12
    time[0] += MEMORY.total_seconds() + 1
    assert headroom.get() == 12


def test_c11_threads_that_need_the_management_key_read_it_once_however_long_that_takes() -> None:
    read, let_go = [0], threading.Event()

    def secret() -> Secret:
        read[0] += 1
        assert let_go.wait(60)
        raise Unavailable("Vault does not answer", service="vault", kind="timeout")

    key, call = ManagementKey(secret), ApiCall("acme", "listing the keys")
    with ThreadPoolExecutor(16) as pool:

        def ask() -> str:
            try:
                key.current(call)
            except Unavailable as error:
                return error.kind
            return ""

        asked = [pool.submit(ask) for _ in range(16)]
        eventually(lambda: key._reading._flight and len(key._reading._flight[1]._condition._waiters) == 15)  # type: ignore[attr-defined]  # who waits in a Future
        let_go.set()
        assert [one.result(60) for one in asked] == ["timeout"] * 16
    assert read[0] == 1, "who waits shares the failure"
