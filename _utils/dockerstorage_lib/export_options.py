"""How an export is made: arguments checked and read."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import BadInput
from .policy import read_flag


@dataclass(frozen=True)
class Options:
    """How an export is made."""

    consistent: bool = True
    logs: bool = False
    level: int = 3


def read_options(consistent: bool, logs: bool, level: int) -> Options:
    """Check the arguments of an export; raises BadInput, naming the argument."""
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= 19:
        raise BadInput(f"level: {level!r} is no whole number from 1 to 19")
    return Options(read_flag("consistent", consistent), read_flag("logs", logs), level)
