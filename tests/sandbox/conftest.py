"""A running stand-in of Scaleway, and a client that holds its management key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from rotator.sandbox.scaleway import ScalewaySandbox


class Hands:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def scaleway(hands: Hands) -> Iterator[ScalewaySandbox]:
    with ScalewaySandbox(clock=hands, seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def connect(scaleway: ScalewaySandbox) -> Iterator[Callable[[str], httpx.Client]]:
    """Clients by secret, on connections of their own."""
    clients: list[httpx.Client] = []

    def make(secret: str) -> httpx.Client:
        client = httpx.Client(base_url=scaleway.url, headers={"X-Auth-Token": secret}, trust_env=False, timeout=20)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def manager(scaleway: ScalewaySandbox, connect: Callable[[str], httpx.Client]) -> httpx.Client:
    return connect(scaleway.management_secret)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits for a condition, with a generous limit."""

    def wait(condition: Callable[[], object]) -> None:
        limit = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < limit, "the condition never came true"
            time.sleep(0.005)

    return wait
