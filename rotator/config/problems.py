"""Collects the problems of a configuration file as sentences for the user.

No sentence repeats a value, because it may be a secret in the wrong place; the path shows where it
is.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from rotator.domain.secret import to_displayable
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.util.suggestions import closest_match

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

_BARE = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)

LONGEST_NAME = 100
"""Characters of a name that are repeated; a valid name has at most 64."""


_WRONG_TYPE = {
    "string_type": "is not text; write it in quotes",
    "int_type": "is not a whole number; write digits without quotes",
    "int_from_float": "is not a whole number; write digits without a point",
    "float_type": "is not a number; write digits without quotes",
    "bool_type": "is neither true nor false; write one of them, without quotes",
    "list_type": "is not a list; write it as [ … ]",
    "dict_type": "is not a table; write it as { option = … }",
    "model_type": "is not a table; write it as { option = … }",
    "model_attributes_type": "is not a table; write it as { option = … }",
}
"""pydantic's names for values of a wrong type, and their messages."""


_LIMITS = {
    "greater_than_equal": ("is too small; write {} or more", "ge"),
    "greater_than": ("is too small; write more than {}", "gt"),
    "less_than_equal": ("is too large; write {} or less", "le"),
}


def dotted(*parts: str) -> str:
    """The path of an option, such as ``applications.billing.grace``, with secret keys masked."""
    return ".".join(_displayed(to_displayable(part)) for part in parts)


def _displayed(name: str) -> str:
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return name if _BARE.fullmatch(name) else repr(name)


class Problems:
    """The problems of one file, in order of discovery, each once.

    ``only``: the applications to load; empty for all. A problem that concerns none of them is set
    aside. ``files``: whether the files that the configuration names are checked.
    """

    def __init__(self, file: str, *, files: bool = True) -> None:
        self.file = file
        self.files = files
        self.only: frozenset[str] = frozenset()
        self._concerned: frozenset[str] | None = None
        self._found: dict[ConfigurationProblem, None] = {}
        self._set_aside: dict[ConfigurationProblem, None] = {}
        self.left_out: frozenset[str] = frozenset()
        """The applications that a set-aside problem concerns."""

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def set_aside(self) -> tuple[ConfigurationProblem, ...]:
        """The problems that concern none of the applications to load."""
        return tuple(self._set_aside)

    @contextmanager
    def concerning(self, applications: Collection[str]) -> Iterator[None]:
        """Problems added in this context concern only these applications."""
        before, self._concerned = self._concerned, frozenset(applications)
        try:
            yield
        finally:
            self._concerned = before

    def add(self, path: str, message: str, *, private: bool = False) -> None:
        """Adds a problem, unless it is known."""
        problem = ConfigurationProblem(self.file, path, message, private)
        if self.only and self._concerned is not None and not self._concerned & self.only:
            self._set_aside.setdefault(problem)
            self.left_out |= self._concerned
        else:
            self._found.setdefault(problem)

    def stop(self) -> None:
        """Raises all problems, if there are any."""
        if self._found:
            raise ConfigurationError(list(self._found))

    def add_invalid(self, table: type[BaseModel], where: tuple[str, ...], errors: Iterable[ErrorDetails]) -> None:
        """Adds the problems that pydantic found in one table, as sentences of `rotator`."""
        for error in errors:
            location = tuple(str(part) for part in error["loc"])
            self.add(dotted(*where, *location), _sentence(table, location, error))


def _sentence(table: type[BaseModel], location: tuple[str, ...], error: ErrorDetails) -> str:
    kind = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"is missing: {_field(table, location)}"
    if kind == "extra_forbidden":
        return f"is not an option here; {closest_match(location[-1], _inner(table, location[:-1]).model_fields)}"
    if kind == "literal_error":
        return f"is not known; write {context['expected']}"
    if kind in _LIMITS:
        text, limit = _LIMITS[kind]
        return text.format(f"{context[limit]:g}")
    return _WRONG_TYPE.get(kind, "is not valid; see docs/configuration.md")


def _inner(table: type[BaseModel], location: tuple[str, ...]) -> type[BaseModel]:
    """The table at ``location`` within ``table``."""
    for name in location:
        annotation = table.model_fields[name].annotation
        table = next(kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "model_fields"))
    return table


def _field(table: type[BaseModel], location: tuple[str, ...]) -> str:
    field = _inner(table, location[:-1]).model_fields[location[-1]]
    text = (field.description or "").strip()
    return text[:1].lower() + text[1:]
