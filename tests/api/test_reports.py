"""The webhook without a socket: whole answers, whole events, and what each report does to the ledger."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from rotator.api import webhook
from rotator.api.executor import CommandExecutor
from rotator.api.webhook import WebhookApp
from rotator.api.webhook_auth import ReplayGuard, signature
from rotator.api.webhook_slots import ReportSlots
from rotator.config import Listener, Webhook
from rotator.config.secret_reference import Reference
from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from tests.api.conftest import FakeHouse
from tests.api.in_process import Answer, ask
from tests.support.daemon_stage import eventually, published, runtime, settled

TOKEN, KEY = Secret("t" * 40), Secret("signing-key-with-40-characters-0123456789")
START = 1_000_000.0
HERE = f"webhook from 192.0.2.7@{socket.gethostname()}"
STRANGER = "SCWAAAAAAAAAAAAAAAAA"


@dataclass
class Stage:
    """A webhook before a house; the clock shows an hour after the start."""

    folder: Path
    house: FakeHouse
    executor: CommandExecutor = field(init=False)
    slots: ReportSlots = field(default_factory=ReportSlots)
    guard: ReplayGuard = field(default_factory=lambda: ReplayGuard(START))
    now: float = START + 3600
    rate: int = 100

    def __post_init__(self) -> None:
        self.executor = CommandExecutor(self.house.stopping)
        for name, secret in (("token", TOKEN), ("key", KEY)):
            (self.folder / name).write_text(secret.reveal() + "\n")
            (self.folder / name).chmod(0o600)
        self.app = WebhookApp(
            self.house, self.executor, self.settings(), self.guard, self.slots, clock=lambda: self.now
        )

    def settings(self) -> Webhook:
        return Webhook(
            Listener("127.0.0.1", 8443),
            signing_key=Reference("file", str(self.folder / "key")),
            token=Reference("file", str(self.folder / "token")),
            rate_limit=self.rate,
        )

    def signed(self, body: bytes, *, at: float | None = None, key: Secret = KEY) -> dict[str, str]:
        timestamp = str(int(self.now if at is None else at))
        return {
            "authorization": f"Bearer {TOKEN.reveal()}",
            "rotator-timestamp": timestamp,
            "rotator-signature": signature(key, timestamp, body),
        }

    def send(self, body: bytes, headers: Mapping[str, str] | None = None, **options: Any) -> Answer:
        given = self.signed(body) if headers is None else headers
        return ask(self.app.app, "POST", "/v1/compromised", body=body, headers=given, **options)

    def report(self, **what: Any) -> Answer:
        self.now += 1  # no two reports have the same signature
        return self.send(json.dumps(what).encode())

    def events(self, *names: str) -> list[tuple[str, dict[str, Any]]]:
        return [(name, fields) for name, fields in self.house.events.events if name in names]

    def settle(self) -> None:
        eventually(lambda: self.executor.busy == 0)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = runtime("billing", "mailer", source=str(tmp_path / "rotator.toml"))
    settled("billing", made)
    house = FakeHouse(made)
    made.sink = house.sink
    found = Stage(tmp_path, house)
    yield found
    found.executor.give_up()


def key_of(stage: Stage) -> str:
    found = published(stage.house.runtime, "billing")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("given", "reason"), [({"reason": "seen in a repository"}, "seen in a repository"), ({}, "reported by a machine")]
)
def test_a_report_of_an_application_marks_its_key_and_contains_it(
    stage: Stage, given: dict[str, str], reason: str
) -> None:
    leaked = key_of(stage)
    found = stage.report(application="billing", **given)
    assert found.status == 202
    assert found.headers["content-type"] == "application/json"
    assert found.json() == {"application": "billing", "access_keys": [leaked], "state": "marked"}
    assert (found.admitted, found.allowed) == (True, [70.0])
    stage.settle()
    ledger, _ = stage.house.runtime.vault.read_ledger("billing")
    assert ledger is not None
    [incident] = ledger.incidents
    assert (incident.reason, incident.by, incident.access_keys) == (reason, HERE, (leaked,))
    assert incident.closed_at is not None
    assert stage.events("control.command") == [
        ("control.command", {"operation": "compromised", "by": HERE, "about": ["billing"], "reason": reason})
    ]
    assert len(stage.events("compromise.contained")) == 1
    assert stage.house.looked_at == ["billing"]
    assert stage.house.lent == 0
    assert key_of(stage) != leaked


def test_a_report_of_a_key_is_one_of_its_application_and_a_revoked_key_is_told_as_such(stage: Stage) -> None:
    leaked = key_of(stage)
    assert stage.report(access_key=leaked).json() == {
        "application": "billing",
        "access_keys": [leaked],
        "state": "marked",
    }
    stage.settle()
    assert stage.report(access_key=leaked).json() == {"application": "billing", "access_keys": [], "state": "revoked"}
    stage.settle()
    assert len(stage.events("control.command")) == 1
    assert stage.house.looked_at == ["billing"]


def test_a_report_of_an_application_that_is_being_contained_only_marks(stage: Stage) -> None:
    with stage.slots.containing("billing"):
        assert stage.report(application="billing").json()["state"] == "marked"
        stage.settle()
    assert stage.events("compromise.contained") == []
    assert stage.house.looked_at == ["billing"], "the daemon looks, and acts on the mark"


REPORTS: Mapping[str, tuple[bytes, int, str, str]] = {
    "no JSON": (b"{", 400, "usage", "the report: Invalid JSON: EOF while parsing an object at line 1 column 1"),
    "nothing named": (
        b"{}",
        400,
        "usage",
        "the report: Value error, name either an application or an access_key",
    ),
    "both named": (
        b'{"application": "billing", "access_key": "A"}',
        400,
        "usage",
        "the report: Value error, name either an application or an access_key",
    ),
    "a field too many": (
        b'{"application": "billing", "secret_text": 1}',
        400,
        "usage",
        "the report: Extra inputs are not permitted",
    ),
    "a key that is none": (
        b'{"access_key": "a b"}',
        400,
        "usage",
        "access_key: String should match pattern '^[A-Za-z0-9_-]{1,64}$'",
    ),
    "no name": (b'{"application": ""}', 400, "usage", "application: String should have at least 1 character"),
    "a long name": (
        json.dumps({"application": "a" * 65}).encode(),
        400,
        "usage",
        "application: String should have at most 64 characters",
    ),
    "a long reason": (
        json.dumps({"application": "billing", "reason": "a" * 301}).encode(),
        400,
        "usage",
        "reason: Value should have at most 300 items after validation, not 301",
    ),
    "an application that does not exist": (
        b'{"application": "nobody"}',
        404,
        "unknown_application",
        "there is no application nobody in {source}; there is none like it",
    ),
    "a key of no application": (
        json.dumps({"access_key": STRANGER}).encode(),
        404,
        "not_found",
        "no application of the configuration has a valid key of that name",
    ),
}


@pytest.mark.parametrize(("body", "status", "kind", "message"), REPORTS.values(), ids=REPORTS)
def test_who_is_known_is_told_what_is_wrong(stage: Stage, body: bytes, status: int, kind: str, message: str) -> None:
    found = stage.send(body)
    code, error = found.error
    assert (code, error["kind"]) == (status, kind)
    assert error["message"] == message.replace("{source}", stage.house.runtime.source)
    assert found.headers["content-type"] == "application/json"
    stage.settle()
    assert stage.events("control.command", "webhook.rejected") == []
    assert stage.house.looked_at == []


def test_control_characters_of_a_reason_are_left_out(stage: Stage) -> None:
    stage.report(application="billing", reason="seen\x1b[2J in\na wiki")
    stage.settle()
    [(_, fields)] = stage.events("control.command")
    assert "\x1b" not in fields["reason"]
    assert fields["reason"].startswith("seen")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/compromised"), ("POST", "/v1/rotate"), ("POST", "/")])
def test_there_is_one_page_for_who_is_known(stage: Stage, method: str, path: str) -> None:
    found = ask(stage.app.app, method, path, body=b"", headers=stage.signed(b""))
    assert found.error == (
        404,
        {"kind": "not_found", "message": "there is only POST /v1/compromised", "exit_code": 2},
    )


def test_i5_an_unmanaged_key_of_a_bearer_is_left_to_a_person(stage: Stage) -> None:
    stranger, _ = stage.house.runtime.stages["acme"].make_key(bearer="bearer-billing")
    found = stage.report(access_key=stranger.access_key)
    assert found.error == (
        409,
        {
            "kind": "refused",
            "message": f"{stranger.access_key} of billing is an unmanaged key: a person has to look, and to revoke it "
            "by name",
            "exit_code": 4,
        },
    )
    other, _ = stage.house.runtime.stages["acme"].make_key(bearer="bearer-mailer")
    found = stage.report(access_key=other.access_key)
    assert found.error[1]["message"].startswith(f"{other.access_key} of mailer is an unmanaged key")


FORGERIES: Mapping[str, tuple[dict[str, str | None], str]] = {
    "nothing": ({"authorization": None, "rotator-timestamp": None, "rotator-signature": None}, "token"),
    "another token": ({"authorization": "Bearer x"}, "token"),
    "another scheme": ({"authorization": f"Basic {TOKEN.reveal()}"}, "token"),
    "another signature": ({"rotator-signature": "0" * 64}, "signature"),
    "no signature": ({"rotator-signature": None}, "signature"),
    "no timestamp": ({"rotator-timestamp": None}, "signature"),
}


@pytest.mark.parametrize(("changes", "reason"), FORGERIES.values(), ids=FORGERIES)
def test_who_is_not_known_gets_an_empty_401_and_the_log_the_reason(
    stage: Stage, changes: dict[str, str | None], reason: str
) -> None:
    body = b'{"application": "billing"}'
    headers = {name: value for name, value in {**stage.signed(body), **changes}.items() if value is not None}
    found = stage.send(body, headers)
    assert (found.status, found.body, found.headers) == (401, b"", {"content-length": "0"})
    assert found.allowed == []
    rejected = {"reason": reason, "source": "192.0.2.7", "requests": 1}
    assert stage.events("webhook.rejected") == [("webhook.rejected", rejected)]


@pytest.mark.parametrize(("ago", "reason"), [(301, "timestamp"), (300, ""), (-30, ""), (-31, "timestamp")])
def test_a_signature_is_good_for_five_minutes_and_of_a_clock_that_is_half_a_minute_ahead(
    stage: Stage, ago: float, reason: str
) -> None:
    body = b'{"application": "nobody"}'
    found = stage.send(body, stage.signed(body, at=stage.now - ago))
    assert found.status == (401 if reason else 404)
    assert [fields["reason"] for _, fields in stage.events("webhook.rejected")] == ([reason] if reason else [])


def test_what_was_signed_once_is_good_once(stage: Stage) -> None:
    body = b'{"application": "nobody"}'
    headers = stage.signed(body)
    assert [stage.send(body, headers).status for _ in range(2)] == [404, 401]
    assert [fields["reason"] for _, fields in stage.events("webhook.rejected")] == ["replayed"]


@pytest.mark.parametrize(("since", "again"), [(0.0, 31), (25.5, 6), (29.9, 2), (30.0, 1)])
def test_right_after_the_start_a_report_is_told_when_to_come_again(stage: Stage, since: float, again: int) -> None:
    stage.now = START + since
    body = b'{"application": "billing"}'
    found = stage.send(body)
    assert (found.status, found.headers["retry-after"]) == (503, str(again))
    assert found.json() == {
        "error": {
            "kind": "starting",
            "message": "the daemon has just started and cannot recognise a repeated report yet: sign and report it "
            f"again in {again} seconds",
        }
    }
    assert stage.events("webhook.rejected") == []


def test_a_body_that_is_large_or_broken_off_is_that_of_a_stranger(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = json.dumps({"application": "nobody"}).encode().ljust(2048)
    assert stage.send(fits).status == 404
    large = fits + b" "
    stage.now += 60
    found = stage.send(large)
    assert (found.status, found.admitted) == (401, False)
    half = ask(stage.app.app, "POST", "/v1/compromised", headers=stage.signed(b"{"), pieces=[b"{", "disconnect"])
    assert half.status == 401
    monkeypatch.setattr(webhook, "BODY_TIMEOUT", 0.05)
    slow = ask(stage.app.app, "POST", "/v1/compromised", headers=stage.signed(b"{}"), pieces=[b"{", 30, b"}"])
    assert slow.status == 401
    assert [fields["reason"] for _, fields in stage.events("webhook.rejected")] == ["body"]


class Monotonic:
    """The clock by which events about strangers are spaced."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_strangers_fill_no_log_and_are_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Monotonic()
    monkeypatch.setattr(webhook, "time", clock)
    for seconds in (0, 1, 58.9, 0.1, 1):
        clock.now += seconds
        assert stage.send(b"", {}).status == 401
    assert [fields for _, fields in stage.events("webhook.rejected")] == [
        {"reason": "token", "source": "192.0.2.7", "requests": 1},
        {"reason": "token", "source": "192.0.2.7", "requests": 3},
    ]


def test_secrets_that_cannot_be_read_let_no_report_in_and_a_new_token_counts_at_once(stage: Stage) -> None:
    (stage.folder / "token").write_text("n" * 40)
    body = b'{"application": "nobody"}'
    assert stage.send(body).status == 401
    assert stage.send(body, {**stage.signed(body), "authorization": f"Bearer {'n' * 40}"}).status == 404
    (stage.folder / "key").unlink()
    stage.app._rejected_event_at = float("-inf")
    assert stage.send(body).status == 401
    assert [fields["reason"] for _, fields in stage.events("webhook.rejected")] == ["token", "secrets_unreadable"]


def test_without_a_token_the_signature_is_enough(stage: Stage) -> None:
    stage.app._settings = replace(stage.settings(), token=None)
    body = b'{"application": "nobody"}'
    headers = {name: value for name, value in stage.signed(body).items() if name != "authorization"}
    assert stage.send(body, headers).status == 404


def test_an_error_of_the_program_is_logged_by_its_place_and_answered_with_an_empty_500(stage: Stage) -> None:
    def crash(request: object, body: bytes | None) -> str:
        raise ZeroDivisionError("a secret")

    stage.app._reject = crash  # type: ignore[method-assign]  # a mistake of ours
    found = stage.send(b"{}")
    assert (found.status, found.body) == (500, b"")
    [(_, fields)] = stage.events("daemon.crashed")
    assert fields["error"] == "ZeroDivisionError"
    assert "rotator.api.webhook" in fields["where"]


def test_an_error_of_the_program_in_the_containment_is_the_answer_without_its_text(stage: Stage) -> None:
    def crash(name: str, phase: str) -> None:
        raise ZeroDivisionError("a secret")

    stage.house.runtime.stages["acme"].hook = crash
    found = stage.report(application="billing")
    assert (found.status, found.body) == (500, b"")
    stage.settle()
    [(_, fields)] = stage.events("daemon.crashed")
    assert fields["error"] == "ZeroDivisionError"


def test_a_vault_that_is_away_is_unavailable_and_the_slot_is_free_again(stage: Stage) -> None:
    def away(name: str, phase: str) -> None:
        raise Unavailable("Vault is sealed: unseal it", service="vault", kind="sealed")

    stage.house.runtime.stages["acme"].hook = away
    for _ in range(6):
        found = stage.report(access_key=STRANGER)
        assert found.status == 503
        assert found.json()["error"]["kind"] == "sealed"
        stage.settle()


def test_a_report_whose_mark_takes_long_goes_on_without_its_caller(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MARK_TIMEOUT", 0.1)
    goes_on = threading.Event()
    stage.house.runtime.stages["acme"].hook = lambda name, phase: (
        goes_on.wait(60) if (name, phase) == ("write_ledger", "before") else None
    )
    found = stage.report(application="billing")
    assert found.allowed == [10.1]
    assert (found.status, found.json()) == (
        503,
        {"error": {"kind": "too_slow", "message": "whether it is marked is not known: report it again"}},
    )
    goes_on.set()
    stage.settle()
    assert len(stage.events("compromise.contained")) == 1


def test_a_second_report_of_the_same_application_shares_the_first(stage: Stage) -> None:
    goes_on = threading.Event()
    stage.house.runtime.stages["acme"].hook = lambda name, phase: (
        goes_on.wait(60) if (name, phase) == ("write_ledger", "before") else None
    )
    bodies = [json.dumps({"application": "billing", "reason": reason}).encode() for reason in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stage.send, bodies[0])
        eventually(lambda: stage.executor.busy == 1)
        second = pool.submit(stage.send, bodies[1])
        eventually(lambda: len(stage.guard._accepted) == 2)
        goes_on.set()
        assert first.result(60).json() == second.result(60).json()
    stage.settle()
    assert [fields["reason"] for _, fields in stage.events("control.command")] == ["one"]


def test_a_daemon_that_stops_takes_no_report_and_keeps_no_slot(stage: Stage) -> None:
    stage.house.stopping.set()
    for _ in range(6):
        assert stage.report(application="billing").error == (
            503,
            {
                "kind": "stopping",
                "message": "the daemon is stopping and accepts no commands; try again after its restart",
                "exit_code": 3,
            },
        )


def test_reports_have_the_rate_of_the_configuration(stage: Stage) -> None:
    stage.app._settings = replace(stage.settings(), rate_limit=2)
    assert [stage.report(application="nobody").status for _ in range(3)] == [404, 404, 429]


def test_an_emergency_has_a_slot_that_is_kept_from_ordinary_commands(stage: Stage) -> None:
    held = threading.Event()
    for _ in range(8):
        stage.executor.carry_out(lambda: held.wait(60))
    assert stage.report(application="billing").status == 202
    held.set()
    stage.settle()
