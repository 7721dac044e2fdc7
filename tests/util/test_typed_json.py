"""A value that pydantic wrote as JSON is read back without pydantic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rotator.domain.ledger import RotationMode
from rotator.operations.registry import OPERATIONS
from rotator.util.typed_json import from_json


@dataclass(frozen=True)
class Everything:
    at: datetime
    span: timedelta
    mode: RotationMode
    word: Literal["a", "b"]
    numbers: tuple[int, ...]
    shares: frozenset[int]
    ratio: float
    names: Mapping[str, str]
    times: Mapping[str, datetime]
    anything: Any
    perhaps: tuple[int, ...] | None = None
    inner: Everything | None = None


TIMES = st.datetimes(timezones=st.just(UTC))
VALUES = st.builds(
    Everything,
    at=TIMES,
    span=st.timedeltas(min_value=timedelta(days=-36_500), max_value=timedelta(days=36_500)),
    mode=st.sampled_from(RotationMode),
    word=st.sampled_from(["a", "b"]),
    numbers=st.lists(st.integers(), max_size=3).map(tuple),
    shares=st.frozensets(st.integers(), max_size=3),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    names=st.dictionaries(st.text(), st.text(), max_size=3),
    times=st.dictionaries(st.text(), TIMES, max_size=3),
    anything=st.none() | st.integers() | st.text(),
    perhaps=st.none() | st.lists(st.integers(), max_size=2).map(tuple),
)


@given(VALUES, st.none() | VALUES)
def test_a_value_survives_the_way_through_json(value: Everything, inner: Everything | None) -> None:
    value = Everything(**{**vars(value), "inner": inner})
    text = json.dumps(TypeAdapter(Everything).dump_python(value, mode="json"))
    assert from_json(Everything, json.loads(text)) == value


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_result_of_every_operation_has_a_reader(name: str) -> None:
    """A result of another shape is refused; a type that no reader knows would raise ``NotImplementedError``."""
    with pytest.raises(ValueError, match="not of its type"):
        from_json(OPERATIONS[name].gives, "no object")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, "1"),
        (int, True),
        (str, 1),
        (datetime, "yesterday"),
        (timedelta, "P1W"),
        (tuple[int, ...], "12"),
        (RotationMode, "no mode"),
        (Literal["a"], "b"),
        (Everything, {}),
        (Everything | None, []),
        (Mapping[str, int], []),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_quoted(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^the value is not of its type$"):
        from_json(kind, value)
