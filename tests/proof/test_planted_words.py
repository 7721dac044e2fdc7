"""Each planted bug still finds the words that it changes; the hunts for them take minutes, and this one a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import rotator
from tests.proof.planted import BUGS, Bug


@pytest.mark.parametrize("planted", BUGS, ids=lambda planted: planted.name)
def test_a_planted_bug_changes_the_program_as_it_is(planted: Bug, tmp_path: Path) -> None:
    source = Path(rotator.__file__).parent / planted.file
    copy = tmp_path / "rotator" / planted.file
    copy.parent.mkdir(parents=True)
    shutil.copy(source, copy)
    planted.plant(tmp_path)
    compile(copy.read_text(), str(copy), "exec")
    assert copy.read_text() != source.read_text()
