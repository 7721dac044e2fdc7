"""How the suite is spread over processes: the tests of a file stay together, since they share servers; a few long ones go alone.

Every test fails on what a library complains of, such as an exception that nothing retrieved, in its own process and in each that it
starts (tests/support/watch.py). The end of the suite names what was skipped for want of a program, and what to install for it.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.support import watch
from tests.support.watched.sitecustomize import HARMLESS

#: Files whose tests take long and share nothing: any process may run any of them.
ALONE = frozenset({"tests/proof/test_planted.py"})


#: Folders whose tests wait most of their time, for servers and processes: they begin first, so that none is left over at the end.
FIRST = ("tests/sandbox/", "tests/service/", "tests/e2e/", "tests/proof/")


class Spread(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no annotations
    """By file, but for those whose tests go alone. (``loadgroup`` would say it with a mark; xdist 3.8 cannot do it with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return str(nodeid if file in ALONE else file)


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C works in the processes that tests start, also where the suite itself is started with SIGINT ignored, as by nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput") or not getattr(
        config.option, "numprocesses", None
    ):  # else it only starts those that run tests
        watch.install()


def pytest_unconfigure() -> None:
    watch.remove()


NEEDED = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "systemd": "systemd-container systemd dbus sudo",
    "nspawn": "systemd-container",
}
"""What a reason for skipping names, and the Debian packages that bring it."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the packages without which tests were skipped."""
    reasons = [str(report.longrepr).lower() for report in terminalreporter.stats.get("skipped", [])]
    missing = sorted({package for word, package in NEEDED.items() if any(word in reason for reason in reasons)})
    if missing:
        terminalreporter.write_line(
            f"skipped for want of programs; to run these tests: apt-get install {' '.join(missing)}"
        )


@pytest.hookimpl(optionalhook=True)  # the suite runs without xdist's plugin, too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # files with many tests would come first, and those are quick
    return Spread(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice the processors: much of the suite waits for processes and clocks."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture(scope="session", autouse=True)
def _processes_at_the_end() -> Iterator[None]:
    """What daemons of a whole file left behind when they ended."""
    yield
    if left := watch.notes():
        pytest.fail("a process left behind: " + "\n".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def _processes() -> Iterator[None]:
    """What processes left behind; a test that wants it so reads the notes itself."""
    yield
    if left := watch.notes():
        pytest.fail("a process left behind: " + "\n".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def library_complaints() -> Iterator[list[str]]:
    """What asyncio and other libraries complained of in this test; a test that wants it so empties the list."""
    found: list[str] = []
    usual = logging.Logger.callHandlers

    def call(self: logging.Logger, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING and not any(words in text for words in HARMLESS):
            found.append(f"{record.name}: {text}")
        usual(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.Logger, "callHandlers", call)
        yield found
    if found:
        pytest.fail(f"a library complained: {found}", pytrace=False)
