"""``python -m tests.histories COUNT START [--focused | --fleet]`` tries so many histories from that seed on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.histories.fleet import FleetHistory
from tests.histories.history import History

KINDS = ("--focused", "--fleet")


def histories(count: int, start: int, kind: str) -> Iterator[History | FleetHistory]:
    for seed in range(start, start + count):
        yield FleetHistory(seed) if kind == "--fleet" else History(seed, focused=kind == "--focused")


def main() -> int:
    kind = next((argument for argument in sys.argv[1:] if argument in KINDS), "")
    numbers = [argument for argument in sys.argv[1:] if argument != kind]
    count, start = (int(argument) for argument in (numbers + ["1000", "1"][len(numbers) :]))
    failures: Counter[str] = Counter()
    for history in histories(count, start, kind):
        try:
            history.run()
        except BaseException as error:  # every kind of failure is a finding
            if isinstance(error, KeyboardInterrupt):
                raise
            text = str(error).splitlines()[0] if str(error) else repr(error)
            failures[f"{type(error).__name__} {text[:60]}"] += 1
            if failures[f"{type(error).__name__} {text[:60]}"] <= 1 and sum(failures.values()) <= 400:
                print(f"seed {history.seed}: {type(error).__name__} {text}", flush=True)  # noqa: T201  # a tool that people run
    print(f"{count} {kind.removeprefix('--')} histories from {start}: {sum(failures.values())} failed")  # noqa: T201  # a tool that people run
    for text, times in failures.most_common():
        print(f"  {times:5} {text}")  # noqa: T201  # a tool that people run
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
