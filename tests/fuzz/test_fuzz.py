"""A share of the fuzz in each run of the suite (C18), what it found before, and that it finds what it looks for."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from random import Random
from typing import Any, cast

import pytest

from rotator.errors import Indeterminate, Rejected, RotatorError, Unavailable
from rotator.http import HttpClient, HttpResponse
from rotator.observability.notifications.digest import Digest
from rotator.operations.failures import MAX_SENTENCE, MAX_SENTENCES, FailureReport, explain
from rotator.providers.scaleway.quota import limit_on_keys
from rotator.providers.scaleway.responses import Unexpected, page_of
from rotator.system import process_identity
from rotator.system.sd_notify import ServiceManager
from rotator.system.users import user_id
from rotator.vault.codec import dump_ledger, load_ledger
from rotator.vault.connection import VaultConnection
from rotator.vault.kv_store import KvStore
from rotator.vault.settings import TokenAuth
from tests.fuzz import run as running
from tests.fuzz.hostile import SECRET
from tests.fuzz.services import METADATA, VAULT, HostileService, secret
from tests.vault.test_codec import full

MOUNTS = r"GET /v1/sys/internal/ui/mounts/.*"
CASES = int(os.environ.get("ROTATOR_FUZZ_CASES", "15000"))
"""``make prove`` runs a million: ``python -m tests.fuzz --cases 1000000``."""


def test_c18_nothing_from_outside_crashes_hangs_or_shows_a_secret_or_an_escape() -> None:
    broken = running.run(CASES, 20261128)
    assert not broken, "\n".join(f"case {one.number} ({one.target})\n{one.trace}" for one in broken)


def test_a_case_that_breaks_the_promise_is_found_and_can_be_repeated_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def target(rng: Random) -> None:
        assert rng.random() < 0.9

    def endless(rng: Random) -> None:
        while rng.random() < 2:
            pass

    monkeypatch.setattr(running, "BOUND", 0.2)
    monkeypatch.setattr(running, "TARGETS", {"it": (target, 1)})
    (found,) = running.run(100, 1)
    assert [one.number for one in running.run(1, 1, first=found.number)] == [found.number]
    monkeypatch.setattr(running, "TARGETS", {"it": (endless, 1)})
    (found,) = running.run(1, 1)
    assert "more than 0.2 seconds of work" in found.trace


# --- what it found, each as it was


@pytest.mark.parametrize("number", ["9" * 4301, "9" * 30, "-1", "\u0663\u0664", "1e9", ""])
def test_c18_a_watchdog_time_that_is_none_asks_for_no_sign_of_life(
    monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    monkeypatch.setenv("WATCHDOG_USEC", number)
    manager = ServiceManager()
    assert manager.watchdog_interval is None
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert manager.watchdog_interval == timedelta(seconds=3)
    manager.close()


def test_c18_an_owner_with_a_number_of_thousands_of_digits_is_nobody_who_is_gone() -> None:
    machine = process_identity.current().split(".")[1]
    assert not process_identity.is_gone(f"{'0' * 16}.{machine}.{'9' * 4301}.1")
    assert not process_identity.is_gone(f"{'0' * 16}.{machine}.1.{'9' * 4301}")


@pytest.mark.parametrize("name", ["a\nb", "x" * 1000, "\x1b[2J", "a b"])
def test_c18_a_user_behind_sudo_that_is_no_name_is_not_written_into_a_ledger(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SUDO_USER", name)
    assert name not in user_id()
    monkeypatch.setenv("SUDO_USER", "DOMAIN\\\\ann-b.c@d".replace("\\\\", "\\"))
    assert user_id().startswith("DOMAIN")


@pytest.mark.parametrize("reason", [{}, [], 5, None])
def test_c18_a_reason_of_a_wrong_type_is_no_news(reason: object) -> None:
    digest = Digest()
    digest.note("heartbeat.unhealthy", {"reason": reason}, 1.0)
    assert digest.ready_at() is None


def test_c18_a_field_that_is_none_of_ours_is_not_repeated_in_the_message() -> None:
    data = {**dump_ledger(full()), "x" * 100_000: 1, **{f"field{n}": 1 for n in range(1000)}}
    with pytest.raises(RotatorError) as caught:
        load_ledger(data, "billing")
    assert "xxx" not in str(caught.value)
    assert len(str(caught.value)) < 500
    with pytest.raises(RotatorError) as caught:
        load_ledger({**data, "schema": 10**4000}, "billing")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", [10**30, -1, True, 1.5, "5"])
def test_c18_a_number_of_keys_that_nobody_can_have_is_unknown(number: object) -> None:
    assert limit_on_keys([{"name": "iam_api_keys", "limit": number}]) is None
    text = f'{{"items": [], "total_count": {number if not isinstance(number, bool | str) else chr(34) + str(number) + chr(34)}}}'
    with pytest.raises(Unexpected):
        page_of(HttpResponse(200, {}, text.encode()), "items")


@pytest.mark.parametrize("version", [10**30, True, -1, 0, "3", None, 1.5])
def test_c18_a_write_is_unclear_that_is_answered_without_a_version_that_can_be_one(version: object) -> None:
    class Answering(HostileService):
        def request(self, method: str, url: str, **_: Any) -> HttpResponse:
            body = {"data": {**METADATA, "version": version}} if "/data/" in url else VAULT[MOUNTS]
            return HttpResponse(200, {}, json.dumps(body).encode())

    http = cast("HttpClient", Answering(Random(1), VAULT, 1))
    store = KvStore(VaultConnection(http, "https://vault.test", TokenAuth(secret)), "secret/rotator")
    with pytest.raises(Indeterminate):
        store.write_document("secret/apps/billing", {"access_key": "SCW"}, cas=2)


def test_c18_a_secret_that_a_service_repeats_is_masked_where_the_error_is_told() -> None:
    used = secret()
    error = Rejected(f"acme: the argument {used.reveal()} was refused", service="acme", kind="invalid_arguments")
    assert SECRET not in explain(error).sentences[0]
    assert SECRET not in explain(Unavailable(SECRET, service="acme", kind="x")).as_json()["message"]


@pytest.mark.parametrize(
    ("target", "seed", "number"),
    [
        ("configuration", 101, 47230),  # the message about a directory repeated it, with a secret in it
        ("configuration", 101, 236904),  # the same, of any length
        (
            "configuration",
            103,
            48779,
        ),  # a secret after a tabulator in a name was masked after the tabulator had become two letters
        ("files", 103, 184689),  # a file of 20,000 letters
        ("daemon", 101, 95830),  # a daemon's message of any length
        ("daemon", 103, 136927),
    ],
)
def test_c18_a_case_that_once_broke_is_sound(target: str, seed: int, number: int) -> None:
    assert running.run(1, seed, only=target, first=number) == []


def test_c18_a_sentence_is_cut_in_its_middle_and_a_report_after_thousands_of_them() -> None:
    report = FailureReport("refused", (f"seen {'x' * 100_000}; write another",) * 5000, 4)
    assert len(report.sentences) == MAX_SENTENCES
    assert {len(sentence) <= MAX_SENTENCE + 3 for sentence in report.sentences} == {True}
    assert report.sentences[0].startswith("seen xxx")
    assert report.sentences[0].endswith("xxx; write another")
