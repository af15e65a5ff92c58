"""The history of this host's pools as ``dockerstorage.history`` shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from . import trend, watch_memory
from .adapters import history_file
from .errors import BadInput, DockerstorageError
from .history import DAY_SECONDS, Row


def show(pool: Any, days: Any, now: float) -> dict[str, Any]:
    """What was kept of a pool, or of all; raises BadInput, naming the argument."""
    if pool is not None and (not isinstance(pool, str) or not pool):
        raise BadInput(f"pool: {pool!r} is no name; write one as 'ls /dev/mapper' shows it")
    since = now - _read_days(days) * DAY_SECONDS
    unseen, kept = [], {}
    try:
        kept = history_file.load()
    except (DockerstorageError, OSError) as error:
        unseen.append({"what": "history", "why": str(error)})
    newest = max((rows[-1].at for rows in kept.values()), default=0)
    for why in watch_memory.history_troubles(newest):
        unseen.append({"what": "new samples", "why": why})
    if pool is not None and pool not in kept:
        why = "nothing was kept: the beacon has not seen it, or not for five minutes"
        unseen.append({"what": pool, "why": why})
    pools = {name: rows for name, rows in sorted(kept.items()) if pool in (None, name)}
    return {
        "pools": {name: _pool(rows, since, now) for name, rows in pools.items()},
        "unseen": unseen,
    }


def _read_days(value: Any) -> float:
    if value is None:
        return math.inf
    try:
        days = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        days = math.nan
    if not days > 0:
        raise BadInput(f"days: {value!r} is no number of days; write a number above 0")
    return days


def _pool(rows: Sequence[Row], since: float, now: float) -> dict[str, Any]:
    samples = [
        [row.at, row.data_percent, row.metadata_percent]
        for row in rows
        if since <= row.at <= now  # none of before the clock was put back
    ]
    return {"samples": samples, **asdict(trend.trend(rows, now))}
