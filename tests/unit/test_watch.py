"""When the watch fires, whatever a pool does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.alert import as_dict
from dockerstorage_lib.devmapper import FailedTarget, ThinPoolStatus
from dockerstorage_lib.levels import LEVELS, level
from dockerstorage_lib.watch import Sample, Settings, observe

SETTINGS = Settings()
RANK = {"ok": 0, "warning": 1, "critical": 2, "emergency": 3}
NOW = 1_700_000_000.0


def filled(data: float, metadata: float = 1, mode: str = "rw", **more) -> ThinPoolStatus:
    return ThinPoolStatus(1, round(metadata * 100), 10_000, round(data * 100), 10_000, None, mode,
                          **more)  # fmt: skip


def sample(data: float, metadata: float = 1, event_number: int = 0, **more) -> Sample:
    return Sample("pool", filled(data, metadata, **more), event_number)


def watch(samples, settings=SETTINGS, step=60.0, start=NOW):
    """The events of a series of looks, None for a look without one."""
    memory, events = None, []
    for number, one in enumerate(samples):
        memory, event = observe(memory, one, settings, start + number * step)
        events.append(event)
    return events


def states(samples, **more):
    return [event and event.state for event in watch(samples, **more)]


def test_each_level_is_told_once_on_the_way_up_and_on_the_way_down():
    fills = (10, 69.9, 70, 75, 79, 80, 85, 90, 99, 100, 90, 84.9, 80, 74.9, 70, 64.9, 10)
    told = [None, None, "warning", None, None, "critical", None, "emergency", None, None, None,
            "critical", None, "warning", None, "ok", None]  # fmt: skip
    assert states([sample(fill) for fill in fills], step=1) == told


def test_metadata_counts_as_much_as_data():
    assert states([sample(10, 10), sample(10, 85), sample(85, 10), sample(10, 10)]) == [
        None, "critical", None, "ok",
    ]  # fmt: skip


def test_a_pool_that_is_not_well_at_the_first_look_is_told():
    assert states([sample(95)]) == ["emergency"]
    assert watch([sample(95)])[0].previous_state is None


@given(st.lists(st.floats(0, 69.9), min_size=1))
def test_a_quiet_pool_is_silent(fills):
    assert not any(states([sample(fill) for fill in fills]))


@given(st.sampled_from([70, 80, 90]), st.lists(st.floats(-4.9, 4.9), min_size=2, max_size=40))
def test_noise_within_the_hysteresis_is_silent(threshold, noise):
    fills = [threshold, *(threshold + one for one in noise if threshold + one < threshold + 10)]
    events = states([sample(fill) for fill in fills], step=1)
    assert events[0] is not None
    assert not any(events[1:])


@given(st.lists(st.floats(0, 100), max_size=60), st.floats(0, 20))
def test_no_crossing_is_told_twice_and_none_is_missed(fills, hysteresis):
    settings = Settings(hysteresis_percent=hysteresis, realert_seconds=1e9)
    events = watch([sample(fill) for fill in fills], settings)
    held = "ok"
    for fill, event in zip(fills, events, strict=True):
        if event is not None:
            assert event.level != held, "the same level twice"
            assert (event.previous_level or "ok") == held
            held = event.level
        # What was told last is never below the level proper, nor above it by more than hysteresis.
        fill = round(fill * 100) / 100
        assert RANK[level(fill)] <= RANK[held] <= RANK[level(fill + hysteresis)]


def test_a_bad_state_is_told_again_at_the_interval_and_a_good_one_is_not():
    fills = [sample(75)] * 31
    told = [n for n, event in enumerate(watch(fills)) if event]
    assert told == [0, 15, 30]
    assert [event.reason for event in watch(fills) if event] == ["changed", "reminder", "reminder"]
    assert not any(watch([sample(10)] * 31))


def test_a_clock_put_back_delays_a_reminder_by_no_more_than_the_interval():
    memory, _ = observe(None, sample(75), SETTINGS, NOW)
    memory, event = observe(memory, sample(75), SETTINGS, NOW - 86400)
    assert event is None
    memory, event = observe(memory, sample(75), SETTINGS, NOW - 86400 + 900)
    assert event.reason == "reminder"


def test_a_kernel_event_is_told_between_levels():
    events = watch([sample(50, event_number=3), sample(50, event_number=4), sample(50, 1, 4)])
    assert [event and (event.state, event.reason) for event in events] == [
        None, ("ok", "kernel event"), None,
    ]  # fmt: skip


def test_a_device_made_anew_counts_its_events_anew():
    assert not any(watch([sample(50, event_number=3), sample(50, event_number=0)]))
    events = watch([sample(50, 1, 3), sample(50, 1, 0), sample(50, 1, 1)])
    assert events[2].reason == "kernel event"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (filled(100, mode="out_of_data_space"), "out_of_data_space"),
        (filled(50, mode="ro"), "read_only"),
        (filled(50, mode="ro", needs_check=True), "needs_check"),
        (FailedTarget("Fail"), "failed"),
    ],
)
def test_health_goes_before_level_and_recovery_is_told(status, state):
    ill = Sample("pool", status, 1)
    assert states([sample(50), ill, ill, sample(50, event_number=1)]) == [None, state, None, "ok"]


@pytest.mark.parametrize("absence", ["gone", "unresponsive"])
def test_a_pool_that_goes_and_comes_back_is_told_once_each(absence):
    away = Sample("pool", None, absence=absence)
    events = watch([sample(85), away, away, sample(85)])
    assert [event and event.state for event in events] == ["critical", absence, None, "critical"]
    assert events[1].data_percent is None
    assert events[3].previous_state == absence


def test_the_event_forecasts_both():
    events = watch([sample(60 + n, 10 + n / 2) for n in range(11)])
    (event,) = filter(None, events)
    assert event.seconds_to_data_full == 30 * 60
    assert event.seconds_to_metadata_full == pytest.approx(170 * 60, rel=0.01)
    assert as_dict(event, 4 << 30)["text"] == (
        "pool is filling up; data 70.0 %, metadata 15.0 %, data full in about 30 minutes at this "
        "rate, metadata full in about 3 hours at this rate, 4.0 GiB free in its volume group"
    )


def test_what_is_told_is_plain_and_a_sentence_for_every_state():
    for one in (
        sample(95),
        Sample("pool", FailedTarget("Fail"), 1),
        Sample("pool", None, absence="gone"),
        Sample("pool", None, absence="unresponsive"),
        replace(sample(50, mode="ro", needs_check=True), pool="other"),
    ):
        (event,) = watch([one])
        told = as_dict(event, None)
        assert told["text"].startswith(f"{one.pool} ")
        assert all(
            isinstance(value, (str, int, float, bool, type(None))) for value in told.values()
        )


def test_the_default_levels_are_the_documented_ones():
    assert {name: least for least, name in LEVELS} == {
        "warning": 70, "critical": 80, "emergency": 90,
    }  # fmt: skip
