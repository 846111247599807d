"""When schedules are due, against a simple reading of the rule: look at every minute there is."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stepwire.definition.cron import BadCron, Due, checked, dues, next_due, zone

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")


def transitions(tz: ZoneInfo) -> list[datetime]:
    """The instants from 2024 to 2030 at which the clock is changed."""
    found, at, end = [], datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + 7 * DAY
        if at.astimezone(tz).utcoffset() != following.astimezone(tz).utcoffset():
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low).total_seconds() // 2)
                low, high = (
                    (low, middle)
                    if middle.astimezone(tz).utcoffset() != at.astimezone(tz).utcoffset()
                    else (middle, high)
                )
            found.append(high)
        at = following
    return found


CHANGES = [(name, at) for name in sorted(available_timezones()) for at in transitions(ZoneInfo(name))]


def fits(simulation: CronSim, wall: datetime) -> bool:
    return (
        wall.minute in simulation.minutes and wall.hour in simulation.hours and wall.month in simulation.months
        and simulation.match_day(wall.date())
    )  # fmt: skip


def expected(cron: str, tz: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Every minute after ``start`` and up to ``end`` that the rule names."""
    simulation = CronSim(cron, datetime(2024, 1, 1))  # noqa: DTZ001
    minutes = [start + number * MINUTE for number in range(1, int((end - start) / MINUTE) + 1)]
    minute, hour, *_ = cron.split()
    if minute.startswith("*") or hour.startswith("*"):
        return [at for at in minutes if fits(simulation, at.astimezone(tz).replace(tzinfo=None))]
    found, seen = [], set()
    shown = start.astimezone(tz).replace(tzinfo=None)
    for at in minutes:
        wall = at.astimezone(tz).replace(tzinfo=None)
        skipped = []
        passed = shown + MINUTE
        while passed < wall:  # a gap: these times are passed over just now
            skipped.append(passed)
            passed += MINUTE
        is_second = at.astimezone(tz).fold == 1
        if any(fits(simulation, each) for each in skipped) or (fits(simulation, wall) and not is_second):
            found.append(at)
        seen.add(wall)
        shown = wall
    return found


fields = st.tuples(
    st.sampled_from(["0", "30", "15,45", "*", "*/10", "*/7", "0-5", "59", "5/20"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "0,2", "*/2", "22-23", "2,3", "23"]),
    st.sampled_from(["*", "*", "*", "1-28", "*/2", "L"]),
    st.sampled_from(["*", "*", "*", "MAR,OCT", "1-12"]),
    st.sampled_from(["*", "*", "*", "SUN", "0-6", "7", "SUN#1,SUN#2,SUN#3,SUN#4,SUN#5"]),
).map(" ".join)


@settings(max_examples=5 * settings.default.max_examples)
@given(fields, st.sampled_from(CHANGES), st.integers(-180, 60))
def test_around_every_change_of_every_clock_what_is_due_is_what_the_rule_names(
    cron: str, change: tuple[str, datetime], minutes: int
) -> None:
    name, at = change
    assume(at.second == 0)
    tz, start = ZoneInfo(name), at + minutes * MINUTE
    end = start + timedelta(hours=30)

    found = list(takewhile(lambda due: due.at <= end, dues(checked(cron), tz, start)))

    assert [due.at for due in found] == expected(cron, tz, start, end)


@pytest.mark.parametrize(
    ("cron", "name", "after", "wanted"),
    [
        ("*/10 2 */2 MAR,OCT 7", "America/Resolute", "2028-11-05T05:57Z", "2029-03-25T07:00Z"),
        ("15,45 */2 */2 MAR,OCT SUN", "America/Havana", "2030-11-03T03:48Z", "2031-03-09T06:15Z"),
        ("* 2 L MAR,OCT SUN", "Australia/ACT", "2024-04-06T13:09Z", "2024-10-12T15:00Z"),
    ],
)
def test_the_next_one_may_lie_right_behind_another_change_of_the_clock(
    cron: str, name: str, after: str, wanted: str
) -> None:
    """It would be in the hour that is left out, and is the next one after that."""
    assert next_due(checked(cron), zone(name), datetime.fromisoformat(after)) == datetime.fromisoformat(wanted)


def test_there_are_changes_to_look_at() -> None:
    assert len(CHANGES) > 2000
    assert len({name for name, _ in CHANGES}) > 150


@given(fields, st.sampled_from(sorted(available_timezones())), st.integers(1_704_067_200, 1_924_000_000))
def test_each_instant_comes_after_the_one_before_and_is_found_from_it(cron: str, name: str, start: int) -> None:
    """A schedule that looks for one instant at a time finds the same as one that looks for many."""
    tz, at = ZoneInfo(name), datetime.fromtimestamp(start, UTC)
    found = [due.at for due in islice(dues(cron, tz, at), 5)]
    one_by_one = []
    for _ in range(5):
        following = next_due(cron, tz, at)
        assert following is not None
        assert following > at
        one_by_one.append(at := following)

    assert found == one_by_one


@pytest.mark.parametrize("cron", ["0 0 * 2 MON#5", "* 0 * 2 MON#5"])
@pytest.mark.parametrize("name", ["UTC", "Pacific/Apia", "America/New_York"])
def test_what_is_due_ends_with_the_calendar(cron: str, name: str) -> None:
    found = list(dues(cron, zone(name), datetime(9950, 1, 1, tzinfo=UTC)))

    assert 1 <= len(found) <= 120
    assert found[-1].at.year <= 9999


def test_a_time_that_does_not_exist_is_due_right_after_the_gap_and_says_so() -> None:
    before = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)

    assert next(dues("30 2 * * *", BERLIN, before)) == Due(datetime(2026, 3, 29, 1, 0, tzinfo=UTC), is_moved=True)
    assert next(dues("0,30 2,3 * * *", BERLIN, before)) == Due(datetime(2026, 3, 29, 1, 0, tzinfo=UTC), True, False, 2)


def test_a_time_that_happens_twice_is_due_at_the_first_of_the_two() -> None:
    before = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    first, following = islice(dues("30 2 * * *", BERLIN, before), 2)

    assert first == Due(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), is_first_of_two=True)
    assert following.at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert next_due("30 2 * * *", BERLIN, datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == following.at
    assert next_due("30 2 * * *", BERLIN, datetime(2026, 10, 25, 1, 15, tzinfo=UTC)) == following.at, "in the second"


def test_what_goes_by_elapsed_time_neither_pauses_nor_doubles() -> None:
    gaps = Counter(
        later.at - earlier.at
        for start in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC))
        for found in [list(islice(dues("*/10 * * * *", BERLIN, start), 200))]
        for earlier, later in pairwise(found)
    )

    assert set(gaps) == {timedelta(minutes=10)}


@pytest.mark.parametrize(
    ("cron", "same"), [("@hourly", "0 * * * *"), ("@Daily", "0 0 * * *"), (" 0  9  *  * mon-fri ", "0 9 * * mon-fri")]
)
def test_names_and_spaces_are_understood(cron: str, same: str) -> None:
    assert checked(cron) == same


@pytest.mark.parametrize(
    ("cron", "same"),
    [
        ("3-3/7 0 * * *", "3 0 * * *"), ("0 02-2/5 * * *", "0 2 * * *"), ("0 0 1,10-10/3 * *", "0 0 1,10 * *"),
        ("0 0 * * MON-mon/2", "0 0 * * MON"), ("1-11/7 0 3-30/3 * *", "1-11/7 0 3-30/3 * *"),
    ],
)  # fmt: skip
def test_a_range_of_one_is_that_one_whatever_its_step(cron: str, same: str) -> None:
    assert checked(cron) == same


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "five fields"), ("* * * *", "five fields"), ("0 * * * * *", "five fields"), ("@reboot", "not known"),
        ("60 * * * *", "minute '60'"), ("* 24 * * *", "hour '24'"), ("* * 0 * *", "day of month '0'"),
        ("* * * 13 *", "month '13'"), ("* * * * 8", "day of week '8'"), ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"), ("a * * * *", "minute"), ("0 0 30 2 *", "day of month"), ("0 0 * * L", "day of week"),
        ("1;2 * * * *", "holds something"), ("0 " * 200, "200 characters"), ("\x00 * * * *", "holds something"),
        ("\u0661 * * * *", "holds something"), ("1/2/3/4 * * * ,", "minute"), ("L/2 * * * *", "minute"),
    ],
)  # fmt: skip
def test_what_is_no_cron_expression_is_refused_with_the_field_that_is_wrong(cron: str, said: str) -> None:
    with pytest.raises(BadCron, match=said):
        checked(cron)


@given(st.text(max_size=60))
def test_no_text_makes_the_check_stumble(text: str) -> None:
    try:
        cron = checked(text)
    except BadCron:
        return
    assert len(cron.split()) == 5


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "../../etc/passwd", "europe/berlin", "Europe/Berlin\x00", "localtime", "zones", "x" * 5000],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(BadCron):
        zone(name)
