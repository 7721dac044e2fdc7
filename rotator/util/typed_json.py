"""Builds frozen dataclasses from JSON by their annotations.

It reads what this program wrote: unknown fields are ignored, and values of another type are
rejected. A validation library would take longer to import than a whole command should take.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

Reader = Callable[[Any], Any]

_DURATION = (
    r"(?P<minus>-?)P(?:(?P<years>\d+)Y)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def from_json(kind: Any, value: Any) -> Any:
    """The value of that type which ``value`` describes. Raises ``ValueError`` without any part of
    it."""
    try:
        return _reader(kind)(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ValueError("the value is not of its type") from None


@lru_cache(None)
def _reader(kind: Any) -> Reader:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union_reader(arguments)
    if origin is tuple and arguments[1:] == (...,):
        return _sequence_reader(tuple, arguments[0])
    if origin in (list, Sequence, frozenset):
        return _sequence_reader(frozenset if origin is frozenset else list, arguments[0])
    if origin in (dict, Mapping):
        return _mapping_reader(arguments[1])
    if origin is typing.Literal:
        return lambda value: arguments[arguments.index(value)]
    raise NotImplementedError(f"no reader for {kind}")


def _dataclass_reader(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [(field.name, hints[field.name]) for field in dataclasses.fields(kind) if field.init]
    plain = len(fields) == len(dataclasses.fields(kind)) and not {"__post_init__", "__slots__"} & set(dir(kind))
    readers: list[tuple[str, Reader]] = []

    def read(value: Mapping[str, Any]) -> Any:
        if not readers:  # built at the first value, since a type may name itself
            readers[:] = [(name, _reader(hint)) for name, hint in fields]
        value = _of(dict)(value)
        values = {name: reader(value[name]) for name, reader in readers if name in value}
        if not plain or len(values) < len(readers):
            return kind(**values)
        made = object.__new__(kind)
        made.__dict__.update(values)  # as ``__init__`` of a frozen class does, one field at a time
        return made

    return read


def _union_reader(kinds: tuple[Any, ...]) -> Reader:
    others = [_reader(kind) for kind in kinds if kind is not types.NoneType]

    def read(value: Any) -> Any:
        if value is None and types.NoneType in kinds:
            return None
        for reader in others[:-1]:
            try:
                return reader(value)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                continue
        return others[-1](value)

    return read


def _sequence_reader(made: Callable[[Any], Any], kind: Any) -> Reader:
    reader = _reader(kind)
    return lambda values: made([reader(value) for value in _of(list)(values)])


def _mapping_reader(kind: Any) -> Reader:
    reader = _reader(kind)
    return lambda values: {_of(str)(name): reader(value) for name, value in _of(dict)(values).items()}


def _of(*kinds: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError("another type")
        return value

    return read


@lru_cache(1024)  # applications share most of their durations
def _duration(value: str) -> timedelta:
    match = re.fullmatch(_DURATION, value)
    if match is None:
        raise ValueError("not a duration")
    numbers = {
        name: float(text) if "." in text else int(text)
        for name, text in match.groupdict("0").items()
        if name != "minus"
    }
    days = 365 * numbers.pop("years") + numbers.pop("days")
    duration = timedelta(days=days, **numbers)
    return -duration if match["minus"] else duration


_SIMPLE: dict[Any, Reader] = {
    Any: lambda value: value,
    str: _of(str),
    bool: _of(bool),
    int: _of(int),
    float: lambda value: float(_of(int, float)(value)),
    datetime: datetime.fromisoformat,
    timedelta: _duration,
}
