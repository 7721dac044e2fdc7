"""Turns an exception into sentences, JSON and an exit code.

An unexpected exception is reported by its type and place only, because its text may hold a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rotator.errors import ConfigurationError, RotatorError, ServiceError

MAX_SENTENCE = 4000
MAX_SENTENCES = 2000
"""Limits of what is shown: characters of a sentence, and sentences of a report. A path or an answer
of a daemon may be longer."""


@dataclass(frozen=True)
class FailureReport:
    """An error as it is shown: its kind (stable, for machines), its sentences, and the exit
    code."""

    kind: str
    sentences: tuple[str, ...]
    exit_code: int
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Shortens long sentences in their middle; the end says what to do."""
        object.__setattr__(self, "sentences", tuple(map(_cut, self.sentences[:MAX_SENTENCES])))

    def as_json(self) -> dict[str, Any]:
        """The value of ``error`` in JSON results."""
        return {"kind": self.kind, "message": "\n".join(self.sentences), "exit_code": self.exit_code, **self.details}


class ReportedError(RotatorError):
    """An error with a report of its own: from the daemon, or from an earlier check."""

    def __init__(self, failure: FailureReport) -> None:
        super().__init__("\n".join(failure.sentences))
        self.failure = failure


def explain(error: BaseException) -> FailureReport:
    """The report of an error, with secrets masked that a service repeated in its answer."""
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
