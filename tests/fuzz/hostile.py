"""Hostile values, drawn from a seed: wrong types, impossible dates and numbers, text that a terminal obeys, JSON that readers
disagree about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

SECRET = "f00dcafe-5ec2-4e75-8ecc-0123456789ab"
"""Stands wherever a secret can stand. It must come out nowhere."""

NUMBERS = [
    *("0", "-0", "-1", "1", "2", "1.5", "-0.0", "1e3", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1e-400"),
    *(
        "9007199254740993",
        "9223372036854775808",
        "-9223372036854775809",
        "1" + "0" * 30,
        "-1" + "0" * 30,
        "1" + "0" * 400,
    ),
    *("9" * 4299, "9" * 4301, "9" * 10_000, "0.1e1", "1" + "0" * 18, "253402300800", "-62135596801"),
]
TIMES = [
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-14:00"),
    *(
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T25:61:61Z",
        "2026-01-01",
        "1969-12-31T23:59:60Z",
    ),
    *(
        "0000-00-00T00:00:00Z",
        "2026-01-01T00:00:00.123456789Z",
        "+999999-01-01T00:00:00Z",
        "2026-W01-1",
        "now",
        "2026-01-01T00:00:00+99:99",
    ),
]
LETTERS = [
    *(
        "\x00",
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\r",
        "\n",
        "\t",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\udfff",
    ),
    *(
        '"',
        "'",
        "\\",
        "/",
        "..",
        "%00",
        "%",
        "{",
        "}",
        "#",
        "*",
        " ",
        "\u00a0",
        "\U0001f511",
        "e\u0301",
        "a" * 300,
        "\uffff",
        "<",
        "&",
        ";",
    ),
]
WORDS = [
    *(
        "",
        " ",
        "abc",
        "null",
        "true",
        "-",
        "--",
        "0",
        "1",
        "SCW",
        "SCWAAAAAAAAAAAAAAAAA",
        "SCW" + "A" * 10_000,
        "billing",
        "acme",
    ),
    *(
        "secret/apps/billing",
        "../../etc/passwd",
        "file:/etc/shadow",
        "__class__",
        "{0.__class__}",
        "%s%n",
        "rotator:v2:1:2:3:4:5",
        SECRET,
    ),
]
HUGE = [
    '"' + "x" * 100_000 + '"',
    "[" * 5000 + "]" * 5000,
    '{"a":' * 3000 + "1" + "}" * 3000,
    '"' + "\\u001b" * 20_000 + '"',
    "[" + "0," * 50_000 + "0]",
]


def string(rng: Random) -> str:
    """A text for where a text belongs."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(TIMES)
    if kind < 3:
        return rng.choice(WORDS)
    if kind == 3:
        return rng.choice(NUMBERS)
    return "".join(rng.choice(LETTERS if rng.random() < 0.6 else WORDS) for _ in range(rng.randint(1, 6)))


def value(rng: Random, depth: int = 0) -> str:
    """A value as JSON text, or what claims to be one."""
    kind = rng.randrange(100)
    if kind == 0 and depth == 0:
        return rng.choice(HUGE)
    if kind < 12:
        return rng.choice(("null", "true", "false", "[]", "{}", '""', "[null]", '{"": null}'))
    if kind < 35:
        return rng.choice(NUMBERS)
    if kind < 50:
        return json.dumps(rng.choice(TIMES))
    if kind < 90 or depth > 2:
        return json.dumps(string(rng), ensure_ascii=rng.random() < 0.7)
    items = [value(rng, depth + 1) for _ in range(rng.randint(1, 3))]
    if kind < 95:
        return "[" + ", ".join(items) + "]"
    names = [json.dumps(string(rng)) for _ in items]
    names[-1] = names[0] if rng.random() < 0.3 else names[-1]
    return "{" + ", ".join(f"{name}: {item}" for name, item in zip(names, items, strict=True)) + "}"


def plain(rng: Random) -> Any:
    """A value as Python has it once it is read."""
    while True:
        try:
            return json.loads(value(rng))
        except (ValueError, RecursionError):
            continue


def places(sound: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a value, to itself first."""
    yield here
    items = sound.items() if isinstance(sound, dict) else enumerate(sound) if isinstance(sound, list) else ()
    for name, inner in items:
        yield from places(inner, (*here, name))


def mutated(rng: Random, sound: Any, ways: list[tuple[Any, ...]]) -> str:
    """The JSON of a sound value with one to three of its parts replaced, removed, doubled or joined by a strange one."""
    marks: dict[str, str] = {}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        sound = _changed(rng, sound, rng.choice(ways), marks)
    text = json.dumps(sound)
    for mark, hostile in marks.items():
        text = text.replace(json.dumps(mark), hostile)
    return text


def _changed(rng: Random, sound: Any, way: tuple[Any, ...], marks: dict[str, str]) -> Any:
    if way:
        name, *rest = way
        holds = (isinstance(sound, dict) and name in sound) or (
            isinstance(sound, list) and isinstance(name, int) and name < len(sound)
        )
        if not holds:
            return sound
        copy = dict(sound) if isinstance(sound, dict) else list(sound)
        copy[name] = _changed(rng, sound[name], tuple(rest), marks)
        return copy
    mark = f"\x01{len(marks)}"
    kind = rng.random()
    if isinstance(sound, dict) and sound and kind < 0.25:
        copy, name = dict(sound), rng.choice(list(sound))
        if kind < 0.1:
            del copy[name]
        elif kind < 0.18:
            copy[string(rng)] = copy.pop(name)
        else:
            marks[mark] = value(rng)
            copy[string(rng)] = mark
        return copy
    if isinstance(sound, list) and kind < 0.25:
        return [*sound, *sound] if kind < 0.12 else []
    marks[mark] = value(rng)
    return mark
