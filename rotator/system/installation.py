"""The parts of this installation: its documents, and optional libraries.

The requirements of an optional part come from the package's metadata. The name ``rotator`` on the
public index belongs to another project, so no advice installs by that name.
"""

from __future__ import annotations

import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

SITE = Path(__file__).resolve().parents[2]
"""The directory of the package ``rotator``: a checkout, or where the libraries are installed."""


def requirements(extra: str) -> list[str]:
    """The requirements of the optional part, such as ``httptools>=0.6``; empty without installed
    metadata."""
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        stated = requires("rotator") or []
    except PackageNotFoundError:
        return []
    parts = (text.partition(";") for text in stated)
    return [
        needed.strip()
        for needed, _, marker in parts
        if re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", marker)
    ]


def advice(extra: str, command: str) -> str:
    """The shell commands that add the optional part to this installation and then run ``rotator``
    with ``command``.

    An installation without pip, like the Debian package, is not changed: an environment beside it
    uses its libraries.
    """
    wanted = " ".join(shlex.quote(needed) for needed in requirements(extra)) or f"the extra {extra!r} of pyproject.toml"
    if find_spec("pip"):
        return f"{shlex.quote(sys.executable)} -m pip install {wanted}"
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    place = f'"$HOME"/rotator-{extra}'
    return " && ".join(
        [
            f"{python} -m venv {place}",
            f"{place}/bin/pip install {wanted}",
            f"echo {shlex.quote(str(SITE))} > {place}/lib/{python}/site-packages/rotator.pth",
            f"{place}/bin/python -m rotator {command}",
        ]
    )


def documents() -> Path | None:
    """The directory with the documents and examples of this installation."""
    for place in (SITE, Path(sys.prefix) / "share/doc/rotator"):
        if (place / "docs/configuration.md").is_file():
            return place
    return None
