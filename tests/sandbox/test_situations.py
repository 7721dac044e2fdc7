"""The page of situations is run word for word on one sandbox: each command, its exit code, and the lines that the page shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "situations.md"

QUERIES = re.compile(
    r"(?:sudo )?(?:rotator (?:status|lookup|history|incident list|doctor|plan|sandbox status)|systemctl is-active)\b"
)
"""Commands that change nothing: they are repeated until they show what the page shows."""

PATIENCE = 20.0


class Step(NamedTuple):
    """A command of the page, how it ends, and the lines that it shows among others."""

    line: str
    exit_code: int
    shown: tuple[str, ...]


def steps(text: str) -> list[Step]:
    """The commands of a page in order."""
    found: list[Step] = []
    for indent, block in re.findall(r"^( *)```console\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(rf"^{indent}", "", block, flags=re.MULTILINE).splitlines():
            if line.startswith("$ "):
                command, _, code = line[2:].partition("  # exit code ")
                found.append(Step(command, int(code or 0), ()))
            else:
                found[-1] = found[-1]._replace(shown=(*found[-1].shown, line))
    return found


LEAKED, OTHER = "SCWXXXXXXXXXXXXXXXXX", "SCWYYYYYYYYYYYYYYYYY"
"""What the page writes for the key that leaked, and for a key that an answer names."""


def differs(step: Step, code: int, output: str, keys: dict[str, str]) -> str:
    """What the command did otherwise than the page says; empty when nothing. The key that an answer names is kept in ``keys``."""
    if code != step.exit_code:
        return f"exit code {code} instead of {step.exit_code}"
    rest = output.splitlines()
    for line in step.shown:
        parts = line.replace(LEAKED, keys[LEAKED]).split("…")
        text = ".*".join(re.sub(r"(?:\\ )+", r"\\s+", re.escape(part)) for part in parts)
        pattern = re.compile(text.replace(OTHER, "(SCW[A-Z0-9]{17})"))
        found = next(((number, match) for number, seen in enumerate(rest) if (match := pattern.fullmatch(seen))), None)
        if found is None:
            return f"no line fits: {line}"
        rest = rest[found[0] + 1 :]
        keys[OTHER] = next(iter(found[1].groups()), keys[OTHER])
    return ""


class Shell:
    """One shell for the whole page, as a person has it."""

    def __init__(self, home: Path) -> None:
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": programs, "HOME": str(home), "LANG": "C.UTF-8"},
            cwd=home,
        )

    def type(self, line: str) -> tuple[int, str]:
        """The exit code and the output of a command."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{line}\necho END-OF-COMMAND $?\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for text in self._bash.stdout:
            before, end, code = text.rpartition("END-OF-COMMAND ")
            if end:
                return int(code), "".join([*lines, before])
            lines.append(text)
        raise AssertionError(f"the shell ended at: {line}")

    def leaked(self) -> str:
        """The key that leaked, as the sandbox tells it."""
        code, answer = self.type("rotator sandbox status --json")
        return str(json.loads(answer)["leaked"]["access_key"]) if code == 0 else ""

    def close(self) -> None:
        self.type("rotator sandbox stop")
        self._bash.communicate("exit\n", timeout=10)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """In a home directory with a short name: the path of a socket has at most 107 bytes."""
    pytest.importorskip("uvicorn", reason="the stand-in is made with it: the extra sandbox")
    with TemporaryDirectory(prefix="home-") as home:
        found = Shell(Path(home))
        yield found
        found.close()


def test_every_situation_is_practised_word_for_word(shell: Shell) -> None:
    text = PAGE.read_text()
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == 9
    keys = {LEAKED: "", OTHER: ""}
    for step in steps(text):
        line = step.line.replace(LEAKED, keys[LEAKED]).replace(OTHER, keys[OTHER])
        until = time.monotonic() + PATIENCE
        while True:
            code, output = shell.type(line)
            if re.fullmatch(r"rotator sandbox break (?:\w+-)?key", line):
                keys[LEAKED] = shell.leaked()
            wrong = differs(step, code, output, keys)
            if not (wrong and QUERIES.match(line)) or time.monotonic() > until:
                break
            time.sleep(0.2)
        assert not wrong, f"$ {line}\n{output}\n{wrong}"
    assert text.index("sandbox stop") > text.rindex("## ")
