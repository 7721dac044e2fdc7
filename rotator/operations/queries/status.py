"""Reports the state of applications from their ledgers, for ``rotator status``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from rotator.decision.status import status_of, unreadable_status
from rotator.domain.ledger import Problem
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import ApplicationStatus, StatusReport
from rotator.errors import LedgerUnreadable, RotatorError, ServiceError, Unavailable
from rotator.operations.daemon_handle import ObservedLedger
from rotator.operations.failures import explain
from rotator.operations.ledgers import is_renamed, read_whole_ledger
from rotator.operations.runtime import Runtime, select_applications
from rotator.util.concurrency import run_concurrently

MAX_READ = 500
"""Ledgers that one status reads from Vault although a pass has seen them. Each costs about a
millisecond of a core here and another one there."""


def status_report(
    runtime: Runtime,
    names: Sequence[str],
    now: datetime,
    observed: Mapping[str, Problem] | None = None,
    *,
    observed_ledgers: Callable[[], Mapping[str, ObservedLedger]] = dict,
) -> StatusReport:
    """Reports these applications; without names, all configured and removed ones. ``observed``: the
    problems that the daemon's last passes saw; ``observed_ledgers``: the ledgers that they read,
    which are used for more than ``MAX_READ`` applications. Raises ``Unavailable`` if Vault is."""
    seen = observed or {}
    specs, remarks, worst = select_applications(runtime, names), list[str](), 0
    if not names:
        removed_applications, worst, remarks = _removed_applications(runtime)
        specs += removed_applications
    remembered = observed_ledgers() if len(specs) > MAX_READ else {}

    def look(spec: ApplicationSpec) -> ApplicationStatus:
        known, problem = remembered.get(spec.application), seen.get(spec.application)
        return status_of(spec, known.ledger, now, problem) if known else _look(runtime, spec, now, problem)

    views: list[ApplicationStatus] = []
    unread = [spec for spec in specs if spec.application not in remembered]
    read = iter(run_concurrently(look, unread))
    for spec in specs:
        found = look(spec) if spec.application in remembered else next(read)
        if isinstance(found, ApplicationStatus):
            views.append(found)
            continue
        if isinstance(found, Unavailable) or not isinstance(found, RotatorError):
            raise found
        failure = explain(found)
        # A damaged ledger is part of the report; a missing right is a failure of the query.
        worst = max(worst, 0 if isinstance(found, LedgerUnreadable) else failure.exit_code)
        views.append(unreadable_status(spec, failure.kind, str(found), now))
    return StatusReport(
        tuple(views), tuple(remarks), worst, now, min((one.at for one in remembered.values()), default=None)
    )


class _Remarks:
    """An event sink that keeps messages about ledgers of removed applications."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def emit(self, event: str, **fields: object) -> None:
        """Keeps the message of a ledger that cannot be read."""
        if event == "daemon.removed_application_stuck":
            self.sentences.append(
                f"{fields.get('application')}, which left the configuration, is not shown: {fields.get('message')}"
            )


def _removed_applications(runtime: Runtime) -> tuple[list[ApplicationSpec], int, list[str]]:
    """The removed applications, an exit code, and remarks. A failure to list them becomes a
    remark."""
    remarks = _Remarks()
    try:
        removed = runtime.removed_applications(remarks).values()
        return [spec for spec in removed if not is_renamed(spec, runtime.specs)], 0, remarks.sentences
    except Unavailable:
        raise
    except ServiceError as error:
        remarks.sentences.append(f"applications that left the configuration are not shown: {error}")
        return [], error.exit_code, remarks.sentences


def _look(runtime: Runtime, spec: ApplicationSpec, now: datetime, observed: Problem | None) -> ApplicationStatus:
    ledger = (
        read_whole_ledger(spec, runtime.context(spec))
        if spec.configured
        else runtime.vault.read_ledger(spec.application)[0]
    )
    return status_of(spec, ledger, now, observed)
