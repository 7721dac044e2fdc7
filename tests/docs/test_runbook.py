"""The runbook has a section for every reason, and says what the catalogue says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rotator.domain.reasons import REASONS, Reason
from rotator.observability.runbook import document

PAGE = Path("docs/runbook.md")


def test_the_runbook_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text() == document(), "python -m rotator.observability.runbook > docs/runbook.md"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_section_with_what_to_do_and_how_to_see_that_it_is_over(reason: Reason) -> None:
    info, section = REASONS[reason], PAGE.read_text().partition(f"\n## {reason}\n")[2].partition("\n## ")[0]
    assert all(text and text in section for text in (info.meaning, info.automatic, info.general_action[1:], info.over))


def test_no_kind_of_error_counts_as_two_reasons() -> None:
    kinds = [kind for info in REASONS.values() for kind in info.kinds]
    assert len(kinds) == len(set(kinds))
    assert not {reason.value for reason in Reason} & set(kinds)
