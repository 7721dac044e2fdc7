"""What no process of the suite may say: exceptions that nobody retrieved, unclosed resources, warnings of libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

SIGNS = re.compile(
    r"Traceback \(most recent call last\)|was never (retrieved|awaited)|ResourceWarning|Exception ignored in|Fatal Python error"
)


def complaints(lines: Iterable[str]) -> list[str]:
    """The lines of a process's output that tell of such a thing."""
    return [line for line in lines if SIGNS.search(line) or _is_library_warning(line)]


def _is_library_warning(line: str) -> bool:
    if '"library.warning"' not in line:
        return False
    try:
        event = json.loads(line)
    except ValueError:
        return False  # cut by a kill
    return bool(event.get("event") == "library.warning")
