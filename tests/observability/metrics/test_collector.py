from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CompromisedKey, CurrentKey, Hold, Ledger, RetiringKey, RevokingKey
from rotator.domain.ports import NullEventSink
from rotator.observability.metrics.collector import samples
from rotator.observability.metrics.counters import MODES, EventCounters
from rotator.observability.metrics.snapshot import ApplicationSample, MetricsSnapshot, ServiceSample
from tests.support.simulated import EPOCH, spec

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ABOUT = ("acme", "billing")


def of(**changes: object) -> Ledger:
    ledger = replace(new_ledger(spec()), current=CurrentKey("SCW1", 1, EPOCH, EPOCH - HOUR))
    return replace(ledger, **changes)  # type: ignore[arg-type]  # names are the test's


def told(
    *applications: ApplicationSample, at: timedelta = DAY, counters: EventCounters | None = None, **more: object
) -> dict[str, dict[tuple[str, ...], float]]:
    """Name -> labels -> value, at so long after the beginning of time."""
    values: dict[str, object] = {
        "now": EPOCH + at, "alive": True, "idle": timedelta(0), "configured_at": EPOCH, "reload_refused": False,
    }  # fmt: skip
    now = MetricsSnapshot(applications=applications, **{**values, **more})  # type: ignore[arg-type]  # same
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for name, labels, value in samples(now, (counters or EventCounters(NullEventSink())).counts()):
        assert labels not in found.setdefault(name, {}), f"{name}{labels} is told twice"
        found[name][labels] = value
    return found


def billing(ledger: Ledger | None = None, **changes: object) -> ApplicationSample:
    values: dict[str, object] = {
        "spec": spec(),
        "since": EPOCH,
        "ledger": ledger or of(),
        "keys": 2,
        "last_reconciled_at": EPOCH + HOUR,
    }
    return ApplicationSample(**{**values, **changes})  # type: ignore[arg-type]  # same


def test_a_key_at_rest_is_told_by_its_age_and_its_calendar() -> None:
    found = told(billing())
    assert found["rotator_key_age_seconds"] == {ABOUT: 25 * 3600}
    assert found["rotator_rotation_due_timestamp_seconds"] == {ABOUT: (EPOCH + 30 * DAY - HOUR).timestamp()}
    assert found["rotator_key_published_timestamp_seconds"] == {ABOUT: EPOCH.timestamp()}
    assert found["rotator_overdue_seconds"] == {ABOUT: 0}
    assert found["rotator_application_phase"] == {(*ABOUT, "idle"): 1}
    assert found["rotator_last_reconcile_timestamp_seconds"] == {ABOUT: (EPOCH + HOUR).timestamp()}
    assert found["rotator_live_keys"] == {ABOUT: 2}
    assert "rotator_grace_ends_timestamp_seconds" not in found
    assert "rotator_application_problem" not in found


def test_a6_past_due_goes_on_counting_while_a_failed_rotation_waits_for_its_next_attempt() -> None:
    waiting = of(failures=3, not_before=EPOCH + 40 * DAY + HOUR)
    found = told(billing(waiting), at=40 * DAY)
    assert found["rotator_overdue_seconds"] == {ABOUT: 10 * 86400 + 3600}
    assert found["rotator_rotation_due_timestamp_seconds"] == {ABOUT: (EPOCH + 30 * DAY - HOUR).timestamp()}
    assert found["rotator_consecutive_failures"] == {ABOUT: 3}
    assert found["rotator_application_phase"] == {(*ABOUT, "failing"): 1}


def test_a6_a_start_does_not_make_what_is_past_due_any_younger() -> None:
    late = billing(spec=spec(startup_spread=HOUR), since=EPOCH + 40 * DAY)
    assert told(late, at=40 * DAY)["rotator_overdue_seconds"] == {ABOUT: 10 * 86400 + 3600}


def test_keys_are_counted_by_what_the_ledger_owes_them() -> None:
    graces = (RetiringKey("SCW0", 1, EPOCH + 3 * DAY, "x"), RetiringKey("SCW9", 1, EPOCH + 2 * DAY, "x"))
    mark = CompromisedKey("SCW8", "leak", "ann", EPOCH)
    found = told(billing(of(retiring=graces, revoking=(RevokingKey("SCW8", 1, "x"),), compromised=(mark,))))
    assert {labels[2]: value for labels, value in found["rotator_keys"].items()} == {
        "current": 1, "grace": 2, "revoking": 1, "compromised": 1,
    }  # fmt: skip
    assert found["rotator_grace_ends_timestamp_seconds"] == {ABOUT: (EPOCH + 2 * DAY).timestamp()}
    assert found["rotator_overdue_seconds"] == {ABOUT: 86400}, "a compromised key is past due from its mark on"


def test_a_hold_without_an_end_says_since_when_it_is_on() -> None:
    assert told(billing(of(hold=Hold("x", "ann", EPOCH))))["rotator_open_hold_timestamp_seconds"] == {
        ABOUT: EPOCH.timestamp()
    }
    for hold in (None, Hold("x", "ann", EPOCH, EPOCH + 40 * DAY)):
        assert "rotator_open_hold_timestamp_seconds" not in told(billing(of(hold=hold)))


def test_a_grace_that_is_over_is_overdue_and_ended_then() -> None:
    found = told(billing(of(retiring=(RetiringKey("SCW0", 1, EPOCH, "x"),))))
    assert found["rotator_grace_ends_timestamp_seconds"] == {ABOUT: EPOCH.timestamp()}
    assert found["rotator_overdue_seconds"] == {ABOUT: 86400}


def test_an_application_that_nobody_could_look_at_yet_is_unseen_since_the_start() -> None:
    found = told(replace(billing(), ledger=None, keys=None, last_reconciled_at=None))
    assert found["rotator_last_reconcile_timestamp_seconds"] == {ABOUT: EPOCH.timestamp()}
    assert found["rotator_application_phase"] == {(*ABOUT, "new"): 1}
    for name in (
        "rotator_key_age_seconds",
        "rotator_keys",
        "rotator_live_keys",
        "rotator_last_success_timestamp_seconds",
    ):
        assert name not in found


def test_a_ledger_that_cannot_be_read_is_a_phase_of_its_own_and_what_was_known_is_still_told() -> None:
    found = told(billing(unreadable=True, problem="ledger_unreadable"))
    assert found["rotator_application_phase"] == {(*ABOUT, "unreadable"): 1}
    assert found["rotator_application_problem"] == {(*ABOUT, "ledger_unreadable"): 1}
    assert found["rotator_key_age_seconds"] == {ABOUT: 25 * 3600}


def test_c13_an_unreadable_ledger_does_not_end_what_is_overdue_by_the_one_that_was_read_last() -> None:
    assert told(billing(unreadable=True), at=40 * DAY)["rotator_overdue_seconds"] == {ABOUT: 10 * 86400 + 3600}


@pytest.mark.parametrize("unseen", [{"unreadable": True}, {"last_reconciled_at": None}])
def test_c13_what_is_overdue_is_not_zero_before_any_ledger_was_read(unseen: dict[str, object]) -> None:
    assert "rotator_overdue_seconds" not in told(replace(billing(), ledger=None, **unseen))  # type: ignore[arg-type]  # same
    looked = replace(billing(), ledger=None)
    assert told(looked)["rotator_overdue_seconds"] == {ABOUT: 0}, "without a ledger nothing is owed"


def test_a_rotation_under_way_in_this_process_shows_before_its_pass_is_over() -> None:
    assert told(billing(rotating=True))["rotator_application_phase"] == {(*ABOUT, "rotating"): 1}
    held = billing(of(compromised=(CompromisedKey("SCW1", "leak", "ann", EPOCH),)), rotating=True)
    assert told(held)["rotator_application_phase"] == {(*ABOUT, "compromised"): 1}


def test_b_an_application_that_left_shows_as_such_and_then_disappears_with_its_counts() -> None:
    counters = EventCounters(NullEventSink())
    counters.emit("pass.failed", reason="sealed", account="acme", application="billing")
    left = billing(spec=spec(configured=False, every=None))
    found = told(left, counters=counters)
    assert found["rotator_application_configured"] == {ABOUT: 0}
    assert "rotator_rotation_due_timestamp_seconds" not in found
    gone = told(counters=counters)
    assert not [name for name, values in gone.items() if any("billing" in labels for labels in values)]


def test_counters_begin_at_zero_so_that_the_first_rotation_is_an_increase() -> None:
    found = told(billing())
    assert found["rotator_rotations_total"] == {(*ABOUT, mode): 0 for mode in MODES}
    assert found["rotator_keys_revoked_total"] == {ABOUT: 0}


@pytest.mark.parametrize(("up", "value"), [(True, {("vault",): 1}), (False, {("vault",): 0}), (None, None)])
def test_a_service_that_was_not_asked_yet_is_neither_up_nor_down(up: bool | None, value: object) -> None:
    assert told(services=(ServiceSample("vault", up),)).get("rotator_service_up") == value


def test_services_tell_their_clocks_and_accounts_their_room() -> None:
    found = told(
        services=(ServiceSample("vault", True, timedelta(seconds=-40)), ServiceSample("acme", True, headroom=0))
    )
    assert found["rotator_clock_skew_seconds"] == {("vault",): -40, ("acme",): 0}
    assert found["rotator_quota_headroom_keys"] == {("acme",): 0}


def test_a_login_without_an_end_has_no_life_to_tell() -> None:
    assert "rotator_vault_token_ttl_seconds" not in told()
    found = told(login=(timedelta(minutes=10), HOUR))
    assert found["rotator_vault_token_ttl_seconds"] == {(): 600}
    assert found["rotator_vault_token_lease_seconds"] == {(): 3600}
