"""Times from outside, at the places where they are parsed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotator.cli.times import parse_time_argument
from rotator.decision.transitions.grace import extend_grace
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import Ledger, RetiringKey
from rotator.util.instants import EARLIEST, LATEST, clamp, is_in_range
from rotator.vault.codec import dump_ledger, load_ledger
from rotator.vault.decoding import parse_time
from tests.support.simulated import spec

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
ODD = [datetime.min, datetime(1969, 12, 31), datetime(9000, 1, 2), datetime.max]  # noqa: DTZ001, DTZ901  # zones follow


@pytest.mark.parametrize("moment", ODD)
@pytest.mark.parametrize("hours", [-14, 0, 14])
def test_c18_every_time_can_be_brought_within_bounds_and_a_century_added_to_it(moment: datetime, hours: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert not is_in_range(aware)
    found = clamp(aware)
    assert found in (EARLIEST, LATEST)
    assert found.tzinfo is UTC
    century = timedelta(days=36500)
    assert found - century < found < found + century
    assert clamp(NOW) == NOW


@pytest.mark.parametrize(
    ("text", "bound"), [("0001-01-01T00:00:00+14:00", EARLIEST), ("9999-12-31T23:59:59-14:00", LATEST)]
)
def test_c18_a_time_beyond_all_bounds_from_vault_or_a_person_is_the_nearest_bound(text: str, bound: datetime) -> None:
    assert parse_time(text) == bound
    assert parse_time_argument(text, NOW) == bound


def test_c18_no_extension_makes_a_ledger_that_could_not_be_read_any_more() -> None:
    ledger: Ledger = new_ledger(spec())
    extended = Ledger(
        **{**vars(ledger), "retiring": (RetiringKey("SCWOLD", 1, LATEST - timedelta(days=1), "replaced"),)}
    )
    for _ in range(3):
        extended = extend_grace(extended, timedelta(days=366), "ann", NOW)
    assert load_ledger(dump_ledger(extended)) == extended
