"""The tasks of applications that have a ledger and are not in the configuration, until their last
key is revoked."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.decision.ownership import REMOVED_CLAIM_TIMEOUT, owner_of
from rotator.domain.ports import EventSink
from rotator.domain.spec import ApplicationSpec


class RemovedApplications:
    """Decides which removed applications get a task, and reports those whose account left the
    configuration too, once each."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._stuck: set[str] = set()

    def tasks(
        self, found: Mapping[str, ApplicationSpec], known: Container[str], runtime: DaemonRuntime, now: datetime
    ) -> list[ApplicationTask]:
        """A parked task for each that has none yet and whose account the runtime has."""
        return [
            ApplicationTask(spec, runtime, started=now, due=now, parked=True)
            for name, spec in found.items()
            if name not in known and name not in runtime.specs and spec.account in runtime.accounts
        ]

    def report_stuck(self, specs: Iterable[ApplicationSpec], runtime: DaemonRuntime) -> None:
        """Report those of an account that the runtime does not have, unless another application
        owns their keys."""
        for spec in specs:
            if spec.account in runtime.accounts or spec.owner or spec.application in self._stuck:
                continue
            self._stuck.add(spec.application)
            message = (
                f"its account {spec.account} left the configuration too: put that back, so that old keys can be "
                "revoked on time"
            )
            self._sink.emit(
                "daemon.removed_application_stuck", application=spec.application, account=spec.account, message=message
            )


def remove_from_configuration(task: ApplicationTask, runtime: DaemonRuntime) -> None:
    """Go on with a task whose application this runtime does not have: it only revokes, from its
    next pass on."""
    owner = owner_of(task.spec.bearer, task.spec.path, runtime.specs.values())
    spec = replace(task.spec, configured=False, owner=owner, stale_claim_timeout=REMOVED_CLAIM_TIMEOUT)
    # Where the account left too, the old connection goes on until the last key is revoked or the
    # daemon ends.
    task.pending_runtime = (spec, runtime if spec.account in runtime.accounts else task.runtime)
    task.switch_runtime()
