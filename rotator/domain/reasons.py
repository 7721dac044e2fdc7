"""Every reason why work on an application stops, with its meaning and the action.

This is the only source: the exit code, the phase, whether the ledger records it, the end of the
message, the label of the metric and the section of docs/runbook.md come from here. ``python -m
rotator.observability.runbook`` prints that document.
"""

from __future__ import annotations

from collections.abc import Mapping

from rotator.domain.block_reasons import BLOCKS
from rotator.domain.failure_reasons import FAILURES
from rotator.domain.reason_info import Reason, ReasonInfo, Source

__all__ = [
    "FORMER_NAMES",
    "REASONS",
    "Reason",
    "ReasonInfo",
    "Source",
    "action_for",
    "exit_code_of",
    "phase_of",
    "reason_of",
]

REASONS: Mapping[Reason, ReasonInfo] = {**BLOCKS, **FAILURES}
"""Every reason. The keys are all members of ``Reason``."""

FORMER_NAMES: Mapping[str, Reason] = {
    "clocks_differ": Reason.CLOCK_SKEW,
    "many_dead": Reason.MANY_KEYS_INVALID,
    "never_alive": Reason.VERIFICATION_FAILED,
    "restored": Reason.DOCUMENT_RESTORED,
    "secret_refused": Reason.SECRET_REJECTED,
    "services_away": Reason.DEPENDENCIES_UNAVAILABLE,
    "still_alive": Reason.REVOCATION_UNVERIFIED,
    "two_possible_leftovers": Reason.ORPHAN_AMBIGUOUS,
    "untouchable": Reason.NOT_REVOCABLE,
    "vault_away": Reason.VAULT_UNAVAILABLE,
    "vault_denies": Reason.VAULT_PERMISSION_MISSING,
}
"""Names of reasons in ledgers up to schema 3; they are read under the present name."""

_BY_NAME: Mapping[str, Reason] = {
    **{kind: reason for reason, info in REASONS.items() for kind in info.kinds},
    **{reason.value: reason for reason in Reason},
}


def reason_of(name: str) -> Reason | None:
    """The reason of that name or kind of service error. None for a kind that only a plugin uses."""
    return _BY_NAME.get(name)


def exit_code_of(name: str) -> int:
    """The exit code for the reason, or kind of service error, of that name: 3 a service is
    unavailable, 4 it would be unsafe, 1 it failed."""
    reason = reason_of(name)
    return REASONS[reason].exit_code if reason else 1


def phase_of(name: str) -> str:
    """The phase of an application that the reason, or kind of service error, of that name stops."""
    reason = reason_of(name)
    if reason in (Reason.LEDGER_UNREADABLE, Reason.HELD):
        return "unreadable" if reason is Reason.LEDGER_UNREADABLE else "held"
    return "failing" if reason is None or REASONS[reason].source in (Source.ATTEMPT, Source.SERVICE) else "blocked"


def action_for(name: str, *, application: str, account: str, path: str, bearer: str) -> str:
    """The action for the reason of that name; empty if it is unknown."""
    reason = reason_of(name)
    if reason is None:
        return ""
    return REASONS[reason].action.format(application=application, account=account, path=path, bearer=bearer)
