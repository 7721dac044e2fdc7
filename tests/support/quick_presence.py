"""The program with presences that are renewed every two seconds: ``python -m tests.support.quick_presence run --config …``. Nothing
else of it is changed."""

from __future__ import annotations

from datetime import timedelta

from rotator.cli.main import root
from rotator.daemon import look_shares, presence, presence_keeper

EXPIRY = timedelta(seconds=6)

if __name__ == "__main__":
    for module in (presence, look_shares):
        vars(module)["EXPIRY"] = EXPIRY
    presence_keeper.RENEWAL_INTERVAL = EXPIRY / 3
    root()
