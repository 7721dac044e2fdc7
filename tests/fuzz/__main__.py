"""``python -m tests.fuzz --cases N --seed S``: so many cases, spread over all targets; exit code 1 with each case that broke."""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.run import TARGETS, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many cases  [100000]")
    parser.add_argument("--seed", type=int, default=1, help="where they are drawn from  [1]")
    parser.add_argument("--only", choices=sorted(TARGETS), help="one target only")
    parser.add_argument("--first", type=int, default=0, help="begin at this case, to repeat one  [0]")
    options = parser.parse_args()
    broken = run(options.cases, options.seed, only=options.only, first=options.first, tell=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
