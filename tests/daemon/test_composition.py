"""The start of the daemon: what its parts are built from, and what is written when the configuration cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rotator.daemon.composition import run
from rotator.domain.ports import EventSink, RequestObserver
from rotator.errors import ConfigurationError, ConfigurationProblem
from tests.support.daemon_stage import eventually


@pytest.mark.parametrize(
    ("level", "names"), [("info", ["daemon.ready", "daemon.crashed"]), ("error", ["daemon.crashed"])]
)
def test_a_configuration_that_cannot_be_used_ends_the_run_before_anything_begins(
    level: str, names: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    problem = ConfigurationError([ConfigurationProblem("rotator.toml", "vault", "is missing")])

    def build(sink: EventSink, observe: RequestObserver) -> Any:
        observe("vault", "2xx", 0.1)
        sink.emit("daemon.ready", applications=0, down=[])
        sink.emit("daemon.crashed", error="E", where="here")
        raise problem

    with pytest.raises(ConfigurationError) as caught:
        run(build, log_format="json", log_level=level)
    assert caught.value is problem
    text: list[str] = []

    def whole() -> bool:
        """Whether the last line is there: another thread writes them."""
        text.append(capfd.readouterr().out)
        return "daemon.crashed" in "".join(text) and "".join(text).endswith("\n")

    eventually(whole)
    written = [json.loads(line) for line in "".join(text).splitlines()]
    assert [line["event"] for line in written] == names
    assert {**written[-1], "timestamp": ""} == {
        "event": "daemon.crashed",
        "level": "critical",
        "timestamp": "",
        "error": "E",
        "where": "here",
    }
