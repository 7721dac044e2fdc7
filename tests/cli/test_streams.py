"""C7: reporting never stands in the path of acting. Real processes whose streams are closed, full or broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ACT = """
import pathlib, sys
from rotator.cli.streams import protect
if "protected" in sys.argv: protect()
print("report " * 20_000, flush=True)
print("report " * 20_000, file=sys.stderr, flush=True)
sys.stdin.isatty(), sys.stderr.isatty()
with open(sys.argv[1], "w") as found:
    assert found.fileno() > 2, "a closed stream gave its descriptor away"
    found.write("acted")
"""
STREAMS = [">&-", ">/dev/full", "| true", "2>&-", "2>/dev/full", "2>&1 >/dev/null | true", "<&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("streams", STREAMS)
def test_c7_a_process_acts_whatever_becomes_of_its_report(tmp_path: Path, streams: str) -> None:
    code, deed = tmp_path / "code", tmp_path / "deed"
    line = f'{{ "${{@:2}}"; echo $? > "$1"; }} {streams}'
    words = [sys.executable, "-c", ACT, str(deed), "protected"]
    subprocess.run(["/bin/bash", "-c", line, "bash", str(code), *words], check=True, timeout=60, capture_output=True)
    assert (code.read_text().strip(), deed.read_text()) == ("0", "acted")
