"""``python -m tests.proof``: see ``tests.proof.prove``, which its processes can import."""

from __future__ import annotations

import sys

from tests.proof.prove import main

if __name__ == "__main__":
    sys.exit(main())
