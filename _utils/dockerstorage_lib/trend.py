"""When a pool will be full, from the history of days. Pure functions.

The rate is that of ``forecast``; only the time that it looks back is longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import forecast
from .forecast import Track
from .history import DAY_SECONDS, Row

#: A week, so that its quiet days count.
WINDOW_SECONDS = 7 * DAY_SECONDS
#: A shorter time says nothing of days to come.
LEAST_SECONDS = 3600
#: What lies further ahead is no forecast.
FARTHEST_SECONDS = 365 * DAY_SECONDS
#: After so long without a sample nobody knows.
SILENCE_SECONDS = DAY_SECONDS
#: Slopes between all pairs are looked at.
MOST_POINTS = 150


@dataclass(frozen=True)
class Trend:
    """When a pool's data and metadata are full, at the rate of how many seconds.

    None: they do not fill, or not within a year, or nobody knows.
    """

    seconds_to_data_full: int | None
    seconds_to_metadata_full: int | None
    observed_data_seconds: int | None
    observed_metadata_seconds: int | None


def trend(rows: Iterable[Row], now: float) -> Trend:
    """The trend of a pool, as seen from now."""
    recent = [row for row in rows if 0 <= now - row.at <= WINDOW_SECONDS]
    data = _since_a_break((row.at, *row[1:3]) for row in recent)
    metadata = _since_a_break((row.at, *row[3:5]) for row in recent)
    return Trend(
        _seconds_to_full(data, now),
        _seconds_to_full(metadata, now),
        _observed_seconds(data),
        _observed_seconds(metadata),
    )


def _since_a_break(samples: Iterable[tuple[int, int, int]]) -> Track:
    """Times and used blocks since the size was another, or something was removed."""
    points: list[tuple[float, int]] = []
    total = fullest = 0
    for at, used, size in samples:
        if size != total or forecast.is_fall(fullest, used, total):
            points, total, fullest = [], size, 0
        points.append((at, used))
        fullest = max(fullest, used)
    return Track(total, tuple(points))


def _spread(track: Track) -> Track:
    """Some of many points, each so many behind the next; the newest is one of them."""
    step = -(-len(track.points) // MOST_POINTS)
    return Track(track.total_blocks, track.points[:: -max(step, 1)][::-1])


def _observed_seconds(track: Track) -> int | None:
    if len(track.points) < forecast.LEAST_POINTS:
        return None
    seconds = round(track.points[-1][0] - track.points[0][0])
    return seconds if seconds >= LEAST_SECONDS else None


def _seconds_to_full(track: Track, now: float) -> int | None:
    if not track.points or now - track.points[-1][0] > SILENCE_SECONDS:
        return None
    if track.points[-1][1] < track.total_blocks and _observed_seconds(track) is None:
        return None
    seconds = forecast.seconds_to_full(_spread(track))
    if seconds is None or seconds > FARTHEST_SECONDS:
        return None
    return max(0, round(seconds - (now - track.points[-1][0])))
