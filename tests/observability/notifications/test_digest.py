"""What people are told, in what words, and how often. Time is ours."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rotator.observability.events import CATALOGUE
from rotator.observability.notifications.digest import (
    RECOVERIES,
    SETTLE,
    STUBBORN,
    TOPICS,
    Digest,
    Message,
    sample_message,
)

EVERY = 300.0


def told(news: Digest, now: float) -> Message:
    message = news.take(now)
    assert message is not None
    return message


def blocked(name: str, reason: str = "quota") -> tuple[str, Mapping[str, object]]:
    return "application.blocked", {"application": name, "account": "acme", "reason": reason, "message": "…"}


@pytest.mark.parametrize(
    "event", sorted({*TOPICS, *RECOVERIES, *(event for ending in RECOVERIES.values() for event in ending.ends)})
)
def test_every_event_that_is_listened_for_exists(event: str) -> None:
    assert event in CATALOGUE


@pytest.mark.parametrize("event", TOPICS)
def test_every_topic_but_a_dated_one_has_an_ending(event: str) -> None:
    ended = {name for ending in RECOVERIES.values() for name in ending.ends}
    assert event in ended | {"daemon.crashed", "daemon.removed_application_stuck"}


def test_nothing_is_told_while_all_is_well() -> None:
    news = Digest()
    for event in (
        "pass.decided",
        "rotation.committed",
        "key.revoked",
        "heartbeat.healthy",
        "rotation.published",
        "daemon.ready",
    ):
        news.note(event, {"application": "billing", "reason": "nothing is due"}, 0)
    assert news.ready_at() is None
    assert news.take(0) is None


def test_a_burst_over_a_hundred_applications_is_one_message_of_one_line() -> None:
    news = Digest(every=EVERY)
    for number in range(100):
        news.note(*blocked(f"app-{number:03}"), now=number / 10)
    assert news.ready_at() == SETTLE
    message = told(news, SETTLE)
    assert message.title == "rotator: 100 failures"
    first, *rest = message.body.splitlines()
    assert first.startswith(
        "failure: blocked until the reason clears; delete keys that nothing uses, or have the quota of account ACCOUNT raised (quota): app-000, app-001, "
    )
    assert first.endswith("app-009 and 90 more")
    assert rest == ["More: rotator status, and the log."]
    assert news.ready_at() is None


def test_the_next_message_waits_until_it_may_come_and_has_all_that_happened_meanwhile() -> None:
    news = Digest(every=EVERY)
    news.note(*blocked("one"), now=0)
    told(news, SETTLE)
    news.note(*blocked("two"), now=SETTLE + 1)
    news.note("service.down", {"service": "vault", "kind": "sealed", "message": "…"}, SETTLE + 2)
    assert news.ready_at() == SETTLE + EVERY
    assert told(news, SETTLE + EVERY).body.splitlines()[:2] == [
        "failure: blocked until the reason clears; delete keys that nothing uses, or have the quota of account ACCOUNT raised (quota): two",
        "failure: a service cannot be used (sealed): vault",
    ]


def test_the_same_thing_is_told_again_after_a_day_and_not_before() -> None:
    day = 24 * 60 * 60.0
    news = Digest(every=EVERY)
    news.note(*blocked("billing"), now=0)
    told(news, SETTLE)
    news.note(*blocked("billing"), now=day - 1)
    assert news.ready_at() is None
    news.note(*blocked("billing"), now=day)
    assert told(news, day).title == "rotator: failure"


def test_what_recovered_is_told_and_may_fail_anew() -> None:
    news = Digest(every=EVERY)
    news.note(*blocked("billing"), now=0)
    told(news, 20)
    news.note("application.recovered", {"application": "billing", "reason": "quota"}, 30)
    message = told(news, 400)
    assert (message.title, message.weight) == ("rotator: recovery", "success")
    assert message.body.startswith("recovery: well again: billing\n")
    news.note(*blocked("billing"), now=500)
    assert told(news, 800).weight == "failure"


def test_a_failure_before_our_time_is_still_reported_as_recovered() -> None:
    news = Digest()
    news.note("application.recovered", {"application": "billing", "reason": "quota"}, 0)
    assert "well again: billing" in told(news, 20).body


def test_one_pass_that_was_cut_short_is_no_news_and_three_in_a_row_are() -> None:
    news = Digest(every=EVERY)
    for _ in range(10):
        for _ in range(STUBBORN - 1):
            news.note("pass.failed", {"application": "billing", "reason": "policy", "message": "…"}, 0)
        news.note("pass.decided", {"application": "billing"}, 0)
    assert news.ready_at() is None
    for _ in range(STUBBORN):
        news.note("pass.failed", {"application": "billing", "reason": "policy", "message": "…"}, 0)
    assert "cannot be reconciled (policy): billing" in told(news, 20).body
    news.note("pass.decided", {"application": "billing"}, 30)
    assert "well again: billing" in told(news, 400).body


def test_a_compromise_is_told_at_once_also_soon_after_another_message() -> None:
    news = Digest(every=EVERY)
    news.note(*blocked("one"), now=0)
    told(news, 20)
    news.note(
        "rotation.claimed", {"application": "billing", "mode": "compromised", "reason": "leaked at host.internal"}, 30
    )
    assert news.ready_at() == 35  # a quarter of a minute after the last one
    message = told(news, 35)
    assert message.title == "rotator: compromise"
    assert message.body.startswith(
        "compromise: a key was marked compromised; it is replaced and revoked at once: billing\n"
    )
    news.note("compromise.contained", {"application": "billing", "incident": "x", "access_keys": ["SCWX"]}, 36)
    assert "every compromised key is verified as revoked: billing" in told(news, 400).body


def test_the_mark_and_the_claim_of_one_emergency_are_told_once() -> None:
    news = Digest()
    news.note(
        "compromise.marked", {"application": "billing", "incident": "x", "access_keys": ["SCWX"], "reason": "leaked"}, 0
    )
    news.note("rotation.claimed", {"application": "billing", "mode": "compromised", "reason": "leaked"}, 0)
    assert told(news, 1).title == "rotator: compromise"


def test_an_ordinary_rotation_is_no_news() -> None:
    news = Digest()
    news.note("rotation.claimed", {"application": "billing", "mode": "scheduled", "reason": "every 30d"}, 0)
    assert news.ready_at() is None


def test_an_unsound_round_is_news_only_where_no_other_event_tells() -> None:
    news = Digest()
    for reason in ("service_away", "problem", "crashed", "not_looked_at", "idle"):
        news.note("heartbeat.unhealthy", {"reason": reason, "subject": "billing"}, 0)
    assert news.ready_at() is None
    news.note("heartbeat.unhealthy", {"reason": "stuck", "subject": "billing"}, 0)
    assert "not done in time (stuck): billing" in told(news, 20).body
    news.note("heartbeat.healthy", {}, 30)
    assert "everything is done in time again" in told(news, 400).body


def test_a_deadline_is_a_warning() -> None:
    news = Digest(name="production")
    news.note("deadline.approaching", {"application": "billing", "access_key": "SCWX", "deadline": "…"}, 0)
    message = told(news, 20)
    assert (message.title, message.weight) == ("production: deadline", "warning")


HOSTILE = [
    "https://vault.internal:8200/v1/secret",
    "10.1.2.3",
    "fe80::1",
    "/etc/rotator/rotator.toml",
    "secret/apps/billing/scaleway",
    "SCWXXXXXXXXXXXXXXXXX",
    "1f0e2d3c-1111-4111-8111-111111111111",
    "vault.internal",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("event", [*TOPICS, *RECOVERIES])
def test_a16_no_text_that_an_event_carries_gets_into_a_message(event: str, hostile: str) -> None:
    news = Digest()
    fields: dict[str, object] = dict.fromkeys(
        ("reason", "kind", "message", "where", "error", "problems", "access_keys", "by"), hostile
    )
    for _ in range(STUBBORN):
        news.note(event, {**fields, "application": "billing", "mode": "compromised", "account": hostile}, 0)
    news.note("heartbeat.unhealthy", {"reason": "stuck", "subject": "billing"}, 0)
    message = told(news, 20)
    assert hostile not in message.title + message.body


@pytest.mark.parametrize(
    "event", ["compromise.marked", "rotation.claimed", "rotation.verification_failed", "key.revocation_unverified"]
)
def test_a_reason_that_a_person_may_have_written_is_not_passed_on_even_if_it_is_one_word(event: str) -> None:
    news = Digest()
    news.note(event, {"application": "billing", "mode": "compromised", "reason": "blackmail"}, 0)
    assert "blackmail" not in told(news, 20).body


@pytest.mark.parametrize("odd", ["https://vault.internal", "a/b", "a b", "-x", "", None, 7])
def test_what_is_no_name_is_not_shown_as_one(odd: object) -> None:
    news = Digest()
    news.note("service.down", {"service": odd, "kind": "sealed"}, 0)
    assert told(news, 20).body.splitlines()[0] == "failure: a service cannot be used (sealed)"


def test_a_test_says_that_it_is_one() -> None:
    message = sample_message("production")
    assert message.title == "production: a test"
    assert "Nothing is wrong" in message.body
