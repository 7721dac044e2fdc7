"""From whatever went wrong to what a person reads, what a machine reads, and the exit code.

An unexpected exception is reported by its type and place only: its text may hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rotator.errors import ConfigurationError, RotatorError, ServiceError

MAX_SENTENCE = 4000
MAX_SENTENCES = 2000
"""Characters of a sentence and sentences of a report that are shown; a path, or the answer of a
daemon, may have any number."""


@dataclass(frozen=True)
class FailureReport:
    """What is shown of an error: its kind (stable, for machines), sentences for people, the exit
    code."""

    kind: str
    sentences: tuple[str, ...]
    exit_code: int
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Cut what is too long; begin and end of a sentence stay, since the end tells what to
        do."""
        object.__setattr__(self, "sentences", tuple(map(_cut, self.sentences[:MAX_SENTENCES])))

    def as_json(self) -> dict[str, Any]:
        """The value of ``error`` in the JSON answer."""
        return {"kind": self.kind, "message": "\n".join(self.sentences), "exit_code": self.exit_code, **self.details}


class ReportedError(RotatorError):
    """An error that has been reported already: by the daemon to a command, or by a check before
    it."""

    def __init__(self, failure: FailureReport) -> None:
        super().__init__("\n".join(failure.sentences))
        self.failure = failure


def explain(error: BaseException) -> FailureReport:
    """What to tell of this error; a secret that a service repeated in its answer is masked."""
    if isinstance(error, ReportedError):
        return error.failure
    from rotator.domain.secret import redact  # noqa: PLC0415 - what the daemon reports is masked there

    sentence = redact(str(error))
    if isinstance(error, ConfigurationError):
        problems = [
            {"file": one.file, "path": _cut(one.path), "message": _cut(redact(one.message))} for one in error.problems
        ]
        sentences = tuple(redact(str(problem)) for problem in error.problems)
        return FailureReport("configuration", sentences, error.exit_code, {"problems": problems})
    if isinstance(error, ServiceError):
        details = {
            name: value for name in ("service", "path", "capability", "argument") if (value := getattr(error, name, ""))
        }
        return FailureReport(error.kind, (sentence,), error.exit_code, details)
    if isinstance(error, RotatorError):
        return FailureReport(_snake(type(error).__name__), (sentence,), error.exit_code)
    from rotator.util.crash import crash_site  # noqa: PLC0415 - only errors of the program pay for it

    kind, where = crash_site(error)
    return FailureReport("program", (f"an error of the program: {kind} at {where}; please report it",), 1)


def _cut(sentence: str) -> str:
    half = MAX_SENTENCE // 2
    return sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[:half]} … {sentence[-half:]}"


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
