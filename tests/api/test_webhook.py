"""The webhook: who is not known learns nothing, who is known can do one thing, a few times a minute."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.api import webhook
from rotator.api.webhook_auth import MAX_AHEAD, MAX_REMEMBERED, TOLERANCE, ReplayGuard, signature
from rotator.config import Listener, Reference, Webhook
from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from rotator.sandbox.certificates import Authority
from rotator.sandbox.process import free_port
from tests.api.conftest import Front
from tests.support.daemon_stage import eventually, published, runtime, settled

DOCUMENT = (Path(__file__).parents[2] / "docs" / "webhook.md").read_text()
TOKEN, KEY = Secret("t" * 40), Secret("signing-key-with-40-characters-0123456789")


@dataclass
class Outside:
    """A machine somewhere that knows, or does not know, what one has to know."""

    front: Front
    settings: Webhook

    @property
    def url(self) -> str:
        return f"http://{self.settings.at}"

    def sign(self, body: bytes, *, at: float | None = None, key: Secret = KEY, token: Secret = TOKEN) -> dict[str, str]:
        timestamp = str(int(time.time() if at is None else at))
        return {
            "authorization": f"Bearer {token.reveal()}",
            "rotator-timestamp": timestamp,
            "rotator-signature": signature(key, timestamp, body),
        }

    def send(
        self, body: bytes, headers: dict[str, str], path: str = webhook.PATH, method: str = "POST"
    ) -> httpx.Response:
        with httpx.Client(timeout=60, trust_env=False) as client:
            return client.request(method, self.url + path, content=body, headers=headers)

    def report(self, **what: Any) -> httpx.Response:
        body = json.dumps(what).encode()
        return self.send(body, self.sign(body))


@pytest.fixture
def outside(front: Front) -> Outside:
    settled("billing", front.daemon_handle.runtime)
    return known(front)


def known(front: Front) -> Outside:
    """Open the door to machines; whoever comes knows what one has to know."""
    for name, secret in (("token", TOKEN), ("key", KEY)):
        (front.folder / name).write_text(secret.reveal() + "\n")
        (front.folder / name).chmod(0o600)
    settings = Webhook(
        Listener("127.0.0.1", free_port()),
        signing_key=Reference("file", str(front.folder / "key")),
        token=Reference("file", str(front.folder / "token")),
    )
    # As if the daemon had started a while ago, but after what was signed half a minute ago.
    front.listeners.replay_guard = ReplayGuard(time.time() - MAX_AHEAD - 10)
    front.listeners.maintain(None, settings)
    return Outside(front, settings)


def events(outside: Outside, name: str) -> list[dict[str, Any]]:
    return [fields for event, fields in outside.front.daemon_handle.events.events if event == name]


def contained(outside: Outside) -> Callable[[], bool]:
    return lambda: any(name == "compromise.contained" for name, _ in outside.front.daemon_handle.events.events)


def test_a_reported_application_is_marked_before_the_answer_and_contained_after_it(outside: Outside) -> None:
    made = outside.front.daemon_handle.runtime
    before = published(made, "billing")
    answer = outside.report(application="billing", reason="seen in a repository")
    assert (answer.status_code, answer.json()) == (
        202,
        {"application": "billing", "access_keys": [before], "state": "marked"},
    )
    ledger, _ = made.vault.read_ledger("billing")
    assert ledger
    assert [entry.access_keys for entry in ledger.incidents] == [(before,)]
    eventually(contained(outside))
    assert published(made, "billing") not in (None, before)
    assert outside.front.daemon_handle.looked_at == ["billing"]
    assert re.fullmatch(r"webhook from 127\.0\.0\.1@.+", ledger.incidents[0].by)


def test_a_reported_access_key_is_found_by_its_bearer(outside: Outside) -> None:
    before = published(outside.front.daemon_handle.runtime, "billing")
    answer = outside.report(access_key=before)
    assert (answer.status_code, answer.json()["access_keys"]) == (202, [before])
    eventually(contained(outside))
    replacement = published(outside.front.daemon_handle.runtime, "billing")
    again = outside.report(access_key=before, reason="once more")
    assert (again.status_code, again.json()["state"], again.json()["access_keys"]) == (202, "revoked", [])
    assert published(outside.front.daemon_handle.runtime, "billing") == replacement


def test_who_waits_no_longer_for_the_mark_cuts_nothing_short(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "MARK_TIMEOUT", 0.2)
    before, goes_on = published(outside.front.daemon_handle.runtime, "billing"), threading.Event()
    outside.front.daemon_handle.runtime.stages["acme"].hook = lambda name, phase: (
        goes_on.wait(60) if (name, phase) == ("write_ledger", "before") else None
    )
    answer = outside.report(access_key=before)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "too_slow")
    goes_on.set()
    eventually(contained(outside))
    eventually(lambda: outside.front.listeners.executor.busy == 0)
    assert not [name for name, _ in outside.front.daemon_handle.events.events if name == "daemon.crashed"]


def test_an_account_that_is_away_hides_no_key_of_another(front: Front) -> None:
    made = front.daemon_handle.runtime = runtime(
        "abroad", "billing", accounts={"abroad": "other"}, source=front.daemon_handle.runtime.source
    )
    settled("billing", made)

    def away(name: str, phase: str) -> None:
        raise Unavailable("no answer", service="scaleway", kind="timeout")

    made.stages["other"].hook = away
    outside = known(front)
    answer = outside.report(access_key=published(made, "billing"))
    assert (answer.status_code, answer.json()["application"]) == (202, "billing")
    assert outside.report(access_key="SCWAAAAAAAAAAAAAAAAA").status_code == 503, "it may be the other account's"


FORGERIES: dict[str, Callable[[Outside, bytes], dict[str, str]]] = {
    "no headers at all": lambda _, body: {},
    "a wrong token": lambda outside, body: outside.sign(body, token=Secret("wrong")),
    "another key": lambda outside, body: outside.sign(body, key=Secret("guessed")),
    "signed for another body": lambda outside, body: outside.sign(body + b" "),
    "an old time": lambda outside, body: outside.sign(body, at=time.time() - TOLERANCE - 60),
    "a time to come": lambda outside, body: outside.sign(body, at=time.time() + TOLERANCE + 60),
    "signed before the start": lambda outside, body: outside.sign(body, at=time.time() - 30),
    "no number": lambda outside, body: outside.sign(body) | {"rotator-timestamp": "now"},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_is_forged_or_old_gets_an_empty_401(outside: Outside, forgery: str) -> None:
    body = b'{"application": "billing"}'
    answer = outside.send(body, FORGERIES[forgery](outside, body))
    assert (answer.status_code, answer.content) == (401, b"")
    ledger, _ = outside.front.daemon_handle.runtime.vault.read_ledger("billing")
    assert ledger is None
    assert len(events(outside, "webhook.rejected")) == 1


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/openapi.json"), ("POST", "/v1/rotate"), ("PUT", webhook.PATH)]
)
def test_who_is_not_known_cannot_tell_one_page_from_another(outside: Outside, method: str, path: str) -> None:
    answer = outside.send(b"", {}, path, method)
    assert (answer.status_code, answer.content) == (401, b"")


def test_what_was_signed_once_is_good_once(outside: Outside) -> None:
    body = b'{"application": "nobody"}'
    headers = outside.sign(body)
    assert outside.send(body, headers).status_code == 404
    assert outside.send(body, headers).status_code == 401
    assert [event["reason"] for event in events(outside, "webhook.rejected")] == ["replayed"]


def test_a_large_body_is_not_read_and_a_slow_one_not_waited_for(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = json.dumps({"application": "billing", "reason": "x" * webhook.MAX_BODY}).encode()
    assert outside.send(large, outside.sign(large)).status_code == 401
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", 0.1)
    body = b'{"application": "billing"}'
    with socket.create_connection((outside.settings.at.host, outside.settings.at.port), timeout=60) as slow:
        head = "".join(f"{name}: {value}\r\n" for name, value in outside.sign(body).items())
        slow.sendall(
            f"POST {webhook.PATH} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1]
        )
        assert slow.recv(65536).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("report", "status", "kind"),
    [
        ({}, 400, "usage"),
        ({"application": "billing", "access_key": "SCWX"}, 400, "usage"),
        ({"application": "billing", "grace": "0s"}, 400, "usage"),
        ({"application": "nobody"}, 404, "unknown_application"),
        ({"access_key": "SCWNOBODYXXXXXXXXXXX"}, 404, "not_found"),
    ],
)
def test_who_is_known_is_told_what_is_wrong(outside: Outside, report: dict[str, str], status: int, kind: str) -> None:
    answer = outside.report(**report)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)


def test_i5_a_strangers_key_is_left_to_a_person(outside: Outside) -> None:
    made = outside.front.daemon_handle.runtime
    stranger, _ = made.stages["acme"].make_key(bearer=made.specs["billing"].bearer)
    answer = outside.report(access_key=stranger.access_key)
    assert (answer.status_code, "unmanaged" in answer.json()["error"]["message"]) == (409, True)
    assert stranger.access_key in made.stages["acme"].keys


def test_reports_have_a_rate(outside: Outside) -> None:
    outside.front.listeners.maintain(None, replace(outside.settings, rate_limit=2))
    answers = [outside.report(application="nobody", reason=str(number)).status_code for number in range(3)]
    assert answers == [404, 404, 429]


def test_refusals_fill_no_log(outside: Outside) -> None:
    for _ in range(20):
        outside.send(b"", {})
    assert len(events(outside, "webhook.rejected")) == 1


def test_secrets_that_cannot_be_read_let_nobody_in(outside: Outside) -> None:
    (outside.front.folder / "token").unlink()
    assert outside.report(application="billing").status_code == 401


def test_a_token_can_be_replaced_while_the_daemon_runs(outside: Outside) -> None:
    (outside.front.folder / "token").write_text("another token\n")
    assert outside.report(application="nobody").status_code == 401
    body = b'{"application": "nobody"}'
    assert outside.send(body, outside.sign(body, token=Secret("another token"))).status_code == 404


def test_a_port_that_is_taken_is_said_and_tried_again(front: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        (front.folder / "key").write_text(KEY.reveal())
        at = Listener("127.0.0.1", other.getsockname()[1])
        settings = Webhook(at, signing_key=Reference("file", str(front.folder / "key")))
        front.listeners.maintain(None, settings)
        front.listeners.maintain(None, settings)
        assert [name for name, _ in front.daemon_handle.events.events if name.startswith("webhook.")] == [
            "webhook.unavailable"
        ]
        assert front.listeners.remark == f"cannot listen at {at}"
    front.listeners.maintain(None, settings)
    assert front.daemon_handle.events.events[-1][0] == "webhook.listening"
    assert front.listeners.remark == ""


def test_with_an_authority_for_callers_only_who_has_its_certificate_gets_as_far_as_a_request(outside: Outside) -> None:
    folder = outside.front.folder
    authority = Authority(folder / "authority")
    ours, theirs = authority.issue("127.0.0.1"), authority.issue("scanner")
    settings = replace(
        outside.settings,
        token=None,
        client_ca=authority.certificate,
        certificate=Reference("file", str(ours[0])),
        key=Reference("file", str(ours[1])),
    )
    outside.front.listeners.maintain(None, settings)
    body = b'{"application": "nobody"}'
    trusted = ssl.create_default_context(cafile=str(authority.certificate))
    with httpx.Client(verify=trusted, timeout=60, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.post(f"https://{settings.at}{webhook.PATH}", content=body, headers=outside.sign(body))
    trusted.load_cert_chain(*theirs)
    with httpx.Client(verify=trusted, timeout=60, trust_env=False) as client:
        answer = client.post(f"https://{settings.at}{webhook.PATH}", content=body, headers=outside.sign(body))
    assert answer.status_code == 404


def test_the_shell_example_of_the_documentation_works(outside: Outside) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    header = outside.front.folder / "header"
    header.write_text(f"Authorization: Bearer {TOKEN.reveal()}\n")
    environment = {
        "PATH": os.environ["PATH"],
        "SIGNING_KEY_FILE": str(outside.front.folder / "key"),
        "TOKEN_HEADER_FILE": str(header),
        "URL": outside.url,
    }
    done = subprocess.run(
        ["sh", "-euc", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads(done.stdout)["state"] == "marked", done.stderr


def test_the_python_example_of_the_documentation_works(outside: Outside) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    key = published(outside.front.daemon_handle.runtime, "billing")
    answer = names["report"](outside.url, TOKEN.reveal(), KEY.reveal(), key, "seen")
    assert answer == {"application": "billing", "access_keys": [key], "state": "marked"}


def test_signatures_are_forgotten_when_they_are_too_old_to_be_good_and_never_too_many() -> None:
    signatures = ReplayGuard(0.0)
    for number in range(MAX_REMEMBERED):
        body = str(number).encode()
        assert signatures.refuse(KEY, "1000", signature(KEY, "1000", body), body, 1000.0) == ""
    good = signature(KEY, "1000", b"one more")
    assert signatures.refuse(KEY, "1000", good, b"one more", 1000.0) == "too_many"
    later = str(1000 + 3 * TOLERANCE)
    assert signatures.refuse(KEY, later, signature(KEY, later, b""), b"", float(later)) == ""
