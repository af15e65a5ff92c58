"""When a pool will be full: right on noisy lines and after a prune, silent where nobody knows."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.forecast import Track, follow, seconds_to_full

TOTAL = 100_000
NOW = 1_700_000_000.0


def seen(*blocks: float, step: float = 60.0, total: int = TOTAL) -> Track:
    track = Track()
    for number, used in enumerate(blocks):
        track = follow(track, NOW + number * step, round(used), total)
    return track


@given(
    st.integers(0, TOTAL // 2),
    st.integers(20, 2000),
    st.integers(3, 24),
    st.sampled_from([5.0, 60.0, 300.0]),
)
def test_exact_on_a_straight_line(start, slope, count, step):
    track = seen(*(start + n * slope for n in range(count)), step=step)
    left = TOTAL - start - (count - 1) * slope
    assert seconds_to_full(track) == pytest.approx(max(0, left) / slope * step, abs=1)


@given(st.integers(0, 2**32), st.integers(200, 2000))
def test_near_on_a_noisy_line_with_two_wild_points(seed, slope):
    random_ = random.Random(seed)
    blocks = [20_000 + n * slope + random_.uniform(-0.1, 0.1) * slope for n in range(12)]
    # wild, but not fallen: that would be a prune
    blocks[4] += 0.009 * TOTAL
    blocks[8] += 0.009 * TOTAL
    expected = (TOTAL - blocks[-1]) / slope * 60
    assert seconds_to_full(seen(*blocks)) == pytest.approx(expected, rel=0.25)


@given(st.integers(2_000, 60_000), st.integers(100, 1000))
def test_a_prune_does_not_count_as_filling_slower(freed, slope):
    before = [70_000 + n * slope for n in range(12)]
    after = [70_000 - freed + n * slope for n in range(6)]
    expected = (TOTAL - after[-1]) / slope * 60
    assert seconds_to_full(seen(*before, *after)) == pytest.approx(expected, rel=0.01)


def test_right_after_a_prune_nobody_knows():
    assert seconds_to_full(seen(*range(50_000, 60_000, 1000), 20_000, 21_000)) is None


def test_a_pool_that_grew_starts_anew():
    track = seen(*range(50_000, 60_000, 1000))
    track = follow(track, NOW + 3600, 60_000, 2 * TOTAL)
    assert seconds_to_full(track) is None
    assert track.total_blocks == 2 * TOTAL


def test_a_pool_that_does_not_fill_is_never_full():
    assert seconds_to_full(seen(*[50_000] * 10)) is None
    assert seconds_to_full(seen(*range(50_000, 49_990, -1))) is None
    assert seconds_to_full(seen(*[50_000, 50_100] * 6)) is None


def test_a_full_one_is_full_now():
    assert seconds_to_full(seen(TOTAL)) == 0


def test_nothing_is_known_at_first_and_after_a_long_silence():
    assert seconds_to_full(Track()) is None
    assert seconds_to_full(seen(50_000, 51_000)) is None
    assert seconds_to_full(seen(*range(50_000, 60_000, 1000), step=7200)) is None


def test_a_clock_put_back_forgets_the_future():
    track = seen(*range(50_000, 60_000, 1000))
    assert len(follow(track, NOW - 10, 60_000, TOTAL).points) == 1


def test_a_look_each_second_still_covers_a_minute():
    track = seen(*range(50_000, 50_120), step=1)
    span = track.points[-1][0] - track.points[0][0]
    assert 45 <= span <= 75
    assert track.points[-1][1] == 50_119, "the newest look counts"
    assert seconds_to_full(track) == TOTAL - 50_119
