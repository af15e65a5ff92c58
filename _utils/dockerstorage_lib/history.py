"""How full pools were over months, in a text of bounded size. Pure functions.

One sample in five minutes is taken. The older they are the fewer are kept: of each span of time the
fullest, since how full a pool got is what must not be lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .devmapper import ThinPoolStatus, percent

FORMAT = 1
#: Of the text, whatever the number of pools.
MOST_BYTES = 64 * 1024
SAMPLE_SECONDS = 300
DAY_SECONDS = 86400
#: Up to which age one sample is kept of each so many seconds. Each span divides the next one, so
#: that what was the fullest of a short one can be the fullest of a long one.
SPANS = (
    (DAY_SECONDS, SAMPLE_SECONDS),
    (7 * DAY_SECONDS, 3600),
    (90 * DAY_SECONDS, 8 * 3600),
)


class Row(NamedTuple):
    """One sample; a tuple, for there are many."""

    #: Seconds since the epoch.
    at: int
    used_data_blocks: int
    total_data_blocks: int
    used_metadata_blocks: int
    total_metadata_blocks: int

    @property
    def data_percent(self) -> float:
        return percent(self.used_data_blocks, self.total_data_blocks)

    @property
    def metadata_percent(self) -> float:
        return percent(self.used_metadata_blocks, self.total_metadata_blocks)

    @property
    def fullest_percent(self) -> float:
        """Of what is nearer to full."""
        return max(self.data_percent, self.metadata_percent)


#: Samples of each pool, the oldest first.
History = Mapping[str, tuple[Row, ...]]


def sample(status: ThinPoolStatus, now: float) -> Row:
    """What is kept of one look."""
    return Row(
        int(now),
        status.used_data_blocks,
        status.total_data_blocks,
        status.used_metadata_blocks,
        status.total_metadata_blocks,
    )


def is_due(sampled_at: float | None, now: float) -> bool:
    """Whether the last sample is old enough for another one, or the clock was put back."""
    return sampled_at is None or not 0 <= now - sampled_at < SAMPLE_SECONDS


#: Spans are made longer until the text fits; then each pool has its newest sample alone.
DOUBLINGS = 12


def append(history: History, samples: Mapping[str, Row], now: float) -> dict[str, tuple[Row, ...]]:
    """The history with one more sample of some pools, thinned so that its text keeps the bound."""
    grown = dict(history)
    for pool, row in samples.items():
        others = (one for one in grown.get(pool, ()) if one.at != row.at)
        grown[pool] = tuple(sorted((*others, row)))
    for doubling in range(DOUBLINGS):
        thinned = ((pool, thin(rows, now, 2**doubling)) for pool, rows in grown.items())
        kept = {pool: rows for pool, rows in thinned if rows}
        if len(to_text(kept)) <= MOST_BYTES:
            return kept
    return _newest_of_each(grown, now)


def thin(rows: Iterable[Row], now: float, coarseness: int = 1) -> tuple[Row, ...]:
    """What is kept of a pool's samples: the fullest of each span, and the newest.

    A sample of the future, from before the clock was put back, counts by its distance like one of
    the past. coarseness: how many times longer than usual the spans are.
    """
    fullest: dict[tuple[int, int], Row] = {}
    newest: Row | None = None
    for row in rows:
        distance = abs(now - row.at)
        span = next((seconds for age, seconds in SPANS if distance <= age), None)
        if span is None:
            continue
        if newest is None or distance <= abs(now - newest.at):
            newest = row
        place = (span, row.at // (span * coarseness))
        if place not in fullest or row.fullest_percent >= fullest[place].fullest_percent:
            fullest[place] = row
    return tuple(sorted({*fullest.values(), *([newest] if newest else [])}))


def _newest_of_each(history: History, now: float) -> dict[str, tuple[Row, ...]]:
    """One sample of each pool, of those seen last, as many as there is room for."""
    newest = {
        pool: min(rows, key=lambda row: abs(now - row.at)) for pool, rows in history.items() if rows
    }
    found: dict[str, tuple[Row, ...]] = {}
    size = len(to_text(found))
    for pool, row in sorted(newest.items(), key=lambda item: abs(now - item[1].at)):
        size += len(json.dumps({pool: [row]}, separators=(",", ":"))) - 1  # a comma for the braces
        if size > MOST_BYTES:
            break
        found[pool] = (row,)
    return found


def to_text(history: History) -> str:
    """As JSON; as long in letters as in bytes."""
    return json.dumps({"format": FORMAT, "pools": history}, separators=(",", ":"))


def from_text(text: str) -> dict[str, tuple[Row, ...]] | None:
    """Read what ``to_text`` wrote; None if it is anything else."""
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            return None
        return {str(pool): _rows(rows) for pool, rows in found["pools"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _rows(found: Any) -> tuple[Row, ...]:
    rows = [Row(*one) for one in found]
    if not all(type(number) is int and 0 <= number < 2**63 for row in rows for number in row):
        raise ValueError("a sample holds counts")
    return tuple(sorted(rows))
