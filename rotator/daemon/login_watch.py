"""Reports at once when the login to Vault fails while its token is still valid, and until when work
goes on."""

from __future__ import annotations

from datetime import datetime

from rotator.daemon.services import VAULT
from rotator.domain.login import LoginProblem
from rotator.domain.ports import EventSink
from rotator.util.formatting import format_time


class LoginWatch:
    """Emits one event when the problem begins and one when it ends; ``remark`` is for the status
    line meanwhile."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self.remark = ""

    def look(self, problem: LoginProblem | None, now: datetime) -> None:
        """Compare with what was reported last."""
        if problem is None and self.remark:
            self.remark = ""
            self._sink.emit("login.recovered", service=VAULT)
        elif problem is not None and not self.remark:
            until = now + problem.left
            self.remark = f"the login to Vault fails, work stops at {format_time(until)}"
            self._sink.emit("login.failing", service=VAULT, message=problem.message, until=until)
