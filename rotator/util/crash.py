"""The logs: one event per line on standard output, and a promise that no fault of theirs disturbs the work.

JSON lines for machines, a readable form for terminals, and entries of the journal of systemd, made from the same lines. Names
and levels are those of ``rotator.observability.events``. A secret is a type that shows as ``[secret]``; whatever still slips through is looked
for in the finished line. A line that cannot be written is lost and counted, and the count is told as soon as lines can be
written again.
"""

from __future__ import annotations


def crash_site(error: BaseException) -> tuple[str, str]:
    """The type of an exception and the place in the code that it came from. Never its text, which may hold anything."""
    place, trace = "?", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        package = trace.tb_frame.f_globals.get("__name__", "?")
        if package.partition(".")[0] == "rotator" or place == "?":
            place = f"{package}:{trace.tb_lineno} in {code.co_qualname}"
        trace = trace.tb_next
    return type(error).__name__, place
