"""The control API without a socket: whole answers, what each request is allowed, and what the log says of it."""

from __future__ import annotations

import os
import pwd
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from rotator import __version__
from rotator.api import request_parsing, routes
from rotator.api.access_control import Peer, offered_operations
from rotator.api.event_stream import EventStream
from rotator.api.executor import CommandExecutor
from rotator.api.openapi import openapi_document
from rotator.api.routes import ControlApi
from rotator.domain.secret import Secret
from rotator.errors import Refused
from rotator.operations.operation import NoArguments, Operation, OperationContext, OperationRequest
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from rotator.operations.signatures import Signature
from rotator.system.users import NOBODY
from tests.api.conftest import FakeHouse
from tests.api.in_process import Answer, ask
from tests.support.daemon_stage import eventually, runtime

ME = pwd.getpwuid(os.getuid()).pw_name
HERE = f"via control socket@{socket.gethostname()}"
JSON = {"content-type": "application/json"}


class Wanted(OperationRequest):
    """What the operations of these tests are asked."""

    application: str = ""
    names: Annotated[list[str], Field(default_factory=list)]
    reason: str = ""


@dataclass(frozen=True)
class Said:
    """What they answer."""

    by: str
    names: list[str]
    at: datetime


class Typed(Signature):
    """A signature whose answer is defined here."""

    @property
    def gives(self) -> Any:
        return Said


AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Stage:
    """A house with operations of its own."""

    house: FakeHouse
    executor: CommandExecutor
    ran: list[OperationContext]
    act: Callable[[OperationContext, Wanted], Any]

    def operations(self) -> list[Operation]:
        def run(context: OperationContext, wanted: Wanted) -> Any:
            self.ran.append(context)
            return self.act(context, wanted)

        return [
            Operation(Typed("look", "GET", ""), "Look.", Wanted, run),
            Operation(Typed("glance", "GET", "", immediate=True), "Glance.", Wanted, run),
            Operation(
                Typed("act", "POST", "", changes=True), "Act.", Wanted, run, exclusive_key=lambda wanted: wanted.reason
            ),
        ]

    def api(self, *, commands: bool = True) -> ControlApi:
        return ControlApi(self.house, self.executor, commands=commands, operations=self.operations())

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return list(self.house.events.events)


def answer_of(context: OperationContext, wanted: Wanted) -> Said:
    return Said(context.by, wanted.names, AT)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    house = FakeHouse(runtime("billing", source=str(tmp_path / "rotator.toml")))
    made = Stage(house, CommandExecutor(house.stopping), [], answer_of)
    yield made
    made.executor.give_up()


PATHS = {one: Typed(one, "GET", "").path for one in ("look", "glance", "act")}
LOOK, GLANCE, ACT = PATHS["look"], PATHS["glance"], PATHS["act"]


def test_a_query_is_answered_with_its_value_and_its_caller_has_the_time_that_it_needs(stage: Stage) -> None:
    for path in (LOOK, GLANCE):
        found = ask(stage.api().app, "GET", f"{path}?names=a&names=b")
        assert found == Answer(
            200,
            {"content-type": "application/json", "content-length": str(len(found.body))},
            b'{"by":"","names":["a","b"],"at":"2026-11-23T12:00:00Z"}',
            [None, 30.0],
            admitted=True,
        )
    (looked, glanced) = stage.ran
    for context in (looked, glanced):
        assert context.sink is stage.house.sink
        assert context.daemon_handle is stage.house
        assert abs(context.now() - datetime.now(UTC)) < timedelta(minutes=1)
        assert context.sleep == stage.executor.sleep
    assert glanced.runtime is stage.house.runtime
    assert looked.owner != glanced.owner
    assert stage.events() == []
    assert stage.house.lent == 0


def test_a_command_is_logged_with_its_caller_and_runs_in_a_slot(stage: Stage) -> None:
    busy: list[int] = []

    def act(context: OperationContext, wanted: Wanted) -> Said:
        busy.append(stage.executor.busy)
        assert stage.house.lent == 1
        return answer_of(context, wanted)

    stage.act = act
    found = ask(
        stage.api().app,
        "POST",
        ACT,
        json_body={"application": "billing", "reason": "why"},
        headers={"rotator-user": "bob"},
        peer=Peer(os.getuid()),
    )
    by = f"{ME} {HERE}"
    assert (found.status, found.json()) == (200, {"by": by, "names": [], "at": "2026-11-23T12:00:00Z"})
    assert found.headers["content-type"] == "application/json"
    assert (found.allowed, found.admitted, busy) == ([None, 30.0], True, [1])
    assert stage.events() == [
        ("control.command", {"operation": "act", "by": by, "about": ["billing"], "reason": "why"})
    ]
    ask(stage.api().app, "POST", ACT, json_body={}, headers={"rotator-user": "b%C3%B6b"}, peer=Peer(NOBODY))
    ask(stage.api().app, "POST", ACT, json_body={}, peer=None)
    assert [fields["by"] for _, fields in stage.events()[1:]] == [f"böb (as stated) {HERE}", f"somebody {HERE}"]


NDJSON = {"accept": "application/x-ndjson"}


def test_who_follows_a_command_gets_its_events_and_then_its_result(stage: Stage) -> None:
    def act(context: OperationContext, wanted: Wanted) -> Said:
        context.sink.emit("key.revoked", access_key="A", reason=Secret("hidden-in-an-event"))
        context.sink.emit("not.in_the_catalogue")
        return answer_of(context, wanted)

    stage.act = act
    stage.house.sink = stage.house.broadcast = _Loose()  # type: ignore[assignment]  # takes what is in no catalogue
    found = ask(stage.api().app, "POST", ACT, json_body={}, headers=NDJSON)
    assert (found.status, found.headers) == (200, {"content-type": "application/x-ndjson"})
    first, *events, last = found.lines()
    assert first == ""
    assert [datetime.fromisoformat(event.pop("timestamp")).tzinfo for event in events] == [UTC] * 3
    command = {"operation": "act", "by": f"somebody {HERE}", "about": [], "reason": ""}
    assert events == [
        {"level": "info", "event": "control.command", **command},
        {"level": "info", "event": "key.revoked", "access_key": "A", "reason": "[secret]"},
        {"level": "warning", "event": "not.in_the_catalogue"},
    ]
    assert last == {"result": {"by": f"somebody {HERE}", "names": [], "at": "2026-11-23T12:00:00Z"}}
    assert found.allowed == [None, 30.0, None, *[30.0, None] * 3, 30.0]


class _Loose:
    def emit(self, event: str, **fields: object) -> None:
        pass

    def listen(self, feed: EventStream) -> None:
        pass

    def leave(self, feed: EventStream) -> None:
        pass


def test_an_error_of_a_command_that_is_followed_is_its_last_line(stage: Stage) -> None:
    def act(context: OperationContext, wanted: Wanted) -> Said:
        raise Refused("it would be unsafe")

    stage.act = act
    found = ask(stage.api().app, "POST", ACT, json_body={}, headers=NDJSON)
    assert found.status == 200
    assert found.lines()[-1] == {"error": {"kind": "refused", "message": "it would be unsafe", "exit_code": 4}}


def test_the_first_byte_comes_before_the_command_has_done_anything(stage: Stage) -> None:
    goes_on = threading.Event()

    def act(context: OperationContext, wanted: Wanted) -> Said:
        goes_on.wait(60)
        return answer_of(context, wanted)

    stage.act = act
    found = ask(stage.api().app, "POST", ACT, json_body={}, headers=NDJSON, until=lambda answer: answer.body == b"\n")
    assert found.body == b"\n"
    goes_on.set()
    eventually(lambda: stage.executor.busy == 0)


def test_a_query_that_is_followed_has_no_events_of_its_own(stage: Stage) -> None:
    found = ask(stage.api().app, "GET", LOOK, headers={"accept": "text/html, application/x-ndjson"})
    assert found.lines() == ["", {"result": {"by": "", "names": [], "at": "2026-11-23T12:00:00Z"}}]


def error(kind: str, message: str, code: int = 2, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "message": message, "exit_code": code, **more}


TYPE = error("not_json", "a body has to be application/json, and say so in its content-type")
REFUSALS: Mapping[str, tuple[str, str, dict[str, Any], int, dict[str, Any], list[float | None]]] = {
    "no such page": (
        "GET",
        "/v1/nothing",
        {},
        404,
        error("not_found", "there is no such page; see /openapi.json"),
        [],
    ),
    "another method": ("GET", ACT, {}, 405, error("method", "the page has another method; see /openapi.json"), []),
    "a query of a command": (
        "POST",
        f"{ACT}?b=1&a=2",
        {"json_body": {}},
        400,
        error("usage", "a: is not an option here"),
        [30.0],
    ),
    "a field that is none": (
        "GET",
        f"{LOOK}?x=1",
        {},
        400,
        error("usage", "unknown field; see /openapi.json"),
        [30.0],
    ),
    "no JSON": ("POST", ACT, {"body": b"{", "headers": {"content-type": "text/plain"}}, 415, TYPE, [30.0]),
    "no type": ("POST", ACT, {"body": b"{}"}, 415, TYPE, [30.0]),
    "a large body": (
        "POST",
        ACT,
        {"pieces": [b" " * 256 * 1024, b" "], "headers": JSON},
        413,
        error("too_large", "a body of more than 262144 bytes is not read; name fewer at once"),
        [30.0],
    ),
    "a caller who leaves in the body": (
        "POST",
        ACT,
        {"pieces": [b"{", "disconnect"], "headers": JSON},
        408,
        error("too_slow", "the body was not there within 5 seconds"),
        [30.0],
    ),
    "a caller who is gone": (
        "POST",
        ACT,
        {"json_body": {}, "gone": True},
        408,
        error("abandoned", "the caller was gone before the command was begun", 3),
        [None, 30.0],
    ),
    "a caller of a query who is gone": (
        "GET",
        LOOK,
        {"gone": True},
        429,
        error("busy", "the caller was gone before the query was begun", 3),
        [None, 30.0],
    ),
}


@pytest.mark.parametrize(("method", "path", "options", "status", "said", "allowed"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_is_this_answer_and_nothing_is_begun(
    stage: Stage,
    method: str,
    path: str,
    options: dict[str, Any],
    status: int,
    said: dict[str, Any],
    allowed: list[float | None],
) -> None:
    found = ask(stage.api().app, method, path, **options)
    assert found.error == (status, said)
    assert found.headers["content-type"] == "application/json"
    assert found.allowed == allowed
    assert stage.ran == []


def test_a_page_with_another_method_names_it(stage: Stage) -> None:
    assert ask(stage.api().app, "GET", ACT).headers["allow"] == "POST"
    assert "allow" not in ask(stage.api().app, "GET", "/v1/nothing").headers


def test_a_body_of_the_largest_size_is_read_and_a_slow_one_is_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"{}" + b" " * (256 * 1024 - 2)
    assert ask(stage.api().app, "POST", ACT, pieces=[body[:1], body[1:]], headers=JSON).status == 200
    assert ask(stage.api().app, "POST", ACT, pieces=[b""], headers=JSON).status == 200
    assert ask(stage.api().app, "POST", ACT, pieces=[b""]).status == 200, "no body needs no type"
    monkeypatch.setattr(request_parsing, "BODY_TIMEOUT", 0.05)
    found = ask(stage.api().app, "POST", ACT, pieces=[b"{", 30, b"}"], headers=JSON)
    assert found.error == (408, error("too_slow", "the body was not there within 0.05 seconds"))


def test_a_request_for_another_configuration_is_refused_with_the_name_of_this_one(stage: Stage) -> None:
    source = stage.house.runtime.source
    stage.house.runtime.source = f"{source} ö"
    named = {"rotator-config": f"{source}%20%C3%B6"}
    assert ask(stage.api().app, "GET", GLANCE, headers=named).status == 200
    for path in (GLANCE, "/v1/events", "/openapi.json"):
        found = ask(stage.api().app, "GET", path, headers={"rotator-config": "/other.toml"})
        assert found.error == (
            421,
            error("other_configuration", f"the daemon here works for {source} ö", config=f"{source} ö"),
        )
        assert found.allowed == [30.0]
    stage.house.runtime.source = "relative.toml"
    named = {"rotator-config": str(Path("relative.toml").absolute())}
    assert ask(stage.api().app, "GET", GLANCE, headers=named).status == 200


@pytest.mark.parametrize("path", [LOOK, GLANCE])
def test_an_error_of_the_program_is_logged_by_its_place_and_answered_without_its_text(stage: Stage, path: str) -> None:
    def act(context: OperationContext, wanted: Wanted) -> Said:
        raise ZeroDivisionError("a secret")

    stage.act = act
    found = ask(stage.api().app, "GET", path)
    [(event, fields)] = stage.events()
    assert (event, fields["error"]) == ("daemon.crashed", "ZeroDivisionError")
    message = f"an error of the program: ZeroDivisionError at {fields['where']}; please report it"
    assert found.error == (500, error("program", message, 1))
    assert fields["where"].startswith("rotator.")


def test_a_result_of_the_main_loop_is_waited_for_and_not_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: Future[Said] = Future()
    stage.act = lambda context, wanted: later
    monkeypatch.setattr(routes, "RELOAD_TIMEOUT", 0.05)
    found = ask(stage.api().app, "POST", ACT, json_body={})
    assert found.error == (
        503,
        error(
            "hung",
            "the main loop of the daemon did not answer within 0.05 seconds; look at /healthz, or restart it",
            3,
        ),
    )
    assert not later.cancelled()
    later.set_result(Said("x", [], AT))
    found = ask(stage.api().app, "POST", ACT, json_body={})
    assert found.json() == {"by": "x", "names": [], "at": "2026-11-23T12:00:00Z"}


@pytest.mark.parametrize("value", ["hidden-in-an-answer-0123456789", 'hidden-"in"-an-answer', "hidden-é-in-an-answer"])
def test_secrets_are_masked_in_every_answer(stage: Stage, value: str) -> None:
    hidden = Secret(value)
    stage.act = lambda context, wanted: Said(hidden.reveal(), [], AT)
    for found in (ask(stage.api().app, "GET", LOOK), ask(stage.api().app, "GET", GLANCE)):
        assert hidden.reveal() not in found.body.decode()
        assert found.json()["by"] == "[secret]"


@pytest.mark.parametrize("by", ["a name with \x9b31m", "a name that UTF-8 cannot write: \udcff"])
def test_an_answer_is_ascii_whatever_its_values_are(stage: Stage, by: str) -> None:
    stage.act = lambda context, wanted: Said(by, [], AT)
    found = ask(stage.api().app, "GET", LOOK)
    assert found.body.isascii()
    assert found.json()["by"] == by


def test_commands_with_one_key_run_one_at_a_time(stage: Stage) -> None:
    goes_on = threading.Event()

    def act(context: OperationContext, wanted: Wanted) -> Said:
        goes_on.wait(60)
        return answer_of(context, wanted)

    stage.act = act
    api = stage.api()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, api.app, "POST", ACT, json_body={"reason": "key"})
        eventually(lambda: stage.executor.busy == 1)
        assert ask(api.app, "POST", ACT, json_body={"reason": "key"}).error == (
            429,
            error("under_way", "this command is already running (key); watch it with rotator status", 3),
        )
        goes_on.set()
        assert first.result(60).status == 200


def test_so_many_queries_run_or_wait_at_once_and_no_more(stage: Stage) -> None:
    goes_on, begun = threading.Event(), threading.Semaphore(0)

    def act(context: OperationContext, wanted: Wanted) -> Said:
        begun.release()
        goes_on.wait(60)
        return answer_of(context, wanted)

    stage.act = act
    api = stage.api()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, api.app, "GET", LOOK) for _ in range(16)]
        eventually(lambda: api._queries == 16)
        for _ in range(4):
            assert begun.acquire(timeout=60)
        assert not begun.acquire(blocking=False), "four run at once, the others wait"
        busy = error("busy", "16 queries are running, which is the limit; ask again in a moment", 3)
        assert ask(api.app, "GET", LOOK).error == (429, busy)
        goes_on.set()
        assert [one.result(60).status for one in asked] == [200] * 16
    eventually(lambda: api._queries == 0)
    assert ask(api.app, "GET", LOOK).status == 200


def test_a_machine_without_threads_takes_no_query(stage: Stage) -> None:
    api = stage.api()

    def none_left(run: Callable[[], Any]) -> None:
        raise RuntimeError("can't start new thread")

    api._readers.submit = none_left  # type: ignore[method-assign,assignment]  # as on a machine that is full
    busy = error("busy", "the machine lets the daemon start no more threads; ask again in a moment", 3)
    assert ask(api.app, "GET", LOOK).error == (429, busy)
    assert api._queries == 0


# --- pages that are no operations ---


def test_the_socket_of_queries_offers_and_describes_no_command(stage: Stage) -> None:
    for commands in (False, True):
        api = stage.api(commands=commands)
        found = ask(api.app, "GET", "/openapi.json")
        offered = offered_operations(stage.operations(), commands=commands)
        assert [one.name for one in offered] == ["look", "glance", *(["act"] if commands else [])]
        assert found.json() == openapi_document(offered)
        assert (found.status, found.headers["content-type"]) == (200, "application/json")
        assert (found.admitted, found.allowed) == (True, [30.0])
        assert ask(api.app, "POST", ACT, json_body={}).status == (200 if commands else 404)
    every = ControlApi(stage.house, stage.executor, commands=True)
    assert ask(every.app, "GET", "/openapi.json").json() == openapi_document(OPERATIONS.values())
    assert ask(every.app, "GET", "/v1/health").json()["version"] == __version__


def test_who_listens_gets_every_event_from_then_on_and_leaves(stage: Stage) -> None:
    api = stage.api()

    def until(answer: Answer) -> bool:
        if answer.status and not answer.body:
            assert len(api._subscribers) == 1
            stage.house.sink.emit("control.listening", listen="x", orders=True)
        return b"\n" in answer.body

    found = ask(api.app, "GET", "/v1/events", until=until)
    (line,) = found.lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo == UTC
    assert line == {"level": "info", "event": "control.listening", "listen": "x", "orders": True}
    assert (found.status, found.headers, found.admitted) == (200, {"content-type": "application/x-ndjson"}, True)
    assert found.allowed[:3] == [30.0, None, 30.0]
    assert api._subscribers == set()
    assert ask(api.app, "GET", "/v1/events?x=1").error == (400, error("usage", "x: is not an option here"))


def test_who_listens_has_a_limit_and_the_end_of_the_listener_ends_the_streams(stage: Stage) -> None:
    api = stage.api()
    with ThreadPoolExecutor(8) as pool:
        streams = [pool.submit(ask, api.app, "GET", "/v1/events") for _ in range(8)]
        eventually(lambda: len(api._subscribers) == 8)
        busy = error("busy", "8 callers follow the events, which is the limit; try again later", 3)
        assert ask(api.app, "GET", "/v1/events").error == (429, busy)
        api.close_streams()
        assert [one.result(60).body for one in streams] == [b""] * 8


def test_an_operation_without_options_takes_none(stage: Stage) -> None:
    made = Operation(
        Typed("bare", "GET", "", immediate=True), "Bare.", NoArguments, lambda context, _: Said("", [], AT)
    )
    api = ControlApi(stage.house, stage.executor, commands=False, operations=[made])
    assert ask(api.app, "GET", made.path).status == 200
    assert ask(api.app, "GET", f"{made.path}?x=1").status == 400


def test_an_error_with_details_is_answered_with_them(stage: Stage) -> None:
    def act(context: OperationContext, wanted: Wanted) -> Said:
        raise OperationError("not_found", "there is none", 1, nearest="billing")

    stage.act = act
    assert ask(stage.api().app, "GET", LOOK).error == (404, error("not_found", "there is none", 1, nearest="billing"))
