"""Faults on command at the stand-in: what the client sees, and what truly happened."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rotator.sandbox.scaleway import ScalewaySandbox

KEYS = "/iam/v1alpha1/api-keys"
Connect = Callable[[str], httpx.Client]
Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def bearer(scaleway: ScalewaySandbox) -> str:
    return scaleway.create_application("app")


def create(client: httpx.Client, bearer: str, **options: Any) -> httpx.Response:
    return client.post(KEYS, json={"application_id": bearer, "description": "marked"}, **options)


@pytest.mark.parametrize(
    ("status", "content_type", "begins"),
    [
        (400, "application/json", b'{"details"'),
        (401, "application/json", b'{"message":"authentication is denied"'),
        (403, "application/json", b'{"details":[{"action":"read","resource":"api_key"}]'),
        (404, "application/json", b'{"message":"resource is not found","resource":"access_key"'),
        (409, "application/json", b'{"current_state":"updating"'),
        (429, None, b""),
        (500, "application/json", b'{"message":"grpc: error while marshaling: proto: oneof field has nil value"}'),
        (502, "text/html", b"<html>"),
        (503, "text/html", b"<html>"),
        (504, "text/html", b"<html>"),
    ],
)
def test_an_error_status_comes_instead_of_the_create(
    status: int, content_type: str | None, begins: bytes, scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str
) -> None:
    scaleway.faults.add("status", status=status, method="POST")
    answer = create(manager, bearer)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert answer.content.startswith(begins)
    assert scaleway.keys(bearer) == []
    assert create(manager, bearer).status_code == 200


def test_an_error_status_may_come_although_the_create_was_executed(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str
) -> None:
    scaleway.faults.add("status", status=500, executed=True)
    assert create(manager, bearer).status_code == 500
    assert [key.description for key in scaleway.keys(bearer)] == ["marked"]


def test_a_fault_may_bring_its_own_body_and_headers(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    scaleway.faults.add(
        "status",
        status=307,
        body="over there",
        headers={"Location": "http://127.0.0.1:1/", "Content-Type": "text/plain"},
    )
    answer = manager.get(KEYS)
    assert (answer.status_code, answer.text, answer.headers.get_list("content-type")) == (
        307,
        "over there",
        ["text/plain"],
    )
    assert answer.headers["location"] == "http://127.0.0.1:1/"


@pytest.mark.parametrize(("action", "error"), [("drop", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
@pytest.mark.parametrize("executed", [False, True])
def test_a3_the_connection_breaks_without_an_answer_before_or_after_the_create(
    action: str,
    error: type[Exception],
    executed: bool,
    scaleway: ScalewaySandbox,
    manager: httpx.Client,
    bearer: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scaleway.faults.add(action, method="POST", executed=executed)
    with pytest.raises(error):
        create(manager, bearer)
    assert len(scaleway.keys(bearer)) == executed
    assert manager.get(f"{KEYS}/{scaleway.management_access_key}").status_code == 200
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_connection_that_the_client_has_closed_needs_no_reset(
    scaleway: ScalewaySandbox,
    connect: Callable[[str], httpx.Client],
    manager: httpx.Client,
    bearer: str,
    until: Callable[[Callable[[], object]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scaleway.configure(latency_post=0.4)
    scaleway.faults.add("reset", method="POST", executed=True)
    scaleway.faults.add("delay", method="GET", seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        connect(scaleway.management_secret).post(
            KEYS, json={"application_id": bearer, "description": ""}, timeout=httpx.Timeout(20, read=0.05)
        )
    until(lambda: scaleway.keys(bearer))
    # The answer to this comes after the moment of the reset, because it waits longer and began later.
    assert manager.get(f"{KEYS}/{scaleway.management_access_key}").status_code == 200
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_b_a_truncated_answer_is_executed_and_ends_too_early(scaleway: ScalewaySandbox, bearer: str) -> None:
    scaleway.faults.add("truncate", method="POST")
    with socket.create_connection(("127.0.0.1", int(scaleway.url.rpartition(":")[2])), timeout=20) as connection:
        body = b'{"application_id":"%s"}' % bearer.encode()
        head = f"POST {KEYS} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {scaleway.management_secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    headers, _, got = received.partition(b"\r\n\r\n")
    promised = int(headers.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert headers.startswith(b"HTTP/1.1 200")
    assert 0 < len(got) == promised // 2
    assert len(scaleway.keys(bearer)) == 1


def test_b_a_client_sees_a_truncated_answer_as_an_error(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str
) -> None:
    scaleway.faults.add("truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        create(manager, bearer)


def test_a_delay_comes_before_the_execution(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str, until: Until
) -> None:
    scaleway.faults.add("delay", seconds=0.4)
    with pytest.raises(httpx.ReadTimeout):
        create(manager, bearer, timeout=0.05)
    assert scaleway.keys(bearer) == []
    until(lambda: len(scaleway.keys(bearer)) == 1)


def test_a_dripping_answer_is_whole_in_the_end_and_never_silent(
    scaleway: ScalewaySandbox, manager: httpx.Client
) -> None:
    scaleway.faults.add("drip", seconds=0.001)
    path = f"{KEYS}/{scaleway.management_access_key}"
    with manager.stream("GET", path) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 50
    assert b"".join(pieces) == manager.get(path).content


@pytest.mark.parametrize("executed", [False, True])
def test_a_hanging_request_goes_on_when_released(
    executed: bool, scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str, until: Until
) -> None:
    scaleway.faults.add("hang", method="POST", executed=executed)
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(create(manager, bearer)))
    thread.start()
    until(lambda: scaleway.waiting() == 1)
    assert len(scaleway.keys(bearer)) == executed
    assert scaleway.release() == 1
    thread.join()
    assert (answers[0].status_code, len(scaleway.keys(bearer)), scaleway.waiting()) == (200, 1, 0)


def test_a_hanging_request_does_not_keep_the_sandbox_from_stopping_quietly(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    scaleway.faults.add("hang")
    errors: list[Exception] = []

    def attempt() -> None:
        try:
            create(manager, bearer)
        except httpx.HTTPError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    until(lambda: scaleway.waiting() == 1)
    scaleway.stop()
    thread.join()
    assert len(errors) == 1
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


@pytest.mark.parametrize("status", [500, 0])
def test_b_a_create_lands_late_though_its_answer_was_an_error(
    status: int, scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str, hands: Any
) -> None:
    scaleway.faults.add("late", status=status, seconds=60.0)
    due = hands() + 60
    if status:
        assert create(manager, bearer).status_code == status
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            create(manager, bearer)
    hands.advance(59)
    assert (scaleway.keys(bearer), scaleway.waiting()) == ([], 1)
    hands.advance(100)
    (key,) = scaleway.keys(bearer)
    assert (key.description, key.created_at.timestamp()) == ("marked", due)
    assert scaleway.waiting() == 0


def test_a_late_operation_without_a_time_lands_on_release(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str
) -> None:
    scaleway.faults.add("late")
    assert create(manager, bearer).status_code == 500
    assert (len(scaleway.keys(bearer)), scaleway.waiting()) == (0, 1)
    assert scaleway.release() == 1
    assert (len(scaleway.keys(bearer)), scaleway.waiting()) == (1, 0)


def test_a_delete_lands_late(
    scaleway: ScalewaySandbox, manager: httpx.Client, connect: Connect, bearer: str, hands: Any
) -> None:
    access_key, secret = scaleway.create_key(bearer)
    scaleway.faults.add("late", method="DELETE", path=f"*/{access_key}", status=504, seconds=30.0)
    assert manager.delete(f"{KEYS}/{access_key}").status_code == 504
    assert connect(secret).get(KEYS).status_code != 401
    hands.advance(30)
    assert connect(secret).get(KEYS).status_code == 401
    assert scaleway.keys(bearer) == []


def test_what_lands_late_and_is_refused_then_makes_nothing_and_is_logged(
    scaleway: ScalewaySandbox, manager: httpx.Client, bearer: str
) -> None:
    scaleway.faults.add("late")
    create(manager, bearer)
    scaleway.delete_application(bearer)
    scaleway.release()
    assert scaleway.keys(bearer) == []
    assert (scaleway.log[-1].kind, scaleway.log[-1].detail) == ("faulted", "landed late as 404")


def test_late_refuses_at_once_whom_it_does_not_know(scaleway: ScalewaySandbox, connect: Connect, bearer: str) -> None:
    scaleway.faults.add("late")
    assert create(connect("nobody"), bearer).status_code == 401
    assert scaleway.waiting() == 0


def test_a_rule_picks_by_method_path_key_and_number(
    scaleway: ScalewaySandbox, manager: httpx.Client, connect: Connect
) -> None:
    access_key, secret = scaleway.create_key(scaleway.create_application("other", manager=True))
    own = f"{KEYS}/{access_key}"
    rule = scaleway.faults.add(
        "status", status=500, method="GET", path=f"{KEYS}/SCW*", access_key=access_key, skip=1, times=2
    )
    other = connect(secret)
    assert manager.get(own).status_code == 200
    assert other.patch(own, json={}).status_code == 200
    assert other.get(KEYS, params={"organization_id": scaleway.organization_id}).status_code == 200
    assert [other.get(own).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert (rule.hits, rule.spent) == (2, True)


def test_the_first_rule_that_fits_has_the_request(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    first = scaleway.faults.add("status", status=500)
    second = scaleway.faults.add("status", status=503, times=None)
    assert [manager.get(KEYS).status_code for _ in range(3)] == [500, 503, 503]
    assert (first.hits, second.hits) == (1, 2)
    scaleway.faults.remove(second.id)
    assert manager.get(KEYS).status_code == 400
    scaleway.faults.clear()
    assert scaleway.faults.list() == []


def test_chance_is_the_same_for_the_same_seed(scaleway: ScalewaySandbox, manager: httpx.Client) -> None:
    def outcomes(seed: int) -> list[int]:
        scaleway.faults.clear()
        scaleway.faults.add("status", status=500, probability=0.3, seed=seed, times=None)
        return [manager.get(KEYS).status_code for _ in range(60)]

    assert outcomes(1) == outcomes(1) != outcomes(2)
    assert 5 < outcomes(3).count(500) < 40


@pytest.mark.parametrize(
    ("action", "rule", "error"),
    [
        ("explode", {}, ValueError),
        ("status", {}, ValueError),
        ("delay", {}, ValueError),
        ("truncate", {"executed": True}, ValueError),
        ("late", {"executed": True}, ValueError),
        ("drop", {"tims": 1}, TypeError),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    action: str, rule: dict[str, Any], error: type[Exception], scaleway: ScalewaySandbox
) -> None:
    with pytest.raises(error):
        scaleway.faults.add(action, **rule)
    assert scaleway.faults.list() == []
