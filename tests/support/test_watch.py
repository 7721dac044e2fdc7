"""The watch over processes can fail: each kind of thing that may be left behind, planted in a process of rotator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.sandbox.process import Process, wait_until
from tests.e2e.rig import FAST, Rig
from tests.support import watch

ROOT = Path(__file__).parents[2]
START = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import rotator\n"

PLANTED = {
    "a task whose exception nothing retrieves": (
        """
import asyncio
async def fail(): raise ValueError("planted")
async def main():
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
        "a warning of asyncio: Task exception was never retrieved",
    ),
    "an unclosed socket": ("import socket; socket.socket()\n", "ResourceWarning: unclosed <socket.socket"),
    "an unclosed file in a cycle at the end": (
        f"class It: pass\nit = It(); it.it = it; it.file = open({__file__!r}); del it\n",
        "ResourceWarning: unclosed file",
    ),
    "a coroutine that is never awaited": (
        "async def it(): pass\nit()\n",
        "RuntimeWarning: coroutine 'it' was never awaited",
    ),
    "an exception in a thread": (
        "import threading\ndef fail(): raise ValueError('planted')\nit = threading.Thread(target=fail); it.start(); it.join()\n",
        "an exception ended a thread: ValueError",
    ),
    "an exception in a destructor": (
        "class It:\n    def __del__(self): raise ValueError('planted')\nIt()\n",
        "an exception was ignored: ValueError: planted",
    ),
    "an uncaught exception": ("raise ValueError('planted')\n", "a traceback: ValueError: planted"),
    "a warning in the log of a library": (
        "import logging; logging.getLogger('httpcore').warning('planted')\n",
        "a warning of httpcore: planted",
    ),
    "a deprecated call of a library": (
        "import warnings; warnings.warn('planted', DeprecationWarning, stacklevel=1)\n",
        "DeprecationWarning: planted",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_a_process_leaves_behind_is_noted_wherever_its_output_goes(name: str) -> None:
    program, sign = PLANTED[name]
    subprocess.run(
        [sys.executable, "-c", START + program],
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    (found,) = watch.notes()
    assert sign in found


def test_children_of_children_are_watched_through_any_environment(tmp_path: Path) -> None:
    inner = START + PLANTED["an unclosed socket"][0]
    middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], env={{}})"
    process = Process([sys.executable, "-c", middle], tmp_path / "log")
    wait_until(lambda: not process.alive(), "it ends")
    (found,) = watch.notes()
    assert "unclosed <socket.socket" in found


def test_nothing_is_noted_of_a_sound_process_and_of_one_that_is_not_of_rotator() -> None:
    for program in (START, PLANTED["an unclosed socket"][0]):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert watch.notes() == []


OUTSIDE = {"tests/mutants/judge.py", "tests/proof/matrix.py", "tests/service/stopwatch.py"}
"""What runs tests or proofs itself and is started by no test, and what starts programs in a booted machine, which cannot be watched."""

OTHER_WAYS = re.compile(
    r"os\.(fork|exec[a-z]+|posix_spawn\w*|spawn[a-z]+)\(|pty\.(fork|spawn)\(|multiprocessing|os\.system\("
)


def test_no_test_starts_a_process_in_a_way_that_is_not_watched() -> None:
    files = {str(file.relative_to(ROOT)): file.read_text() for file in (ROOT / "tests").rglob("*.py")}
    others = {name for name, text in files.items() if OTHER_WAYS.search(text) and "watched(" not in text}
    assert others - {"tests/support/test_watch.py"} == OUTSIDE


def leaking_daemon() -> None:
    with Rig() as rig:
        rig.configure(FAST.format(every="30d", grace="3600s"), applications=[])
        rig.daemon(program=("-m", "tests.support.breakable", str(rig.directory)))
        (rig.directory / "leak").touch()
        wait_until((rig.directory / "leak.on").exists, "it leaves a socket open", timeout=60)


def test_a_daemon_that_leaves_a_socket_open_fails_the_test_that_has_a_rig() -> None:
    with pytest.raises(AssertionError, match="unclosed"):
        leaking_daemon()
