"""``python -m rotator`` is ``rotator``."""

from __future__ import annotations

from rotator.cli import main

if __name__ == "__main__":
    main()
