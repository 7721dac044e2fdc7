from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.domain.document import DEFAULT_FIELDS
from rotator.domain.due_time import Due, contains, due, next_cron, next_open, plan_rotation, zone
from rotator.domain.ledger import CurrentKey
from rotator.domain.spec import ApplicationSpec, MaintenanceWindow, VerificationPolicy
from rotator.util.backoff import backoff, fraction
from rotator.util.durations import format_duration, parse_duration

PARIS = "Europe/Paris"
ZONES = st.sampled_from([PARIS, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.integers(0, 4 * 366 * 24 * 3600).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
MILLISECONDS = st.integers(0, 36500 * 24 * 3600 * 1000).map(lambda count: timedelta(milliseconds=count))
WINDOWS = st.builds(
    MaintenanceWindow,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    start=st.integers(0, 24 * 60 - 1),
    end=st.integers(0, 24 * 60),
)
PROOF = VerificationPolicy(3, timedelta(seconds=10), timedelta(minutes=5))
BORN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def paris(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(PARIS)).astimezone(UTC)


def spec(**changes: object) -> ApplicationSpec:
    base: dict[str, object] = {
        "application": "billing",
        "account": "acme",
        "bearer": "b",
        "path": "secret/b",
        "fields": DEFAULT_FIELDS,
        "grace": timedelta(hours=24),
        "verification": PROOF,
        "emergency_verification": PROOF,
    }
    return ApplicationSpec(**(base | changes))  # type: ignore[arg-type]  # a test names the fields it is about


def key(created: datetime | None = BORN, *, expires: datetime | None = None, name: str = "SCWKEY") -> CurrentKey:
    since = (created or BORN) + timedelta(seconds=5)
    return CurrentKey(access_key=name, version=1, since=since, created_at=created, expires_at=expires)


def must(found: Due | None) -> Due:
    assert found is not None
    return found


# --- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("30d", 30 * 86400),
        ("1d12h", 129600),
        ("1d1h1m1s", 90061),
        ("1s", 1),
        ("1s500ms", 1.5),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "m5", "1h1d", "1.5h", "-5m", "5M", "1m1m", "5min", "1d 2h", "٣s", "5s\n", "9" * 5000 + "s"]
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match='such as "90s"'):
        parse_duration(text)


def test_a_duration_below_a_second_is_too_short_unless_allowed() -> None:
    with pytest.raises(ValueError, match="is too short; write 1s or more"):
        parse_duration("500ms")
    assert parse_duration("500ms", minimum=timedelta(milliseconds=100)) == timedelta(milliseconds=500)
    assert parse_duration("0s", minimum=timedelta(0)) == timedelta(0)


@pytest.mark.parametrize("text", ["36501d", "999999999999999d"])
def test_a_duration_above_a_hundred_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hundred years"):
        parse_duration(text)


@given(MILLISECONDS)
def test_a_duration_written_in_full_is_read_back_as_itself(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration, units=5), minimum=timedelta(0)) == duration


@given(MILLISECONDS)
def test_a_duration_written_short_is_never_longer_than_it_is(duration: timedelta) -> None:
    short = parse_duration(format_duration(duration), minimum=timedelta(0))
    assert short <= duration
    assert duration - short < max(duration / 24, timedelta(milliseconds=1))


def test_durations_are_written_as_people_say_them() -> None:
    expected = ["0s", "500ms", "1m30s", "1d12h", "1d12h", "-5m"]
    seconds = [0, 0.5, 90, 129600, 129660, -300]
    assert [format_duration(timedelta(seconds=count)) for count in seconds] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", 'is not a duration; write a number and a unit, such as "90s", "15m", "24h", "30d" or "1d12h"'),
        ("36500d1ms", "is longer than a hundred years; write a shorter duration"),
        ("500ms", "is too short; write 1s or more"),
    ],
)
def test_what_is_said_of_a_bad_duration_tells_what_to_write_instead(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        parse_duration(text)
    assert parse_duration("36500d") == timedelta(days=36500)
    assert parse_duration("1s") == timedelta(seconds=1)
    assert parse_duration("000000000000090s") == timedelta(seconds=90), "fifteen digits"
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration("0000000000000090s")


def test_a_negative_duration_is_cut_like_a_positive_one() -> None:
    assert format_duration(timedelta(seconds=-90061), units=3) == "-1d1h1m"


# --- chance


@given(st.lists(st.text()))
def test_a_fraction_is_in_range_and_always_the_same(parts: list[str]) -> None:
    assert 0.0 <= fraction(*parts) < 1.0
    assert fraction(*parts) == fraction(*parts)


def test_fractions_do_not_change_between_versions_and_tell_parts_apart() -> None:
    assert fraction("billing", "SCWKEY") == pytest.approx(0.97854032)
    assert fraction("ab", "c") != fraction("a", "bc")


def test_fractions_are_spread_evenly() -> None:
    tenths = [int(fraction("app", str(number)) * 10) for number in range(2000)]
    assert min(tenths.count(tenth) for tenth in range(10)) > 100


@given(st.integers(-5, 10**6), st.text(), MILLISECONDS, MILLISECONDS)
def test_a9_backoff_is_between_its_base_and_its_cap(failures: int, seed: str, base: timedelta, cap: timedelta) -> None:
    base = min(base, timedelta(days=1))
    wait = backoff(failures, seed, base=base, cap=cap)
    assert wait == backoff(failures, seed, base=base, cap=cap)
    if failures <= 0:
        assert wait == timedelta(0)
    else:
        assert base <= wait <= max(base, min(cap, base * 2 ** min(failures, 20)))


def test_a9_backoff_grows_and_differs_between_applications() -> None:
    waits = [
        [backoff(n, f"app-{i}", base=timedelta(seconds=1), cap=timedelta(hours=1)) for i in range(200)]
        for n in (1, 5, 20)
    ]
    assert [len(set(some)) for some in waits] == [200, 200, 200]
    assert (
        max(waits[0])
        <= timedelta(seconds=2)
        < max(waits[1])
        <= timedelta(seconds=32)
        < max(waits[2])
        <= timedelta(hours=1)
    )


def test_a9_backoff_at_its_cap_still_differs_from_one_failure_to_the_next() -> None:
    waits = {backoff(n, "billing", base=timedelta(seconds=1), cap=timedelta(hours=1)) for n in range(13, 33)}
    assert len(waits) == 20


def test_a9_backoff_doubles_twenty_times_at_most_and_nothing_is_waited_for_before_the_first_failure() -> None:
    second, for_ever = timedelta(seconds=1), timedelta(days=36500)
    waits = [backoff(n, str(n), base=second, cap=for_ever) for n in range(20, 400)]
    assert 2**19 * second < max(waits) <= 2**20 * second
    assert [backoff(n, "billing", base=second, cap=for_ever) for n in (-1, 0)] == [timedelta(0)] * 2
    assert second < backoff(1, "billing", base=second, cap=for_ever) <= 2 * second


# --- zones and cron


def test_utc_is_utc() -> None:
    assert zone("UTC") is UTC


def test_what_is_said_of_a_bad_zone_or_schedule_tells_what_to_write_instead() -> None:
    with pytest.raises(ValueError, match=r'^is not a time zone; write a name such as "Europe/Paris" or "UTC"$'):
        zone("Mars/Olympus")
    five = r'write five fields, such as "0 3 \* \* 1" \(Mondays at 03:00\)$'
    with pytest.raises(ValueError, match=f"^is not a cron expression; {five}"):
        next_cron("* *", BORN, "UTC")
    with pytest.raises(ValueError, match=f"^has a bad minute field; {five}"):
        next_cron("61 * * * *", BORN, "UTC")


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe/Paris\0"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match='write a name such as "Europe/Paris"'):
        zone(name)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 3 * * 1", "2026-03-02T12:00", "2026-03-09T03:00"),
        ("0 3 * * 1", "2026-03-09T03:00", "2026-03-16T03:00"),
        ("0 3 * * *", "2026-03-28T12:00", "2026-03-29T03:00"),
        # 02:30 does not exist on 29 March 2026: right after the gap.
        ("30 2 * * *", "2026-03-28T12:00", "2026-03-29T03:00"),
        # 02:30 happens twice on 25 October 2026: only the first counts.
        ("30 2 * * *", "2026-10-24T12:00", "2026-10-25T02:30"),
        ("30 2 * * *", "2026-10-25T02:30", "2026-10-26T02:30"),
    ],
)
def test_cron_is_in_local_time_also_when_clocks_change(expression: str, after: str, expected: str) -> None:
    assert next_cron(expression, paris(after), PARIS) == paris(expected)


def test_cron_looks_on_where_the_repeated_hour_would_lead_it_back() -> None:
    second_half_past_two = at("2026-10-25T01:30+00:00")
    assert next_cron("45 2 * * *", second_half_past_two, PARIS) == paris("2026-10-26T02:45")


@given(MOMENTS, ZONES, st.sampled_from(["0 3 * * *", "*/7 * * * *", "45 1,2 * * *", "15 0 1 * *", "0 */2 * * 0"]))
def test_cron_always_leads_forward(moment: datetime, place: str, expression: str) -> None:
    found = next_cron(expression, moment, place)
    assert moment < found
    assert found.tzinfo is UTC
    # What is next after a time in between is the same.
    assert next_cron(expression, moment + (found - moment) / 2, place) == found


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 3 * * 1", "five fields"),
        ("61 * * * *", "bad minute field"),
        ("0 3 * * MOO", "bad day-of-week field"),
        ("0 3 30 2 *", "bad day-of-month field"),
        ("0 0 */31 * MON#2", "^never happens; write a date that exists$"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next_cron(expression, BORN, "UTC")


# --- windows

DAY = timedelta(days=1)
NIGHTS = MaintenanceWindow(days=frozenset({0, 1}), start=22 * 60, end=6 * 60)


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-03-02T12:00", "2026-03-02T22:00"),
        ("2026-03-02T22:00", "2026-03-02T22:00"),
        ("2026-03-03T05:59", "2026-03-03T05:59"),
        ("2026-03-03T06:00", "2026-03-03T22:00"),
        ("2026-03-04T05:00", "2026-03-04T05:00"),
        ("2026-03-04T06:00", "2026-03-09T22:00"),
    ],
)
def test_a17_a_window_over_midnight_belongs_to_the_day_on_which_it_opens(moment: str, opens: str) -> None:
    assert next_open(NIGHTS, paris(moment), PARIS) == paris(opens)
    assert contains(NIGHTS, paris(moment), PARIS) == (moment == opens)


def test_a_window_that_opened_yesterday_is_open_where_it_is_tomorrow_elsewhere() -> None:
    fridays = MaintenanceWindow(days=frozenset({4}), start=22 * 60, end=14 * 60)
    assert contains(fridays, at("2026-03-07T13:30-11:00"), "Pacific/Pago_Pago")
    assert not contains(fridays, at("2026-03-07T14:00-11:00"), "Pacific/Pago_Pago")


def test_a_window_without_days_never_opens() -> None:
    with pytest.raises(ValueError, match=r"^the window never opens; name at least one day$"):
        next_open(MaintenanceWindow(days=frozenset(), start=0, end=60), BORN, "UTC")


def test_a_window_of_the_whole_day_is_always_open() -> None:
    always = MaintenanceWindow(days=frozenset(range(7)), start=0, end=24 * 60)
    change = paris("2026-03-29T00:00")
    assert all(contains(always, change + timedelta(minutes=10 * step), PARIS) for step in range(200))


def test_an_opening_that_the_change_of_clocks_swallows_is_left_out() -> None:
    # From 02:30, which does not exist on 29 March 2026 and is taken as 03:30, until 03:00.
    swallowed = MaintenanceWindow(days=frozenset({6}), start=150, end=180)
    assert next_open(swallowed, paris("2026-03-28T12:00"), PARIS) == paris("2026-04-05T02:30")
    # And until 03:30, the very moment as which 02:30 is taken: nothing is left of it.
    exactly = MaintenanceWindow(days=frozenset({6}), start=150, end=210)
    assert next_open(exactly, paris("2026-03-28T12:00"), PARIS) == paris("2026-04-05T02:30")


@given(WINDOWS, MOMENTS, ZONES)
def test_a_window_opens_next_at_the_first_time_that_it_contains(
    window: MaintenanceWindow, moment: datetime, place: str
) -> None:
    opens = next_open(window, moment, place)
    assert opens.tzinfo is UTC
    assert moment <= opens <= moment + timedelta(days=15)
    assert contains(window, opens, place)
    assert contains(window, moment, place) == (opens == moment)
    for part in (0.25, 0.5, 0.75, 0.999):
        between = moment + (opens - moment) * part
        assert contains(window, between, place) == (between >= opens)


@given(WINDOWS, MOMENTS, ZONES)
def test_an_open_window_is_open_by_the_clock_on_the_wall(
    window: MaintenanceWindow, moment: datetime, place: str
) -> None:
    local = moment.astimezone(ZoneInfo(place))
    # Near a change of clocks the wall does not tell; the cases above do.
    if local.utcoffset() != (moment - timedelta(days=2)).astimezone(ZoneInfo(place)).utcoffset():
        return
    if local.utcoffset() != (moment + timedelta(days=2)).astimezone(ZoneInfo(place)).utcoffset():
        return
    minute = local.hour * 60 + local.minute
    over_midnight = window.end <= window.start
    since_today = local.weekday() in window.days and minute >= window.start and (over_midnight or minute < window.end)
    since_yesterday = (local.weekday() - 1) % 7 in window.days and over_midnight and minute < window.end
    assert contains(window, moment, place) == (since_today or since_yesterday)


# --- when a key is due


def test_every_counts_from_the_providers_creation_date() -> None:
    found = must(due(spec(every=timedelta(days=30)), key()))
    assert found == Due(BORN + timedelta(days=30), None, "every 30d")


def test_every_counts_from_since_when_the_creation_date_is_not_known() -> None:
    assert must(due(spec(every=timedelta(days=30)), key(None))).at == BORN + timedelta(days=30, seconds=5)


def test_a17_jitter_makes_a_rotation_earlier_by_a_part_that_stays_the_same_for_a_key() -> None:
    wanted = spec(every=timedelta(days=30), jitter=timedelta(days=3))
    found = [must(due(wanted, key(name=f"SCW{number}"))).at for number in range(100)]
    assert found == [must(due(wanted, key(name=f"SCW{number}"))).at for number in range(100)]
    assert len(set(found)) == 100
    assert BORN + timedelta(days=27) < min(found) < BORN + timedelta(days=28)
    assert BORN + timedelta(days=29) < max(found) <= BORN + timedelta(days=30)


def test_jitter_makes_cron_later() -> None:
    wanted = spec(cron="0 3 * * 1", timezone=PARIS, jitter=timedelta(hours=1))
    stroke = paris("2026-03-09T03:00")
    found = {must(due(wanted, key(name=f"SCW{number}"))).at for number in range(20)}
    assert len(found) == 20
    assert stroke <= min(found) < max(found) < stroke + timedelta(hours=1)


def test_a_key_made_on_the_stroke_of_cron_is_not_due_again_by_a_provider_whose_clock_is_behind() -> None:
    wanted = spec(cron="0 3 * * 1", timezone=PARIS)
    stroke = paris("2026-03-09T03:00")
    assert must(due(wanted, key(stroke - timedelta(seconds=20)))).at == stroke + timedelta(days=7)


def test_nothing_asks_for_a_rotation_without_schedule_age_and_expiry() -> None:
    assert due(spec(), key()) is None


def test_a_key_without_schedule_is_still_replaced_before_it_expires() -> None:
    found = must(due(spec(), key(expires=BORN + timedelta(days=5))))
    assert found == Due(BORN + timedelta(days=4), BORN + timedelta(days=4), "the key expires at 2026-03-07 12:00 UTC")


def test_an_expiry_is_named_in_utc_whatever_zone_it_is_written_in() -> None:
    found = must(due(spec(), key(expires=datetime(2026, 3, 7, 13, 0, tzinfo=ZoneInfo(PARIS)))))
    assert (found.at, found.reason) == (BORN + timedelta(days=4), "the key expires at 2026-03-07 12:00 UTC")
    assert found.at.tzinfo is UTC


def test_a17_a_rotation_waits_for_the_window() -> None:
    wanted = spec(every=timedelta(days=3), window=NIGHTS, timezone=PARIS)
    assert must(due(wanted, key())).at == paris("2026-03-09T22:00")


def test_a17_a_hard_deadline_beats_the_window() -> None:
    wanted = spec(every=timedelta(days=3), max_age=timedelta(days=4), window=NIGHTS, timezone=PARIS)
    deadline = BORN + timedelta(days=4)
    assert must(due(wanted, key())) == Due(deadline, deadline, "max_age 4d")


def test_a_rotation_that_missed_its_window_waits_for_the_next() -> None:
    wanted = spec(every=timedelta(days=1), window=NIGHTS, timezone=PARIS)
    planned = must(due(wanted, key())).at
    assert planned == paris("2026-03-03T22:00")
    assert must(plan_rotation(wanted, key(), paris("2026-03-04T05:00"))).at == planned
    assert must(plan_rotation(wanted, key(), paris("2026-03-04T08:00"))).at == paris("2026-03-09T22:00")
    assert must(due(wanted, key())).at == planned, "it should have been done then"


@pytest.mark.parametrize(
    ("life", "before"),
    [
        (timedelta(days=100), timedelta(days=10)),
        (timedelta(days=4), timedelta(days=1)),
        (timedelta(hours=10), timedelta(hours=5)),
    ],
)
def test_a_key_is_replaced_a_grace_or_a_tenth_of_its_life_but_at_most_half_of_it_before_it_expires(
    life: timedelta, before: timedelta
) -> None:
    wanted = spec(every=timedelta(days=1000))
    assert must(due(wanted, key(expires=BORN + life))).at == BORN + life - before


def test_where_schedule_and_deadline_fall_together_it_is_the_schedule() -> None:
    wanted = spec(every=timedelta(days=3), max_age=timedelta(days=3))
    assert must(due(wanted, key())) == Due(BORN + timedelta(days=3), BORN + timedelta(days=3), "every 3d")


def test_a17_applications_whose_keys_have_one_name_do_not_rotate_at_one_time() -> None:
    times = {
        must(due(spec(application=name, every=timedelta(days=30), jitter=timedelta(days=1)), key())).at
        for name in "abc"
    }
    assert len(times) == 3


# --- what is late is spread from when it became due

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FLEET = [f"app-{number}" for number in range(200)]


def plans(now: datetime, current: CurrentKey | None = None, /, **changes: object) -> list[datetime]:
    """When each of a fleet begins, as it is planned at ``now``."""
    return [
        must(plan_rotation(spec(**{"application": name, "startup_spread": HOUR, **changes}), current or key(), now)).at
        for name in FLEET
    ]


def turns(now: datetime, **changes: object) -> list[timedelta]:
    """How long after ``now`` each of a fleet begins; not at all before it for what begins at once."""
    return [max(plan - now, timedelta(0)) for plan in plans(now, **changes)]


def assert_spread(found: list[timedelta], over: timedelta) -> None:
    """Few begin at once, none after the bound, and no fifth of the time between has more than its share twice over."""
    assert max(found) <= over
    assert sum(wait == timedelta(0) for wait in found) <= len(found) / 5, "at once"
    fifths = [sum(over * part / 5 < wait <= over * (part + 1) / 5 for wait in found) for part in range(5)]
    assert max(fifths) <= len(found) * 2 / 5, fifths
    assert max(found) > over / 2


@pytest.mark.parametrize(
    ("changes", "life"),
    {
        "every": ({"every": 5 * HOUR}, None),
        "max_age alone": ({"max_age": 5 * HOUR}, None),
        "an expiry alone": ({}, 10 * HOUR),
        "an expiry after the schedule": ({"every": 40 * HOUR, "grace": HOUR}, 50 * HOUR),
        "an expiry before the schedule": ({"every": 60 * HOUR, "grace": HOUR}, 50 * HOUR),
    }.values(),
    ids=lambda value: "",
)
def test_c10_the_spread_is_a_tenth_of_the_five_hours_that_there_are(
    changes: dict[str, object], life: timedelta | None
) -> None:
    current = key(expires=BORN + life if life else None)
    found = must(due(spec(startup_spread=HOUR, **changes), current))
    assert found.latest - found.at == HOUR / 2


@pytest.mark.parametrize(
    ("changes", "late", "over"),
    {
        "every, by years": ({"every": 30 * DAY}, 300 * DAY, HOUR),
        "every, by minutes": ({"every": 30 * DAY}, 30 * DAY + 10 * MINUTE, HOUR),
        "a short every: a tenth of it": ({"every": timedelta(hours=5)}, 2 * DAY, HOUR / 2),
        "cron": ({"cron": "0 3 * * *"}, 10 * DAY, HOUR),
        "a cron that comes often: a tenth of its interval": ({"cron": "0 */3 * * *"}, 10 * DAY, timedelta(minutes=18)),
        "max_age alone": ({"max_age": 30 * DAY}, 31 * DAY, HOUR),
        "max_age and a window that is closed": ({"every": DAY, "max_age": 2 * DAY, "window": NIGHTS}, 4 * DAY, HOUR),
    }.values(),
    ids=lambda value: "",
)
def test_c10_what_is_late_is_spread_whatever_made_it_late(
    changes: dict[str, object], late: timedelta, over: timedelta
) -> None:
    assert_spread(turns(BORN + late, **changes), over)


def test_c10_what_waited_for_its_window_is_spread_from_its_opening_and_in_it() -> None:
    weekly = MaintenanceWindow(days=frozenset({0}), start=22 * 60, end=24 * 60)
    closed = paris("2026-03-11T12:00")
    opening = paris("2026-03-16T22:00")
    wanted = {"every": 5 * DAY, "window": weekly, "timezone": PARIS}
    assert_spread([wait - (opening - closed) for wait in turns(closed, **wanted)], HOUR)
    assert_spread(turns(opening, **wanted), HOUR)
    assert must(due(spec(startup_spread=HOUR, **wanted), key())).at == paris("2026-03-09T22:00"), "what the policy says"
    short = MaintenanceWindow(days=frozenset({0}), start=22 * 60, end=22 * 60 + 15)
    wanted["window"] = short
    assert_spread([wait - (opening - closed) for wait in turns(closed, **wanted)], 15 * MINUTE)


def test_c10_late_rotations_stay_in_the_open_window_or_wait_for_the_next() -> None:
    now = paris("2026-03-10T05:50")
    for name in FLEET:
        wanted = spec(application=name, every=3 * DAY, window=NIGHTS, timezone=PARIS, startup_spread=8 * HOUR)
        found = must(plan_rotation(wanted, key(), now)).at
        assert contains(NIGHTS, found, PARIS), name
        assert found < paris("2026-03-11T06:00")


def test_c10_no_rotation_begins_at_the_moment_at_which_its_window_closes() -> None:
    daily = MaintenanceWindow(days=frozenset(range(7)), start=10 * 60, end=14 * 60)
    closes = BORN + 40 * DAY + 2 * HOUR
    assert min(turns(closes, every=30 * DAY, window=daily)) >= 20 * HOUR


@pytest.mark.parametrize(
    "schedule",
    [
        {"every": 30 * DAY},
        {"cron": "0 12 1 4 *"},
        {"max_age": 30 * DAY},
        {"every": 30 * DAY, "window": MaintenanceWindow(days=frozenset(range(7)), start=10 * 60, end=14 * 60)},
    ],
    ids=["every", "cron", "max_age", "an open window"],
)
def test_c10_who_is_there_when_it_becomes_due_begins_at_once(schedule: dict[str, object]) -> None:
    for name in FLEET:
        wanted = spec(application=name, startup_spread=HOUR, **schedule)
        expected = must(due(wanted, key())).at
        for now in (BORN, expected - MINUTE, expected, expected + MINUTE):
            assert must(plan_rotation(wanted, key(), now)).at == expected
        assert must(due(wanted, key())).latest == expected + HOUR


@pytest.mark.parametrize("down", [timedelta(seconds=5), timedelta(minutes=2), timedelta(minutes=20)])
@pytest.mark.parametrize("up", [timedelta(minutes=3), timedelta(minutes=20), timedelta(minutes=40)])
def test_c10_a_daemon_that_restarts_more_often_than_the_spread_gets_to_every_application(
    up: timedelta, down: timedelta
) -> None:
    began = BORN + 400 * DAY
    for name in FLEET:
        wanted, now = spec(application=name, every=30 * DAY, startup_spread=HOUR), began
        while (plan := must(plan_rotation(wanted, key(), now)).at) > now + up:
            now += up + down  # the process ended before, and another one knows nothing of it
        assert max(plan, now) <= began + (HOUR + 3 * MINUTE if down < 3 * MINUTE else 20 * HOUR), (name, plan)


def test_c10_a_turn_stays_where_it_is_until_it_has_passed() -> None:
    wanted, now = spec(every=30 * DAY, startup_spread=HOUR), BORN + 40 * DAY
    first = must(plan_rotation(wanted, key(), now)).at
    while now < first:
        assert must(plan_rotation(wanted, key(), now)).at == first
        now += timedelta(seconds=7)


def test_c10_a_turn_is_on_time_for_three_minutes_where_turns_are_half_an_hour_apart() -> None:
    now, slack = BORN + 40 * DAY, 3 * MINUTE
    for name in FLEET:
        wanted = spec(application=name, every=30 * DAY, startup_spread=HOUR)
        turn = must(plan_rotation(wanted, key(), now)).at
        for _ in range(5):
            assert must(plan_rotation(wanted, key(), turn + slack)).at == turn
            following = must(plan_rotation(wanted, key(), turn + slack + timedelta.resolution)).at
            assert turn < following < turn + HOUR
            turn = following


def test_c10_a_rotation_is_on_time_for_as_long_as_a_turn() -> None:
    expected, slack = BORN + 30 * DAY, 3 * MINUTE
    assert set(plans(expected + slack, every=30 * DAY)) == {expected}
    assert min(plans(expected + slack + timedelta.resolution, every=30 * DAY)) > expected


def test_c10_a_late_rotation_begins_at_its_hard_deadline_at_the_latest() -> None:
    wanted = {"every": 10 * DAY, "max_age": 10 * DAY + 30 * MINUTE}
    deadline = BORN + 10 * DAY + 30 * MINUTE
    assert max(plans(deadline - 10 * MINUTE, **wanted)) == deadline
    assert set(plans(deadline, **wanted)) == {deadline}


def test_c10_nothing_is_spread_over_less_than_two_minutes_or_where_the_spread_is_none() -> None:
    late = BORN + 40 * DAY
    for changes in ({"every": timedelta(minutes=20)}, {"every": 30 * DAY, "startup_spread": timedelta(0)}):
        wanted = spec(**{"startup_spread": HOUR, **changes})
        assert must(plan_rotation(wanted, key(), late)).at == must(due(wanted, key())).at


def test_c10_an_expiring_key_is_not_put_off_beyond_half_of_the_time_that_is_left_to_it() -> None:
    life = 20 * DAY
    for name in FLEET:
        wanted, current = spec(application=name, startup_spread=100 * DAY), key(expires=BORN + life)
        deadline = must(due(wanted, current)).at
        assert deadline == BORN + 18 * DAY
        assert must(plan_rotation(wanted, current, deadline + HOUR)).at <= deadline + timedelta(hours=6)
        for left in (DAY, MINUTE, -DAY):
            assert must(plan_rotation(wanted, current, BORN + life - left)).at <= BORN + life - left, "at once"


def test_c10_an_expiring_key_has_turns_until_half_of_the_time_that_is_left_to_it_has_passed() -> None:
    halfway = BORN + 19 * DAY
    found = plans(halfway - HOUR, key(expires=BORN + 20 * DAY), startup_spread=100 * DAY)
    assert halfway - HOUR < max(found) == halfway


def test_c10_a_creation_date_from_after_the_takeover_does_not_put_a_rotation_off() -> None:
    odd = replace(key(), created_at=BORN + 1000 * DAY)
    assert must(due(spec(every=30 * DAY), odd)).at == BORN + timedelta(days=30, seconds=5)


SCHEDULES: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.fixed_dictionaries({"every": st.timedeltas(timedelta(seconds=1), timedelta(days=400))}),
    st.fixed_dictionaries({"cron": st.sampled_from(["0 3 * * *", "*/5 * * * *", "30 2 * * 0"])}),
    st.just({}),
)
OPTIONAL = st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=400))


@given(
    SCHEDULES,
    st.none() | WINDOWS,
    ZONES,
    st.timedeltas(timedelta(0), timedelta(days=500)),
    OPTIONAL,
    OPTIONAL,
    MOMENTS,
    MOMENTS,
)
def test_a_key_is_never_due_after_its_deadline_and_otherwise_in_its_window(
    schedule: dict[str, object],
    window: MaintenanceWindow | None,
    place: str,
    jitter: timedelta,
    max_age: timedelta | None,
    life: timedelta | None,
    now: datetime,
    created: datetime,
) -> None:
    wanted = spec(
        **schedule, window=window, timezone=place, jitter=jitter, max_age=max_age, startup_spread=timedelta(hours=1)
    )
    current = key(created, expires=created + life if life else None)
    found = plan_rotation(wanted, current, now)
    if found is None:
        assert not schedule
        assert not max_age
        assert not life
        return
    assert found.at.tzinfo is UTC
    assert found.at >= created
    assert found.reason
    if max_age or life:
        assert found.deadline is not None
        assert found.at <= found.deadline or found.deadline < now, "only what has missed it already is spread beyond it"
        assert not life or found.deadline <= created + life * 0.9 + timedelta(milliseconds=1)
        assert not max_age or found.deadline <= created + max_age
    if window and found.deadline is None:
        assert contains(window, found.at, place)
    assert plan_rotation(wanted, current, now) == found
    policy = must(due(wanted, current))
    assert policy.at <= found.at, "never before it is due"
    # Who is there from then on has begun before it is overdue, unless the window closed before.
    assert must(plan_rotation(wanted, current, policy.at)).at <= policy.latest


@pytest.mark.parametrize("hour", ["00:30", "12:00", "23:30"])
def test_a_late_rotation_never_begins_in_a_window_that_has_closed(hour: str) -> None:
    evening = MaintenanceWindow(days=frozenset(range(7)), start=22 * 60, end=23 * 60)
    now = at(f"2027-03-04T{hour}:00Z")
    found = must(
        plan_rotation(spec(every=timedelta(days=30), window=evening, startup_spread=timedelta(hours=1)), key(), now)
    )
    assert found.at > now
    assert contains(evening, found.at, "UTC")
