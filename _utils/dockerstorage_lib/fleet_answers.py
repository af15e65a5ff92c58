"""What one minion answered, read without trust: any type may stand anywhere. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .fleet_text import plain

REPORT = "dockerstorage.report"
HISTORY = "dockerstorage.history"
#: Texts of one host that are kept; no real report has that many.
MOST_WARNINGS = 40
MOST_SAMPLES = 20_000


@dataclass(frozen=True)
class Unusable:
    """An answer that is no report, and why."""

    why: str


@dataclass(frozen=True)
class Fill:
    """How full the data or the metadata of a pool is."""

    percent: float
    used_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class Warned:
    """Something that a report warns of."""

    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Sample:
    """How full a pool was at a moment."""

    at: int
    data_percent: float
    metadata_percent: float


def parts(answer: Any, functions: Sequence[str]) -> dict[str, Any]:
    """What each function of a job returned, in the answer of a minion."""
    if len(functions) == 1:
        return {functions[0]: answer}
    if isinstance(answer, Mapping):
        return {name: answer[name] for name in functions if name in answer}
    if isinstance(answer, (list, tuple)):  # a minion with multifunc_ordered
        return dict(zip(functions, answer, strict=False))
    return {functions[0]: answer}


def report_of(answer: Any) -> Mapping[str, Any] | Unusable:
    """The report in an answer of a minion, or why it is none."""
    if isinstance(answer, Mapping) and ("engine" in answer or "pool" in answer):
        return answer
    if not isinstance(answer, str):
        return Unusable(f"the answer is no report: {plain(answer, 80)}")
    lines = [line for line in answer.splitlines() if line.strip()] or ["an empty answer"]
    if lines[0].endswith("is not available."):
        return Unusable("the extension is not installed there")
    _, found, reason = lines[0].partition("__virtual__ returned False")
    if found:
        return Unusable(f"the extension does not load there{plain(reason)}")
    # Of a traceback the last line says what happened, of all else the first.
    said = lines[-1 if lines[0].startswith("Traceback") else 0]
    return Unusable(f"the report failed: {plain(said)}")


def mapping(value: Any, key: str) -> Mapping[str, Any]:
    """The mapping under a key, an empty one if there is none."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def text(value: Mapping[str, Any], key: str) -> str | None:
    """The harmless text under a key; None if there is none."""
    found = value.get(key)
    return plain(found, 100) if isinstance(found, str) and found else None


def number(value: Any) -> float | None:
    """A finite number that is not negative; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def whole(value: Any) -> int | None:
    """The same, without what is behind the point."""
    found = number(value)
    return None if found is None else int(found)


def fill(pool: Mapping[str, Any], part: str) -> Fill | None:
    """The fill of a part of a pool; None if it is not known."""
    share = mapping(pool, part)
    percent = number(share.get("percent"))
    if percent is None:
        return None
    used, total = whole(share.get("used_bytes")), whole(share.get("total_bytes"))
    return Fill(min(percent, 100.0), used, total)


def warnings(report: Mapping[str, Any]) -> tuple[Warned, ...]:
    """What a report warns of, the worst first, as it says itself."""
    found = report.get("warnings")
    if not isinstance(found, (list, tuple)):
        return ()
    return tuple(
        Warned(*(plain(one.get(key) or "") for key in ("code", "text", "remedy")))
        for one in found[:MOST_WARNINGS]
        if isinstance(one, Mapping) and one.get("text")
    )


def unseen(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What a report could not look at."""
    found = report.get("unseen")
    if not isinstance(found, (list, tuple)):
        return ()
    return tuple(plain(one.get("what")) for one in found if isinstance(one, Mapping))


def history_of(answer: Any, pool: str | None) -> Mapping[str, Any]:
    """A pool's part of what ``dockerstorage.history`` answered; empty if there is none."""
    pools = mapping(answer, "pools")
    if pool not in pools and len(pools) == 1:
        (pool,) = pools
    return mapping(pools, pool) if isinstance(pool, str) else {}


def samples(history: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The samples of a pool, the oldest first; what is none is left out."""
    found = history.get("samples")
    if not isinstance(found, (list, tuple)):
        return ()
    read = (_sample(one) for one in found[-MOST_SAMPLES:])
    return tuple(sorted((one for one in read if one is not None), key=lambda one: one.at))


def _sample(value: Any) -> Sample | None:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    at, data, metadata = map(number, value)
    # A year of five digits is no date.
    if at is None or at > 250_000_000_000 or data is None or metadata is None:
        return None
    return Sample(int(at), min(data, 100.0), min(metadata, 100.0))
