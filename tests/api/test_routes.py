"""What is behind the doors: questions, orders, and one shape for everything that goes wrong."""

from __future__ import annotations

import json
import os
import pwd
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from rotator import __version__
from rotator.api import executor
from rotator.api import routes as api
from rotator.api.client import DaemonUnavailable
from rotator.operations.failures import ReportedError
from rotator.operations.registry import OPERATIONS
from tests.api.conftest import Front, lines
from tests.support.daemon_stage import eventually, published, settled


def test_the_sockets_are_for_owner_and_group_only(front: Front) -> None:
    for name in ("read.sock", "control.sock"):
        mode = (front.folder / name).lstat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)


def test_the_door_of_questions_has_no_orders(front: Front) -> None:
    assert front.ask("POST", "/v1/rotate", listener="read", json={"applications": ["billing"]}).status_code == 404
    assert front.ask("GET", "/v1/health", listener="read").json()["alive"] is True
    described = front.ask("GET", "/openapi.json", listener="read").json()["paths"]
    assert described.keys() == {verb.path for verb in OPERATIONS.values() if not verb.changes} | {"/v1/events"}


def test_the_daemon_names_its_version_and_its_configuration(front: Front) -> None:
    answer = front.ask("GET", "/v1/health")
    assert answer.headers["rotator-version"] == answer.json()["version"] == __version__
    assert answer.json()["config"] == front.daemon_handle.runtime.source


def test_what_comes_through_the_socket_is_the_same_value(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    with front.daemon() as daemon:
        (result,) = daemon.call("rotate", applications=["billing"], reason="a test")
        found = daemon.call("status", applications=["billing", "mailer"])
        story = daemon.call("history", application="billing")
        (planned,) = daemon.call("plan", applications=["billing"])
    ledger, _ = front.daemon_handle.runtime.vault.read_ledger("billing")
    assert (result.outcome, result.access_key) == ("rotated", published(front.daemon_handle.runtime, "billing"))
    assert [view.phase for view in found.views] == ["grace", "new"]
    assert (found.views[0].ledger, found.views[0].spec) == (ledger, front.daemon_handle.runtime.specs["billing"])
    assert "rotated" in [entry.event for entry in story.entries]
    assert planned.plan.action == "revoke"


def test_an_order_is_signed_by_an_owner_of_its_own_and_the_daemon_looks_afterwards(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    owners = set()
    stage = front.daemon_handle.runtime.stages["acme"]

    def watch(name: str, phase: str) -> None:
        ledger, _ = front.daemon_handle.runtime.vault.read_ledger("billing") if name == "create_key" else (None, 0)
        if ledger and ledger.intent:
            owners.add(ledger.intent.owner)

    stage.hook = watch
    with front.daemon() as daemon:
        daemon.call("rotate", applications=["billing"])
        daemon.call("rotate", applications=["billing"])
    assert len(owners) == 2
    assert "0123456789abcdef.-.1.1" not in owners
    assert front.daemon_handle.looked_at == ["billing", "billing"]
    eventually(lambda: front.daemon_handle.lent == 0)


def test_the_steps_of_an_order_are_heard_while_it_goes_on_and_the_result_comes_last(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    answer = front.ask(
        "POST",
        "/v1/rotate",
        json={"applications": ["billing"], "compromised": True, "reason": "leak"},
        headers={"accept": "application/x-ndjson"},
    )
    told = lines(answer)
    names = [line["event"] for line in told[:-1]]
    assert [name for name in names if name in ("compromise.marked", "rotation.published", "compromise.contained")] == [
        "compromise.marked",
        "rotation.published",
        "compromise.contained",
    ]
    (result,) = told[-1]["result"]
    assert (result["outcome"], result["exit_code"]) == ("contained", 0)


def test_whoever_gave_the_order_stands_in_the_ledger_as_the_kernel_tells_it(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    front.ask(
        "POST", "/v1/rotate", json={"applications": ["billing"], "compromised": True, "reason": "found on a wiki"}
    )
    ledger, _ = front.daemon_handle.runtime.vault.read_ledger("billing")
    assert ledger
    user = pwd.getpwuid(os.getuid()).pw_name
    (incident,) = ledger.incidents
    assert (incident.by, incident.reason) == (f"{user} via control socket@{os.uname().nodename}", "found on a wiki")
    (order,) = [fields for name, fields in front.daemon_handle.events.events if name == "control.command"]
    assert (order["operation"], order["about"], order["reason"]) == ("rotate", ["billing"], "found on a wiki")


def test_hands_on_and_hands_off_through_the_socket(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    leaked = published(front.daemon_handle.runtime, "billing")
    with front.daemon() as daemon:
        (person,) = daemon.call("lookup", access_keys=[leaked])
        assert (person.state, person.application) == ("current", "billing")
        (held,) = daemon.call("hold", applications=["billing"], reason="a test")
        (refused,) = daemon.call("rotate", applications=[leaked], compromised=True, reason="leak")
        (resumed,) = daemon.call("resume", applications=["billing"])
        (gone,) = daemon.call("rotate", applications=[leaked], compromised=True, reason="leak")
        (nothing,) = daemon.call("extend", applications=["billing"], seconds=60)
        (safe,) = daemon.call("revoke", access_keys=[published(front.daemon_handle.runtime, "billing")])
        drilled = daemon.call("drill", application="billing")
    outcomes = [one.outcome for one in (held, refused, resumed, gone, nothing, safe, drilled.result)]
    assert outcomes == ["held", "refused", "resumed", "contained", "refused", "refused", "contained"]
    assert drilled.steps[-1].what == "contained"


def test_an_emergency_without_a_reason_is_refused_whoever_asks(front: Front) -> None:
    answer = front.ask("POST", "/v1/rotate", json={"applications": ["billing"], "compromised": True, "reason": " "})
    assert (answer.status_code, "needs a reason" in answer.json()["error"]["message"]) == (400, True)


def test_who_hangs_up_after_an_order_does_not_end_it(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    goes_on = threading.Event()

    def pause(name: str, phase: str) -> None:
        if name == "create_key":
            goes_on.wait(60)

    front.daemon_handle.runtime.stages["acme"].hook = pause
    before = published(front.daemon_handle.runtime, "billing")
    connection = front.raw()
    body = json.dumps({"applications": ["billing"]}).encode()
    head = (
        f"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    eventually(lambda: front.listeners.executor.busy == 1)
    connection.close()
    goes_on.set()
    eventually(lambda: published(front.daemon_handle.runtime, "billing") != before)
    eventually(lambda: front.listeners.executor.busy == 0)


def test_orders_have_a_limit_and_emergencies_a_share_of_it(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    held = threading.Event()
    for _ in range(executor.MAX_COMMANDS - executor.RESERVED_FOR_URGENT):
        front.listeners.executor.carry_out(lambda: held.wait(60))
    busy = front.ask("POST", "/v1/rotate", json={"applications": ["billing"]})
    assert (busy.status_code, busy.json()["error"]["kind"], busy.json()["error"]["exit_code"]) == (429, "busy", 3)
    urgent = front.ask("POST", "/v1/rotate", json={"applications": ["billing"], "compromised": True, "reason": "leak"})
    assert urgent.json()[0]["outcome"] == "contained"
    held.set()
    eventually(lambda: front.listeners.executor.busy == 0)


def test_questions_have_a_limit_of_their_own_and_who_hung_up_meanwhile_is_not_served(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    goes_on, asked = threading.Event(), threading.Semaphore(0)
    begun: list[str] = []

    def pause(name: str, phase: str) -> None:
        if phase == "before" and name == "read_ledger":
            begun.append(name)
            asked.release()
            goes_on.wait(60)

    front.daemon_handle.runtime.stages["acme"].hook = pause
    callers = [front.raw() for _ in range(api.MAX_QUERIES_WAITING)]
    for number, caller in enumerate(callers):
        caller.sendall(b"GET /v1/history?application=billing HTTP/1.1\r\nHost: x\r\n\r\n")
        if number < api.MAX_QUERIES:
            asked.acquire(timeout=60)
    eventually(
        lambda: front.ask("GET", "/v1/history?application=billing").status_code == 429, "no more questions are taken"
    )
    assert front.ask("GET", "/v1/health").status_code == 200, "what is at hand is told all the same"
    for caller in callers:
        caller.close()
    eventually(
        lambda: front.ask("GET", "/v1/history?application=billing").json()["error"]["kind"] == "busy",
        "hanging up frees nothing",
    )
    assert len(begun) == api.MAX_QUERIES
    goes_on.set()
    eventually(
        lambda: front.ask("GET", "/v1/history?application=billing").status_code == 200, "questions are taken again"
    )
    assert len(begun) == api.MAX_QUERIES + 1, "nobody worked for those who had hung up"


def test_what_an_order_is_about_is_told_whatever_its_options_are_called(front: Front) -> None:
    secret = "11111111-2222-3333-4444-555555555555"
    front.ask("POST", "/v1/revoke", json={"access_keys": ["SCWAAAAAAAAAAAAAAAAA", secret]})
    front.ask("POST", "/v1/drill", json={"application": "nobody"})
    front.ask("POST", "/v1/mass_rotation", json={"globs": ["bil*"], "accounts": ["acme"]})
    told = [fields["about"] for name, fields in front.daemon_handle.events.events if name == "control.command"]
    assert told == [["SCWAAAAAAAAAAAAAAAAA", "?"], ["nobody"], ["bil*", "acme"]]


def test_a_daemon_that_stops_takes_no_orders(front: Front) -> None:
    front.daemon_handle.stopping.set()
    answer = front.ask("POST", "/v1/rotate", json={"applications": ["billing"]})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "stopping")


def test_an_order_under_way_is_cut_short_at_the_end_and_says_so(front: Front) -> None:
    settled("billing", front.daemon_handle.runtime)
    stage = front.daemon_handle.runtime.stages["acme"]
    stage.hook = lambda name, phase: (
        front.listeners.executor.give_up() if name == "create_key" and phase == "after" else None
    )
    (result,) = front.ask("POST", "/v1/rotate", json={"applications": ["billing"]}).json()
    assert (result["outcome"], result["reason"]) == ("unreachable", "stopping")


REFUSALS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no such application": ("GET", "/v1/status?applications=nobody", {}, 404, "unknown_application"),
    "no history yet": ("GET", "/v1/history?application=billing", {}, 409, "refused"),
    "no such page": ("GET", "/v1/nothing", {}, 404, "not_found"),
    "another method": ("DELETE", "/v1/rotate", {}, 405, "method"),
    "an option that is none": ("GET", "/v1/health?verbose=1", {}, 400, "usage"),
    "a body that is no JSON": (
        "POST",
        "/v1/rotate",
        {"content": b"{", "headers": {"content-type": "application/json"}},
        400,
        "usage",
    ),
    "a body that does not say what it is": ("POST", "/v1/rotate", {"content": b"{}"}, 415, "not_json"),
    "nobody named": ("POST", "/v1/rotate", {"json": {"applications": []}}, 400, "usage"),
    "an unknown field": ("POST", "/v1/rotate", {"json": {"applications": ["billing"], "yes": 1}}, 400, "usage"),
    "another configuration": (
        "GET",
        "/v1/health",
        {"headers": {"rotator-config": "/x.toml"}},
        421,
        "other_configuration",
    ),
}


@pytest.mark.parametrize(("method", "path", "options", "status", "kind"), REFUSALS.values(), ids=REFUSALS)
def test_every_refusal_has_one_shape(
    front: Front, method: str, path: str, options: dict[str, Any], status: int, kind: str
) -> None:
    answer = front.ask(method, path, **options)
    error = answer.json()["error"]
    assert (answer.status_code, error["kind"]) == (status, kind)
    assert error["message"]
    assert error["exit_code"] in (1, 2, 3, 4)


def test_what_was_sent_is_not_repeated_by_a_refusal(front: Front) -> None:
    mistake = "a-secret-in-the-wrong-place"
    for body in ({"applications": mistake}, {mistake: 1}, {"applications": ["billing"], "reason": [mistake]}):
        answer = front.ask("POST", "/v1/rotate", json=body)
        assert answer.status_code == 400
        assert mistake not in answer.text


def test_an_error_of_the_program_says_no_word_of_it(front: Front) -> None:
    def crash(name: str, phase: str) -> None:
        raise ZeroDivisionError("a secret")

    front.daemon_handle.runtime.stages["acme"].hook = crash
    answer = front.ask("GET", "/v1/history?application=billing")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (500, "program")
    assert "a secret" not in answer.text
    assert [fields["error"] for name, fields in front.daemon_handle.events.events if name == "daemon.crashed"] == [
        "ZeroDivisionError"
    ]


def test_whoever_listens_hears_every_event_of_the_daemon(front: Front) -> None:
    with front.http("read") as client, client.stream("GET", "/v1/events") as stream:
        assert stream.status_code == 200
        front.daemon_handle.sink.emit("service.down", service="vault", kind="sealed", message="Vault is sealed")
        line = json.loads(next(stream.iter_lines()))
    assert (line["event"], line["level"], line["service"]) == ("service.down", "error", "vault")


def test_listeners_have_a_limit(front: Front) -> None:
    streams = [front.raw("read") for _ in range(9)]
    for stream in streams:
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        head = stream.recv(65536)
    assert head.startswith(b"HTTP/1.1 429")
    for stream in streams:
        stream.close()


def test_a_command_says_that_the_daemon_has_another_version(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.api.client.__version__", "9.9.9")
    said: list[str] = []
    with front.daemon(remark=said.append) as daemon:
        daemon.call("health")
        daemon.call("health")
    assert said == [
        f"the daemon is rotator {__version__} and this command is 9.9.9: restart the daemon after an upgrade"
    ]


def test_what_the_daemon_refuses_a_command_tells_as_its_own(front: Front) -> None:
    with front.daemon() as daemon, pytest.raises(ReportedError) as refused:
        daemon.call("history", application="billing")
    assert (refused.value.failure.kind, refused.value.failure.exit_code) == ("refused", 4)


def test_a_daemon_that_works_for_another_configuration_counts_as_none(front: Front) -> None:
    front.daemon_handle.runtime.source = "/etc/another.toml"
    with front.daemon() as daemon:
        front.daemon_handle.runtime.source = "/etc/yet-another.toml"
        with pytest.raises(DaemonUnavailable, match=r"works for /etc/yet-another\.toml"):
            daemon.call("health")


def test_every_verb_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
    assert [verb.path for verb in OPERATIONS.values() if f"{verb.path}`" not in text] == []
