"""The stand-in as a process of its own: ``python -m rotator.sandbox.scaleway --port 0``.

It prints one line of JSON when it listens (``url``, ``organization_id`` and the management key) and
runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading

from rotator.sandbox.scaleway.server import ScalewaySandbox
from rotator.sandbox.scaleway.settings import REAL_LATENCY


def main() -> None:
    """Serve until asked to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m rotator.sandbox.scaleway", description="A stand-in of Scaleway's IAM API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--seed", type=int, help="makes names, secrets and chance the same in every run")
    parser.add_argument("--real-latency", action="store_true", help="take as long as the real service was seen to take")
    chosen = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = REAL_LATENCY if chosen.real_latency else {}
    with ScalewaySandbox(host=chosen.host, port=chosen.port, seed=chosen.seed, **settings) as sandbox:
        about = {
            "url": sandbox.url,
            "organization_id": sandbox.organization_id,
            "management_application_id": sandbox.management_application_id,
            "management_access_key": sandbox.management_access_key,
            "management_secret": sandbox.management_secret,
        }
        print(json.dumps(about), flush=True)  # noqa: T201 - this line is the interface
        stop.wait()


if __name__ == "__main__":
    main()
