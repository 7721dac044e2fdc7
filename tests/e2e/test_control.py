"""The control socket on the real thing: an order that was acknowledged is kept, whatever happens to the daemon; no answer holds a secret."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import httpx

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon, Rig

GRACE = 3600


def furnished(rig: Rig, *names: str) -> Daemon:
    for name in names:
        rig.application(name)
    rig.configure(FAST.format(every="30d", grace=f"{GRACE}s"), account=f'[control]\ndirectory = "{rig.directory}"')
    daemon = rig.daemon()
    wait_until(lambda: all(rig.at_rest(name) for name in names), "it took over what consumers use")
    wait_until(lambda: daemon.said("control.listening", orders=True), "its door is open")
    return daemon


def connect(rig: Rig, name: str = "control.sock") -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(rig.directory / name))
    return httpx.Client(transport=transport, base_url="http://rotator", timeout=120, trust_env=False)


def test_i3_a_daemon_killed_right_after_it_acknowledged_a_compromise_revokes_at_once_when_it_is_back() -> None:
    with Rig() as rig:
        daemon = furnished(rig, "billing")
        leaked = rig.published("billing")
        wish = {"applications": ["billing"], "compromised": True, "reason": "found on a wiki"}
        with connect(rig) as client:
            lines = {"accept": "application/x-ndjson"}
            with client.stream("POST", "/v1/rotate", json=wish, headers=lines) as answer:
                for line in answer.iter_lines():
                    if line and json.loads(line)["event"] == "compromise.marked":
                        daemon.end(signal.SIGKILL)
                        break
        (mark,) = rig.ledger("billing")["compromised"]
        assert (mark["access_key"], mark["reason"]) == (leaked, "found on a wiki")
        assert "via control socket@" in mark["by"]
        daemon.start()
        wait_until(lambda: rig.at_rest("billing"), "it is contained")
        wait_until(lambda: len(rig.scaleway.keys(rig.bearers["billing"])) == 1, "and nothing is left over")
        assert not rig.scaleway.accepts(leaked)
        rig.check_rest("billing")
        assert leaked in {revocation.access_key for revocation in rig.revocations("billing")}


def test_a16_no_answer_of_any_verb_and_no_event_holds_a_secret() -> None:
    with Rig() as rig:
        daemon = furnished(rig, "billing", "shop")
        heard: list[str] = []
        listening = threading.Event()

        def listen() -> None:
            with connect(rig, "read.sock") as client, client.stream("GET", "/v1/events") as stream:
                listening.set()
                heard.extend(stream.iter_lines())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        assert listening.wait(60)
        answers = [rig.command(*words, check=False) for words in COMMANDS]
        assert "via control socket" in json.dumps(rig.ledger("shop"))
        with connect(rig) as client:
            answers_of_the_api = [client.get(path).text for path in PAGES]
            answers_of_the_api.append(client.post("/v1/rotate", json={"applications": ["billing"]}).text)
            answers_of_the_api.append(client.post("/v1/rotate", content=b"{").text)
        daemon.end(signal.SIGTERM)
        listener.join(60)
        assert any('"rotation.published"' in line for line in heard)
        rig.check_no_secret(
            *heard, *answers_of_the_api, *(text for done in answers for text in (done.stdout, done.stderr))
        )


COMMANDS: list[tuple[str, ...]] = [
    ("status",),
    ("status", "--json"),
    ("plan",),
    ("rotate", "billing"),
    ("rotate", "shop", "--compromised", "--reason", "drill"),
    ("history", "shop", "--json"),
    ("reload",),
    ("rotate", "bilingual"),
]

PAGES = [
    "/v1/health",
    "/v1/status",
    "/v1/plan",
    "/v1/history?application=shop",
    "/openapi.json",
    "/v1/history?application=none",
]


def test_a_daemon_that_is_told_to_end_does_not_wait_for_those_at_its_doors() -> None:
    with Rig() as rig:
        daemon = furnished(rig, "billing")
        with connect(rig) as client, client.stream("GET", "/v1/events") as stream:
            daemon.send(signal.SIGTERM)
            told: list[Any] = [json.loads(line)["event"] for line in stream.iter_lines() if line]
        assert "daemon.stopping" in told
        assert daemon.process
        wait_until(lambda: not daemon.alive(), "it ended")
        assert not list(Path(rig.directory).glob("*.sock"))
