"""``python -m tests.histories COUNT START [--focused]`` tries so many histories from that seed on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.histories.history import History


def histories(count: int, start: int, *, focused: bool) -> Iterator[History]:
    for seed in range(start, start + count):
        yield History(seed, focused=focused)


def main() -> int:
    numbers = [argument for argument in sys.argv[1:] if argument != "--focused"]
    count, start = (int(argument) for argument in (numbers + ["1000", "1"][len(numbers) :]))
    focused = "--focused" in sys.argv
    failures: Counter[str] = Counter()
    for history in histories(count, start, focused=focused):
        try:
            history.run()
        except BaseException as error:  # every kind of failure is a finding
            if isinstance(error, KeyboardInterrupt):
                raise
            text = str(error).splitlines()[0] if str(error) else repr(error)
            failures[f"{type(error).__name__} {text[:60]}"] += 1
            if failures[f"{type(error).__name__} {text[:60]}"] <= 1 and sum(failures.values()) <= 400:
                print(f"seed {history.seed}: {type(error).__name__} {text}", flush=True)  # noqa: T201  # a tool that people run
    print(f"{count}{' focused' * focused} histories from {start}: {sum(failures.values())} failed")  # noqa: T201  # a tool that people run
    for text, times in failures.most_common():
        print(f"  {times:5} {text}")  # noqa: T201  # a tool that people run
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
