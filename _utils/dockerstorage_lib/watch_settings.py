"""The arguments of a watch, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import policy, watch_memory
from .errors import BadInput
from .levels import LEVELS
from .watch import Settings

LONGEST_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Wanted:
    """What to watch, and how."""

    settings: Settings
    timeout_seconds: float
    #: None: all thin pools of the host.
    pools: tuple[str, ...] | None = None
    #: Where the memory lies; None: there is none, each look is the first.
    memory: Path | None = None


def read(
    pools: Any, levels: Any, hysteresis: Any, realert: Any, timeout: Any, memory: Path | None
) -> Wanted:
    """Check the arguments of a watch and read them; raises BadInput, naming the argument."""
    settings = Settings(
        levels=_read_levels(levels),
        hysteresis_percent=policy.read_percent(hysteresis, "hysteresis"),
        realert_seconds=_read_realert(realert),
    )
    return Wanted(settings, _read_timeout(timeout), _read_pools(pools), memory)


def memory_file(minion_id: str, name: Any) -> Path | None:
    """Where a watch's memory lies; None without a name. Two minions may run on one host."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise BadInput(f"memory: {name!r} is no text; quote it")
    return watch_memory.path(f"{minion_id}-{name}")


def _read_levels(value: Any) -> tuple[tuple[float, str], ...]:
    named = {name: least for least, name in LEVELS}
    if value is not None and not isinstance(value, Mapping):
        raise BadInput(f"levels: {value!r} is no mapping; write {{warning: 70, critical: 80}}")
    for name, percent in (value or {}).items():
        if name not in named:
            raise BadInput(f"levels: {name!r} is no level; allowed are {', '.join(named)}")
        named[name] = policy.read_percent(percent, f"levels:{name}")
    found = tuple((percent, name) for name, percent in named.items())
    percents = [percent for percent, _ in found]
    if sorted(set(percents), reverse=True) != percents or percents[-1] == 0:
        told = ", ".join(f"{name}: {percent:g}" for percent, name in reversed(found))
        raise BadInput(f"levels: {told} do not rise from warning to emergency, above 0")
    return found


def _read_realert(value: Any) -> float:
    seconds = policy.read_age(value, "realert")
    if seconds < 1:
        raise BadInput(f"realert: {value!r} is too short; write at least one second")
    return seconds


def _read_timeout(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0.1 <= seconds <= LONGEST_TIMEOUT_SECONDS:
        raise BadInput(
            f"timeout: {value!r} is no time; write seconds, 0.1 to {LONGEST_TIMEOUT_SECONDS:g}"
        )
    return seconds


def _read_pools(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = policy.texts("pools", value)
    for name in names:
        if not name.isprintable() or not 0 < len(name.encode()) < 128 or "/" in name:
            raise BadInput(
                f"pools: {name!r} is no device's name; write names as 'ls /dev/mapper' shows them"
            )
    if not names:
        raise BadInput("pools: the list is empty; leave it out to watch every thin pool")
    return tuple(dict.fromkeys(names))
