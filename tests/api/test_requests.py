"""What comes in with a request of the control API, and the words in which it is refused."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from rotator.api.access_control import MAX_NAME_LENGTH, Peer, allowed_group, caller_name, offers_commands
from rotator.api.request_parsing import subjects_of
from rotator.config import Control
from rotator.operations.mass_rotation.handlers import MassRotationCommand
from rotator.operations.operation import NoArguments
from rotator.system.users import NOBODY
from tests.api.conftest import Front

ME = pwd.getpwuid(os.getuid()).pw_name
HOLD = {"applications": ["billing"], "reason": "x"}


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x"])
def test_a_body_is_json_however_its_type_is_written(front: Front, kind: str) -> None:
    content = b'{"applications": ["nothing"], "reason": "x"}'
    answer = front.ask("POST", "/v1/hold", content=content, headers={"content-type": kind})
    assert answer.status_code == 404
    assert answer.json()["error"]["kind"] == "unknown_application"


REFUSALS: dict[str, tuple[str, str, dict[str, Any], int, str, str]] = {
    "another type": (
        "POST",
        "/v1/hold",
        {"content": b"{}", "headers": {"content-type": "text/plain"}},
        415,
        "not_json",
        "a body has to be application/json, and say so in its content-type",
    ),
    "no type": (
        "POST",
        "/v1/hold",
        {"content": b"{}"},
        415,
        "not_json",
        "a body has to be application/json, and say so in its content-type",
    ),
    "another method": ("GET", "/v1/hold", {}, 405, "method", "the page has another method; see /openapi.json"),
    "no page": ("GET", "/v1/nothing", {}, 404, "not_found", "there is no such page; see /openapi.json"),
    "a query of a command": (
        "POST",
        "/v1/hold?b=1&a=2",
        {"json": HOLD},
        400,
        "usage",
        "a: is not an option here",
    ),
    "a query of the events": ("GET", "/v1/events?x=1", {}, 400, "usage", "x: is not an option here"),
    "too much": (
        "POST",
        "/v1/hold",
        {"content": b" " * (256 * 1024 + 1), "headers": {"content-type": "application/json"}},
        413,
        "too_large",
        "a body of more than 262144 bytes is not read; name fewer at once",
    ),
    "an option that is none": (
        "GET",
        "/v1/status?nothing=1",
        {},
        400,
        "usage",
        "unknown field; see /openapi.json",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_what_to_do_in_the_same_words_to_everyone(front: Front, case: str) -> None:
    method, path, options, status, kind, message = REFUSALS[case]
    answer = front.ask(method, path, **options)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["kind"], error["message"]) == (kind, message)
    assert answer.headers["content-type"] == "application/json"


def test_a_page_with_another_method_names_it(front: Front) -> None:
    assert front.ask("GET", "/v1/hold").headers["allow"] == "POST"


def test_a_list_in_a_query_may_have_one_value_or_many(front: Front) -> None:
    for names in (["billing"], ["billing", "mailer"]):
        answer = front.ask("GET", "/v1/status", params={"applications": names})
        assert answer.status_code == 200
        assert [view["spec"]["application"] for view in answer.json()["views"]] == names


def test_a_body_that_is_left_out_is_an_empty_one(front: Front) -> None:
    answer = front.ask("POST", "/v1/hold")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].endswith("field required")


@pytest.mark.parametrize(
    ("kernel", "stated", "name"),
    [
        (ME, "bob", ME),
        ("", "bob", "bob (as stated)"),
        (None, "bob", "bob (as stated)"),
        (None, "b%C3%B6b%0A", "böb (as stated)"),
        (None, "x" * 99, "x" * MAX_NAME_LENGTH + " (as stated)"),
        (None, "", "somebody"),
    ],
)
def test_who_gives_a_command_is_named_by_the_kernel_and_else_by_its_own_word(
    kernel: str | None, stated: str, name: str
) -> None:
    peer = None if kernel is None else Peer(os.getuid() if kernel else NOBODY)
    said = caller_name(peer, stated)
    assert said.partition(" via control socket@")[0] == name
    assert said.partition(" via control socket@")[2]


def test_a_command_is_about_what_it_names_and_what_may_be_a_secret_is_not_repeated() -> None:
    secret = "11111111-1111-4111-8111-111111111111"
    asked = MassRotationCommand.model_validate(
        {"applications": ["billing", secret, "a b"], "accounts": ["acme"], "globs": ["shop-*"]}
    )
    assert subjects_of(asked) == ["billing", "?", "?", "shop-*", "acme"]
    assert subjects_of(NoArguments()) == []


def test_each_socket_has_its_group_and_only_that_of_commands_offers_any(tmp_path: Path) -> None:
    control = Control(tmp_path, "readers", "operators")
    assert [allowed_group(control, name) for name in ("read.sock", "control.sock")] == ["readers", "operators"]
    assert [offers_commands(name) for name in ("read.sock", "control.sock")] == [False, True]
