"""What our token may do is asked for many paths by one, and not by everybody at once: a busy Vault is not asked 16 times for 300."""

from __future__ import annotations

import threading
from typing import Any

from rotator.vault.capabilities import NEEDED, Capabilities
from rotator.vault.responses import Reply


class Mounts:
    def split(self, path: str) -> tuple[str, str]:
        mount, _, inside = path.partition("/")
        return mount, inside

    def known(self, path: str) -> bool:
        return True


class Vault:
    """Answers the first question only when it is let go on."""

    generation = 1

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.arrived, self.go_on = threading.Event(), threading.Event()

    def capabilities(self, paths: list[str]) -> Reply:
        self.asked.append(len(paths))
        if len(self.asked) == 1:
            self.arrived.set()
            assert self.go_on.wait(30)
        granted: dict[str, Any] = {path: list(NEEDED) for path in paths}
        return Reply(200, body={"data": granted})


def test_while_one_asks_for_all_another_asks_for_its_own_path_only() -> None:
    vault = Vault()
    rights = Capabilities(vault, Mounts())  # type: ignore[arg-type]  # as much of them as is used
    rights.watch([f"secret/apps/{number}" for number in range(50)])
    first = threading.Thread(target=rights.missing, args=("secret/apps/0",))
    first.start()
    assert vault.arrived.wait(30)
    assert rights.missing("secret/apps/1") == ()
    vault.go_on.set()
    first.join(30)
    assert vault.asked == [50, 1]
    assert rights.missing("secret/apps/40") == ()
    assert vault.asked == [50, 1], "what the first has learnt is known to all"
