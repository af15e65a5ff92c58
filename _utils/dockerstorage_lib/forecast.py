"""When something will be full, from what was seen of it. Pure functions.

The rate is the median of the slopes between all pairs of points (Theil and Sen): a few points off
the line do not change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from statistics import median

MOST_POINTS = 12
LEAST_POINTS = 3
#: Points of a quickly repeated look stand this far apart, but for the newest.
SPACING_SECONDS = 5.0
OLDEST_SECONDS = 3600.0
#: A fall by more than this part of the whole is no noise: something was removed.
FALL = 0.01


@dataclass(frozen=True)
class Track:
    """How full something was: points of time (seconds of a clock) and blocks in use."""

    total_blocks: int = 0
    points: tuple[tuple[float, int], ...] = ()


def follow(track: Track, now: float, used_blocks: int, total_blocks: int) -> Track:
    """The track with one more point.

    What was seen before it grew or shrank, before something was removed, too long ago or in the
    clock's future says nothing of today's rate and is dropped.
    """
    points = tuple(p for p in track.points if 0 < now - p[0] <= OLDEST_SECONDS)
    if total_blocks != track.total_blocks or _has_fallen(points, used_blocks, total_blocks):
        points = ()
    if len(points) > 1 and now - points[-2][0] <= SPACING_SECONDS:
        points = points[:-1]
    return Track(total_blocks, (*points, (now, used_blocks))[-MOST_POINTS:])


def seconds_to_full(track: Track) -> int | None:
    """Seconds from the newest point until all is in use; None if unknown or not filling."""
    if not track.points:
        return None
    free_blocks = track.total_blocks - track.points[-1][1]
    if free_blocks <= 0:
        return 0
    if len(track.points) < LEAST_POINTS:
        return None
    rate = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(track.points, 2))
    return round(free_blocks / rate) if rate > 0 else None


def is_fall(before: int, used_blocks: int, total_blocks: int) -> bool:
    """Whether something was removed since so many blocks were in use."""
    return before - used_blocks > FALL * total_blocks


def _has_fallen(points: tuple[tuple[float, int], ...], used: int, total: int) -> bool:
    return any(is_fall(seen, used, total) for _, seen in points)
