"""Names the place in the code that raised an exception."""

from __future__ import annotations


def crash_site(error: BaseException) -> tuple[str, str]:
    """The type of an exception and the place that raised it. Never its text, which may contain
    anything."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        package = trace.tb_frame.f_globals.get("__name__", "?")
        if package.partition(".")[0] == "rotator" or not place:
            place = f"{package}:{trace.tb_lineno} in {code.co_qualname}"
        trace = trace.tb_next
    return type(error).__name__, place or "an unknown place"
