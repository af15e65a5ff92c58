"""The levels of a fill. Pure functions."""

from __future__ import annotations

#: Percent of data or metadata from which a pool has a level, the worst first. Docker refuses
#: new devices above 90 (dm.min_free_space).
LEVELS = ((90.0, "emergency"), (80.0, "critical"), (70.0, "warning"))
OK = "ok"

Levels = tuple[tuple[float, str], ...]


def level(
    percent: float,
    before: str = OK,
    hysteresis_percent: float = 0.0,
    levels: Levels = LEVELS,
) -> str:
    """The level of a fill: ``ok``, ``warning``, ``critical`` or ``emergency``.

    A level that the pool has reached before is left only when the fill is more than the
    hysteresis below it.
    """
    reached = [name for _, name in levels]
    held = reached[reached.index(before) :] if before in reached else []
    for least, name in levels:
        if percent >= least or (name in held and percent >= least - hysteresis_percent):
            return name
    return OK
