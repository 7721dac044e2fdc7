from __future__ import annotations

import asyncio
import logging

from tests.support.complaints import complaints

BAD = [
    '{"event": "library.warning", "library": "asyncio", "where": "base_events:1771"}',
    "Traceback (most recent call last):",
    "Task exception was never retrieved",
    "sys:1: ResourceWarning: unclosed <socket.socket fd=3>",
    "Exception ignored in: <function x>",
]
GOOD = ['{"event": "rotation.published", "library.warning": 1}', '{"event": "library.warn', "billing: rotated", ""]


def test_what_no_process_may_say_is_found_and_nothing_else() -> None:
    assert complaints([*BAD, *GOOD]) == BAD


def test_an_exception_that_nobody_retrieved_fails_the_test_in_which_it_happened(library_complaints: list[str]) -> None:
    async def fail() -> None:
        raise ValueError

    async def forget() -> None:
        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(forget())
    assert any("never retrieved" in message for message in library_complaints)
    library_complaints.clear()


def test_a_warning_of_asyncio_is_heard(library_complaints: list[str]) -> None:
    logging.getLogger("asyncio").error("Fatal error on transport")
    assert library_complaints == ["asyncio: Fatal error on transport"]
    library_complaints.clear()
