"""Leaves a module out that a library would import only because it is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Inside, an import of this module fails, unless it was imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # marks the module as absent
    try:
        yield
    finally:
        del sys.modules[name]
