"""How an error is shown: the sentences for a person, the kind for machines, and the exit code."""

from __future__ import annotations

import pytest

from rotator.domain.secret import Secret
from rotator.errors import (
    ConfigurationError,
    ConfigurationProblem,
    Conflict,
    Indeterminate,
    LedgerUnreadable,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Rejected,
    RotatorError,
    Unavailable,
)
from rotator.operations.failures import MAX_SENTENCE, MAX_SENTENCES, FailureReport, ReportedError, explain
from rotator.operations.refusal import OperationError

SECRET = "5ec7e7aa-0000-4000-8000-000000000009"
LONG = "a" * 2000 + "b" + "c" * 2000

SHOWN: dict[str, tuple[Exception, FailureReport]] = {
    "a service that is away": (
        Unavailable("Vault is sealed", service="vault", kind="sealed"),
        FailureReport("sealed", ("Vault is sealed",), 3, {"service": "vault"}),
    ),
    "a lost answer": (
        Indeterminate("no answer", service="acme", kind="timeout"),
        FailureReport("timeout", ("no answer",), 3, {"service": "acme"}),
    ),
    "a missing right": (
        PermissionDenied("not allowed", service="vault", kind="policy", path="secret/x", capability="read"),
        FailureReport("policy", ("not allowed",), 1, {"service": "vault", "path": "secret/x", "capability": "read"}),
    ),
    "a lost race": (
        Conflict("faster", service="vault", kind="conflict"),
        FailureReport("conflict", ("faster",), 1, {"service": "vault"}),
    ),
    "a rejected argument": (
        Rejected("wrong", service="acme", kind="invalid_arguments", argument="bearer"),
        FailureReport("invalid_arguments", ("wrong",), 1, {"service": "acme", "argument": "bearer"}),
    ),
    "a quota": (
        QuotaExceeded("full", service="acme", resource="keys", current=1, quota=1),
        FailureReport("quota", ("full",), 4, {"service": "acme"}),
    ),
    "a refusal": (Refused("unsafe"), FailureReport("refused", ("unsafe",), 4)),
    "a damaged ledger": (LedgerUnreadable("damaged"), FailureReport("ledger_unreadable", ("damaged",), 4)),
    "another error of ours": (RotatorError("else"), FailureReport("rotator_error", ("else",), 1)),
    "a configuration": (
        ConfigurationError(
            [ConfigurationProblem("a.toml", "applications.x", "wrong"), ConfigurationProblem("b.toml", "", "missing")]
        ),
        FailureReport(
            "configuration",
            ("a.toml: applications.x: wrong", "b.toml: missing"),
            2,
            {
                "problems": [
                    {"file": "a.toml", "path": "applications.x", "message": "wrong"},
                    {"file": "b.toml", "path": "", "message": "missing"},
                ]
            },
        ),
    ),
    "what is reported already": (
        ReportedError(FailureReport("usage", ("one", "two"), 2, {"a": 1})),
        FailureReport("usage", ("one", "two"), 2, {"a": 1}),
    ),
    "an operation that is refused before it begins": (
        OperationError("usage", "name it"),
        FailureReport("usage", ("name it",), 2),
    ),
    "the same with details": (
        OperationError("incomplete", "name it", 3, field="x"),
        FailureReport("incomplete", ("name it",), 3, {"field": "x"}),
    ),
}


@pytest.mark.parametrize(("error", "shown"), SHOWN.values(), ids=SHOWN)
def test_an_error_is_shown_by_its_kind_with_what_machines_need(error: Exception, shown: FailureReport) -> None:
    assert explain(error) == shown


def test_an_error_of_the_program_is_shown_by_its_place_alone() -> None:
    try:
        {"a": 1}[SECRET]
    except KeyError as error:
        found = explain(error)
    assert (found.kind, found.exit_code, found.details) == ("program", 1, {})
    (sentence,) = found.sentences
    assert sentence.startswith("an error of the program: KeyError at ")
    assert sentence.endswith("; please report it")
    assert SECRET not in sentence


def test_a_secret_that_a_service_repeats_is_masked() -> None:
    in_use = Secret(SECRET)
    problem = ConfigurationProblem("a.toml", "x", f"not {SECRET}")
    for error in (Refused(f"no {SECRET}"), ConfigurationError([problem])):
        found = str(explain(error).as_json())
        assert SECRET not in found
    assert in_use.reveal() == SECRET


def test_a_long_sentence_keeps_its_beginning_and_its_end_and_a_long_report_its_beginning() -> None:
    assert explain(Refused("x" * MAX_SENTENCE)).sentences == ("x" * MAX_SENTENCE,)
    assert explain(Refused(LONG)).sentences == ("a" * 2000 + " … " + "c" * 2000,)
    found = FailureReport("usage", ("a",) * MAX_SENTENCES + ("b",), 2)
    assert found.sentences == ("a",) * MAX_SENTENCES
    problem = ConfigurationProblem("a.toml", LONG, LONG)
    (said,) = explain(ConfigurationError([problem])).details["problems"]
    assert said == {"file": "a.toml", "path": "a" * 2000 + " … " + "c" * 2000, "message": said["path"]}


def test_machines_get_the_sentences_as_lines() -> None:
    report = FailureReport("usage", ("one", "two"), 2, {"field": "x"})
    assert report.as_json() == {"kind": "usage", "message": "one\ntwo", "exit_code": 2, "field": "x"}
    assert str(ReportedError(report)) == "one\ntwo"
    assert ReportedError(report).failure is report
