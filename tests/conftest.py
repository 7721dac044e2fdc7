"""How the suite is spread over processes: the tests of a file stay together, since they share servers; a few long ones go alone.

Every test fails on what asyncio complains of, such as an exception that nobody retrieved.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

#: Files whose tests take long and share nothing: any process may run any of them.
ALONE = frozenset({"tests/proof/test_planted.py"})


class Spread(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no annotations
    """By file, but for those whose tests go alone. (``loadgroup`` would say it with a mark; xdist 3.8 cannot do it with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return str(nodeid if file in ALONE else file)


@pytest.hookimpl(optionalhook=True)  # the suite runs without xdist's plugin, too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread | None:
    return Spread(config, log) if config.getoption("dist") == "loadfile" else None


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture(autouse=True)
def unretrieved() -> Iterator[list[str]]:
    """What asyncio complained of in this test; a test that wants it so empties the list."""
    handler = _Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)
    if handler.messages:
        pytest.fail(f"asyncio complained: {handler.messages}", pytrace=False)
