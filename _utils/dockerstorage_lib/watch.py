"""What is worth an event, from one look at a thin pool and the memory of those before. Pure.

``observe(memory, sample, settings, now)`` is all: the beacon's rule, without a clock and without
a kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import forecast, levels
from .devmapper import FailedTarget, ThinPoolStatus
from .forecast import Track
from .levels import OK

#: States of a pool that could not be looked at.
GONE = "gone"
UNRESPONSIVE = "unresponsive"

#: Why an event is fired.
CHANGED = "changed"
KERNEL_EVENT = "kernel event"
REMINDER = "reminder"


@dataclass(frozen=True)
class Settings:
    """When to fire."""

    levels: levels.Levels = levels.LEVELS
    hysteresis_percent: float = 5.0
    realert_seconds: float = 900.0


@dataclass(frozen=True)
class Sample:
    """One look at a pool: its status, or in a word why there is none."""

    pool: str
    status: ThinPoolStatus | FailedTarget | None
    #: The device's count of kernel events: low water, change of mode.
    event_number: int | None = None
    absence: str = GONE

    @property
    def health(self) -> str:
        return self.absence if self.status is None else self.status.health


@dataclass(frozen=True)
class Memory:
    """What the next look at the same pool must know."""

    state: str
    level: str
    event_number: int | None
    #: When the last event was fired; None if none was since the pool was last well.
    fired_at: float | None
    data: Track = field(default_factory=Track)
    metadata: Track = field(default_factory=Track)


@dataclass(frozen=True)
class Event:
    """What is told of a pool. What could not be seen is None."""

    pool: str
    #: The health if that is not ok, else the level.
    state: str
    #: None at the first look.
    previous_state: str | None
    #: Of the last look that showed it.
    level: str
    previous_level: str | None
    reason: str
    data_percent: float | None
    metadata_percent: float | None
    mode: str | None
    needs_check: bool | None
    seconds_to_data_full: int | None
    seconds_to_metadata_full: int | None


def observe(
    memory: Memory | None, sample: Sample, settings: Settings, now: float
) -> tuple[Memory, Event | None]:
    """The memory for the next look, and the event of this one, if it is worth one.

    Fires when the state or the level is another than at the look before (before the first, all
    was ok), when the kernel counted an event since then, and again after realert_seconds while
    the state is not ok.
    """
    level = _level(memory, sample, settings)
    state = level if sample.health == OK else sample.health
    reason = _reason(memory, state, level, sample.event_number, settings, now)
    fired_at = None if memory is None or state == OK else memory.fired_at
    if state != OK and (reason or fired_at is None or fired_at > now):
        fired_at = now
    data, metadata = _tracks(memory, sample, now)
    known = sample.event_number
    if known is None and memory is not None:
        known = memory.event_number
    fresh = Memory(state, level, known, fired_at, data, metadata)
    return fresh, None if reason is None else _event(memory, fresh, sample, reason)


def _level(memory: Memory | None, sample: Sample, settings: Settings) -> str:
    before = OK if memory is None else memory.level
    if sample.status is None:
        return before
    if isinstance(sample.status, FailedTarget):
        return "emergency"
    percent = sample.status.fullest_percent
    return levels.level(percent, before, settings.hysteresis_percent, settings.levels)


def _reason(
    memory: Memory | None,
    state: str,
    level: str,
    event_number: int | None,
    settings: Settings,
    now: float,
) -> str | None:
    if memory is None:
        return CHANGED if state != OK else None
    if (state, level) != (memory.state, memory.level):
        return CHANGED
    # A lower number is another device of the same name, of which nothing is known yet.
    if (event_number or 0) > (memory.event_number or 0) and memory.event_number is not None:
        return KERNEL_EVENT
    due = memory.fired_at is not None and now - memory.fired_at >= settings.realert_seconds
    return REMINDER if due and state != OK else None


def _tracks(memory: Memory | None, sample: Sample, now: float) -> tuple[Track, Track]:
    if memory is None:
        data, metadata = Track(), Track()
    else:
        data, metadata = memory.data, memory.metadata
    status = sample.status
    if not isinstance(status, ThinPoolStatus):
        return data, metadata
    return (
        forecast.follow(data, now, status.used_data_blocks, status.total_data_blocks),
        forecast.follow(metadata, now, status.used_metadata_blocks, status.total_metadata_blocks),
    )


def _event(memory: Memory | None, fresh: Memory, sample: Sample, reason: str) -> Event:
    status = sample.status if isinstance(sample.status, ThinPoolStatus) else None
    return Event(
        pool=sample.pool,
        state=fresh.state,
        previous_state=None if memory is None else memory.state,
        level=fresh.level,
        previous_level=None if memory is None else memory.level,
        reason=reason,
        data_percent=None if status is None else status.data_percent,
        metadata_percent=None if status is None else status.metadata_percent,
        mode=None if status is None else status.mode,
        needs_check=None if status is None else status.needs_check,
        seconds_to_data_full=None if status is None else forecast.seconds_to_full(fresh.data),
        seconds_to_metadata_full=(
            None if status is None else forecast.seconds_to_full(fresh.metadata)
        ),
    )
