"""Generates ``docs/events.md`` from the catalogue."""

from __future__ import annotations

from rotator.observability.events import CATALOGUE


def events_markdown() -> str:
    """The text of ``docs/events.md``; ``python -m rotator.observability.events_page`` prints it."""
    lines = [
        "# Events",
        "",
        (
            "<!-- Made from rotator/observability/events.py by: python -m rotator.observability.events_page > "
            "docs/events.md -->"
        ),
        "",
        (
            "Every line that `rotator run` logs is one of these events. Names and fields are stable, so alerts can be "
            "built on them; new"
        ),
        (
            "ones may come. Every line also has `event`, `level` and `timestamp` (RFC 3339, UTC); lines about one "
            "application have"
        ),
        "`application` and `account`. No line ever holds a secret; `access_key` is the public name of a key.",
        "",
        "Alert on level `critical`, and on level `error` if it persists.",
        "",
        "| event | level | meaning | fields |",
        "| --- | --- | --- | --- |",
    ]
    for name, kind in CATALOGUE.items():
        fields = ", ".join(f"`{field}`" for field in kind.fields) or "—"
        lines.append(f"| `{name}` | {kind.level} | {kind.meaning} | {fields} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(events_markdown())
