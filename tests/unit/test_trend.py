"""Days ahead: right on noisy lines, blind to what lay before a prune or an extension."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.history import DAY_SECONDS, Row, append
from dockerstorage_lib.trend import trend

NOW = 1_700_000_000
HOUR = 3600
TOTAL = 100_000


def line(start: float, per_hour: float, hours: float, until: int = NOW, total: int = TOTAL):
    """Hourly samples of a pool that fills steadily, the last one at a time."""
    times = range(until - round(hours * HOUR), until + 1, HOUR)
    return [
        Row(at, round(start + per_hour * n), total, round(5 * n), 10_000)
        for n, at in enumerate(times)
    ]


@given(st.integers(0, 40_000), st.integers(200, 400), st.integers(2, 7 * 24))
def test_exact_on_a_straight_line(start, per_hour, hours):
    rows = line(start, per_hour, hours)
    found = trend(rows, NOW)
    left = max(0, TOTAL - rows[-1].used_data_blocks)
    assert found.seconds_to_data_full == pytest.approx(left / per_hour * HOUR, rel=0.01, abs=1)
    assert found.observed_data_seconds == hours * HOUR
    assert found.observed_metadata_seconds == hours * HOUR


@given(st.integers(0, 2**32))
def test_near_on_a_noisy_line_with_wild_points(seed):
    random_ = random.Random(seed)
    rows = [
        one._replace(used_data_blocks=one.used_data_blocks + round(random_.uniform(0, 300)))
        for one in line(20_000, 300, 96)
    ]
    for wild in (11, 50, 70):
        rows[wild] = rows[wild]._replace(used_data_blocks=rows[wild].used_data_blocks + 900)
    expected = (TOTAL - rows[-1].used_data_blocks) / 300 * HOUR
    assert trend(rows, NOW).seconds_to_data_full == pytest.approx(expected, rel=0.1)


def test_what_lay_before_a_prune_does_not_count():
    rows = [*line(70_000, 10, 100, NOW - 25 * HOUR), *line(30_000, 500, 24)]
    found = trend(rows, NOW)
    assert found.seconds_to_data_full == pytest.approx((TOTAL - 42_000) / 500 * HOUR, rel=0.01)
    assert found.observed_data_seconds == 24 * HOUR
    assert found.observed_metadata_seconds == 24 * HOUR, "the metadata fell as well"


def test_what_lay_before_an_extension_does_not_count():
    rows = [*line(70_000, 10, 100, NOW - 25 * HOUR), *line(71_000, 500, 24, total=2 * TOTAL)]
    found = trend(rows, NOW)
    assert found.observed_data_seconds == 24 * HOUR
    assert found.seconds_to_data_full == pytest.approx(117_000 / 500 * HOUR, rel=0.01)


def test_seconds_count_from_now_not_from_the_last_sample():
    rows = line(50_000, 1000, 10)
    assert trend(rows, NOW + 2 * HOUR).seconds_to_data_full == 38 * HOUR
    late = [one._replace(used_data_blocks=99_000 + n * 90) for n, one in enumerate(rows)]
    assert trend(late, NOW + 20 * HOUR).seconds_to_data_full == 0, "by then it should be"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        line(50_000, 100, 0),
        line(50_000, 100, 1),
        line(50_000, 0, 100),
        line(50_000, -10, 100),
        line(50_000, 1, 100),  # in 6 years
        line(50_000, 100, 100, NOW - 25 * HOUR),  # the beacon is gone
        line(50_000, 100, 100, NOW - 8 * DAY_SECONDS),
        line(50_000, 100, 100, NOW + 200 * HOUR),  # of before the clock was put back
        [Row(NOW - n * 300, 50_000 - n * 100, TOTAL, 1, 10) for n in range(11)][::-1],  # 50 minutes
    ],
)
def test_where_nobody_knows_none_is_told(rows):
    assert trend(rows, NOW).seconds_to_data_full is None


def test_a_full_pool_is_full_now():
    assert trend([Row(NOW, TOTAL, TOTAL, 1, 10)], NOW).seconds_to_data_full == 0


def test_what_the_history_keeps_of_a_week_tells_the_same_as_all_of_it():
    kept, rows = {}, []
    for number in range(7 * 96):
        at = NOW - (7 * 96 - 1 - number) * 900
        rows.append(Row(at, 20_000 + number * 60 + number % 7, TOTAL, 100, 10_000))
        kept = append(kept, {"p": rows[-1]}, at)
    assert len(kept["p"]) < 300
    expected = (TOTAL - rows[-1].used_data_blocks) / 60 * 900
    assert trend(kept["p"], NOW).seconds_to_data_full == pytest.approx(expected, rel=0.02)
