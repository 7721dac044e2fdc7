"""Generates the runbook: for each reason its meaning, what rotator does, what to do, and how to see
its end.

``python -m rotator.observability.runbook > docs/runbook.md`` writes it; a test compares it with the
catalogue.
"""

from __future__ import annotations

from rotator.domain.reasons import REASONS, Reason, ReasonInfo, Source, phase_of

INTRODUCTION = """\
# Runbook

`rotator status` shows the problem of an application, `rotator status --check` names its reason, and
`application.blocked` in the log has the same reason. This page has one section for each. It is
generated from the code: `python -m rotator.observability.runbook > docs/runbook.md`.

APPLICATION, ACCOUNT, PATH and BEARER stand for the names of the application concerned, which the
message of the problem has.

The exit code is that of `run --once` and of commands: 3 passes with a service, 4 means that going
on would be unsafe, 1 that it failed.
"""

SEEN = {
    Source.SHARED: "by every process; the ledger records it",
    Source.CONFIGURATION: "by every process that reads this configuration and the ledger; it is not recorded",
    Source.OBSERVER: "by one process, which reports it; the ledger does not record it, and `status` learns it from the "
    "daemon",
    Source.ATTEMPT: "as the end of one rotation; the ledger counts the failure",
    Source.SERVICE: "by the call that failed; the ledger records it only where it ended a rotation",
}
"""Where a reason is seen, by its source."""


def document() -> str:
    """The whole page."""
    rows = [f"| [`{reason}`](#{reason}) | {phase_of(reason)} | {info.exit_code} |" for reason, info in REASONS.items()]
    table = "\n".join(["| reason | phase | exit code |", "| --- | --- | --- |", *rows])
    return "\n".join([INTRODUCTION, table, "", *(_section(reason, info) for reason, info in REASONS.items())])


def _section(reason: Reason, info: ReasonInfo) -> str:
    danger = " **Consumers may be without a key that works.**" if info.consumers_at_risk else ""
    kinds = (
        f" Kinds of errors that count as this: {', '.join(f'`{kind}`' for kind in info.kinds)}." if info.kinds else ""
    )
    action = info.general_action[:1].upper() + info.general_action[1:]
    return (
        f"## {reason}\n\n{info.meaning}{danger}{kinds}\n\n"
        f"- **rotator by itself:** {info.automatic}\n"
        f"- **What to do:** {action}.\n"
        f"- **It is over when:** {info.over}\n"
        f"- **Seen** {SEEN[info.source]}.\n"
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
