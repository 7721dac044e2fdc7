"""Hostile callers of the webhook: replays, idle connections, floods of reports; and certificates and keys that change or are bad."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from rotator import __version__
from rotator.api import http_server
from rotator.api.webhook_auth import MAX_AHEAD, ReplayGuard
from rotator.config import Reference
from rotator.sandbox.certificates import Authority
from tests.api.conftest import Front
from tests.api.test_webhook import Outside, events, known
from tests.support.daemon_stage import eventually, published, settled


@pytest.fixture
def outside(front: Front) -> Outside:
    settled("billing", front.daemon_handle.runtime)
    return known(front)


# --- a signature is good once -----------------------------------------------------------------------------------------------


def test_a_signature_is_good_once_across_a_reload_in_the_same_second(outside: Outside) -> None:
    body = b'{"application": "nobody"}'
    headers = outside.sign(body)
    assert outside.send(body, headers).status_code == 404
    outside.front.listeners.maintain(None, replace(outside.settings, rate_limit=5))
    assert outside.send(body, headers).status_code == 401


def test_a_report_right_after_the_start_is_told_to_come_again(outside: Outside) -> None:
    outside.front.listeners.replay_guard = ReplayGuard(time.time())
    outside.front.listeners.maintain(None, replace(outside.settings, rate_limit=5))
    answer = outside.report(application="billing")
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "starting")
    assert 0 < int(answer.headers["retry-after"]) <= MAX_AHEAD + 1


# --- idle strangers ---------------------------------------------------------------------------------------------------------

IDLE: dict[str, bytes] = {
    "silent": b"",
    "in the middle of the head": b"POST /v1/comp",
    "in the middle of the body": b"POST /v1/compromised HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
}


@contextmanager
def idle(outside: Outside, count: int, said: bytes) -> Iterator[None]:
    connections = []
    for _ in range(count):
        connection = socket.create_connection((outside.settings.at.host, outside.settings.at.port), timeout=60)
        connection.sendall(said)
        connections.append(connection)
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("said", IDLE)
def test_c12_idle_strangers_keep_nobody_from_reporting(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_TIMEOUT", 600.0)
    monkeypatch.setattr("rotator.api.webhook.BODY_TIMEOUT", 600.0)
    with idle(outside, 100, IDLE[said]):
        assert outside.report(application="nobody").status_code == 404


STRANGE: dict[str, bytes] = {
    "no credentials": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a head that is too large": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    "a version of HTTP that is not": b"GET / HTTP/9.9\r\n\r\n",
}


@pytest.mark.parametrize("sent", STRANGE)
def test_a_stranger_learns_neither_name_nor_version_nor_library(outside: Outside, sent: str) -> None:
    with socket.create_connection((outside.settings.at.host, outside.settings.at.port), timeout=60) as connection:
        connection.sendall(STRANGE[sent])
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert answer == b"" or answer.startswith(b"HTTP/1.1 401")
    for word in (__version__.encode(), b"rotator", b"uvicorn", b"Invalid"):
        assert word.lower() not in answer.lower()


def test_a_stranger_is_logged_by_the_address_of_the_connection_and_not_by_a_header(outside: Outside) -> None:
    claimed = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    assert outside.send(b"", claimed).status_code == 401
    assert [event["source"] for event in events(outside, "webhook.rejected")] == ["127.0.0.1"]


def test_a_stranger_who_begins_no_handshake_is_hung_up_on(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HANDSHAKE_TIMEOUT", 0.1)
    authority = Authority(outside.front.folder / "authority")
    outside.front.listeners.maintain(None, with_tls(outside, *authority.issue("127.0.0.1")))
    with socket.create_connection((outside.settings.at.host, outside.settings.at.port), timeout=30) as silent:
        assert silent.recv(1) == b""
    assert served(outside, authority)


# --- floods of people who are known -----------------------------------------------------------------------------------------


def test_reports_of_one_application_leave_the_places_that_are_kept_for_people(outside: Outside) -> None:
    front = outside.front
    outside.front.listeners.maintain(None, replace(outside.settings, rate_limit=1000))
    over = threading.Event()
    front.daemon_handle.runtime.stages["acme"].hook = lambda name, phase: (
        over.wait(60) if name == "create_key" and phase == "before" else None
    )
    leaked = published(front.daemon_handle.runtime, "billing")
    try:
        first = outside.report(application="billing", reason="first")
        assert (first.status_code, first.json()["access_keys"]) == (202, [leaked])
        for number in range(20):
            again = outside.report(application="billing", reason=f"again {number}")
            assert (again.status_code, again.json()) == (202, first.json())
            by_key = outside.report(access_key=leaked, reason=f"by its key {number}")
            assert (by_key.status_code, by_key.json()["access_keys"]) == (202, [leaked])
        eventually(lambda: front.listeners.executor.busy == 1, "one command contains the application")
    finally:
        over.set()
    eventually(lambda: front.listeners.executor.busy == 0)


def test_reports_of_many_applications_leave_places_for_people(outside: Outside) -> None:
    front = outside.front
    outside.front.listeners.maintain(None, replace(outside.settings, rate_limit=1000))
    over = threading.Event()
    front.daemon_handle.runtime.stages["acme"].hook = lambda name, phase: over.wait(60) if name == "get_key" else None
    answers: list[int] = []

    def report(number: int) -> None:
        answers.append(outside.report(access_key=f"SCW{number:017}").status_code)

    callers = [threading.Thread(target=report, args=(number,)) for number in range(12)]
    for caller in callers:
        caller.start()
    try:
        eventually(lambda: answers.count(429) == 8, "more than four at once are refused")
        assert front.listeners.executor.busy == 4
        person = front.listeners.executor.carry_out(lambda: "done", urgent=True)
        assert person.result(60) == "done"
    finally:
        over.set()
        for caller in callers:
            caller.join()


# --- certificates -----------------------------------------------------------------------------------------------------------


def encrypted(key: Path) -> Path:
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    path = key.with_suffix(".encrypted")
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a phrase"),
        )
    )
    path.chmod(0o600)
    return path


def served(outside: Outside, authority: Authority) -> int:
    """The serial number of the certificate that is served."""
    from cryptography import x509

    context = ssl.create_default_context(cafile=str(authority.certificate))
    at = outside.settings.at
    with (
        socket.create_connection((at.host, at.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=at.host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der).serial_number


def with_tls(outside: Outside, certificate: Path, key: Path, **more: Any) -> Any:
    return replace(
        outside.settings, certificate=Reference("file", str(certificate)), key=Reference("file", str(key)), **more
    )


def test_c6_a_renewed_certificate_is_served_without_a_reload(outside: Outside) -> None:
    authority = Authority(outside.front.folder / "authority")
    settings = with_tls(outside, *authority.issue("127.0.0.1"))
    outside.front.listeners.maintain(None, settings)
    before = served(outside, authority)
    authority.issue("127.0.0.1")
    outside.front.listeners.maintain(None, settings)
    after = served(outside, authority)
    assert after != before
    outside.front.listeners.maintain(None, settings)
    assert served(outside, authority) == after
    assert [event["listen"] for event in events(outside, "webhook.listening")] == [str(outside.settings.at)] * 3


def test_c6_a_half_renewed_certificate_is_reported_once_and_the_old_one_served_until_it_is_whole(
    outside: Outside,
) -> None:
    authority = Authority(outside.front.folder / "authority")
    certificate, key = authority.issue("127.0.0.1")
    settings = with_tls(outside, certificate, key)
    outside.front.listeners.maintain(None, settings)
    before, other = served(outside, authority), authority.issue("other")
    certificate.write_bytes(other[0].read_bytes())
    for _ in range(3):
        outside.front.listeners.maintain(None, settings)
    assert served(outside, authority) == before
    (complaint,) = events(outside, "webhook.unavailable")
    assert "the certificate or the key" in complaint["message"]
    key.write_bytes(other[1].read_bytes())
    outside.front.listeners.maintain(None, settings)
    assert served(outside, authority) != before


def test_a_key_with_a_pass_phrase_is_refused_at_once_with_what_to_do(outside: Outside) -> None:
    authority = Authority(outside.front.folder / "authority")
    certificate, key = authority.issue("127.0.0.1")
    begun = time.monotonic()
    outside.front.listeners.maintain(None, with_tls(outside, certificate, encrypted(key)))
    assert time.monotonic() - begun < 30
    (complaint,) = events(outside, "webhook.unavailable")
    assert "pass phrase" in complaint["message"]
    assert "openssl pkey" in complaint["message"]


def test_a_key_with_a_pass_phrase_is_found_by_the_check_of_the_configuration(tmp_path: Path) -> None:
    _, key = Authority(tmp_path / "authority").issue("127.0.0.1")
    Reference("file", str(key)).check(lines=True)
    with pytest.raises(Exception, match="pass phrase"):
        Reference("file", str(encrypted(key))).check(lines=True)


def test_the_bodies_of_strangers_are_never_parsed(outside: Outside) -> None:
    assert outside.send(b"[" * 1000 + json.dumps({}).encode(), {}).status_code == 401
