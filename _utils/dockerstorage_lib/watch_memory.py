"""The watch's memory as a file, so that a restart of the minion is no reason for an event."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import lock
from .errors import BadInput
from .forecast import Track
from .watch import Memory

FORMAT = 1
LONGEST_NAME = 200


@dataclass(frozen=True)
class Remembered:
    """All that a watch remembers between two looks."""

    pools: Mapping[str, Memory] = field(default_factory=dict)
    #: When all thin pools of the host were last looked for; None if they never were.
    searched_at: float | None = None
    #: When samples were last given to the history; None if they never were.
    sampled_at: float | None = None
    #: Why the history does not get them.
    history_trouble: str | None = None


def to_text(remembered: Remembered) -> str:
    """As JSON."""
    pools = {name: asdict(memory) for name, memory in remembered.pools.items()}
    return json.dumps(
        {
            "format": FORMAT,
            "searched_at": remembered.searched_at,
            "sampled_at": remembered.sampled_at,
            "history_trouble": remembered.history_trouble,
            "pools": pools,
        },
        separators=(",", ":"),
    )


def from_text(text: str) -> Remembered:
    """Read what ``to_text`` wrote; an unreadable memory is an empty one."""
    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            return Remembered()
        pools = {str(name): _memory(one) for name, one in found["pools"].items()}
        trouble = found.get("history_trouble")
        return Remembered(
            pools,
            _moment(found["searched_at"]),
            _moment(found.get("sampled_at")),
            None if trouble is None else str(trouble),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Remembered()


def path(name: str, folder: Path = lock.FOLDER) -> Path:
    """Where the memory of that name lies; raises BadInput if it is no name."""
    if not isinstance(name, str) or not 0 < len(quote(name, safe="")) <= LONGEST_NAME:
        raise BadInput(f"memory: {name!r} is no text of 1 to {LONGEST_NAME} letters")
    return folder / f"watch-{quote(name, safe='')}.json"


def load(file: Path) -> Remembered:
    """What was kept; nothing if there is no file or it cannot be read."""
    try:
        return from_text(file.read_text())
    except (OSError, UnicodeDecodeError):
        return Remembered()


def history_troubles(since: float, folder: Path = lock.FOLDER) -> list[str]:
    """Why watches could not add to the history since then, each reason once."""
    found = (load(file) for file in sorted(folder.glob("watch-*.json")))
    told = [
        one.history_trouble
        for one in found
        if one.history_trouble is not None and (one.sampled_at or 0) >= since
    ]
    return list(dict.fromkeys(told))


def save(file: Path, remembered: Remembered) -> None:
    """Keep it: a reader sees the old or the new, never a part."""
    lock.make_folder(file.parent)
    fresh = file.with_name(f"{file.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(to_text(remembered))
        fresh.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _moment(found: Any) -> float | None:
    return None if found is None else float(found)


def _memory(found: Mapping[str, Any]) -> Memory:
    event_number = found["event_number"]
    return Memory(
        state=str(found["state"]),
        level=str(found["level"]),
        event_number=None if event_number is None else int(event_number),
        fired_at=_moment(found["fired_at"]),
        data=_track(found["data"]),
        metadata=_track(found["metadata"]),
    )


def _track(found: Mapping[str, Any]) -> Track:
    points = tuple((float(at), int(used)) for at, used in found["points"])
    return Track(int(found["total_blocks"]), points)
