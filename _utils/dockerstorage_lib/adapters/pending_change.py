"""A change of the storage driver that the engine has not been seen to run with yet.

/var/lib/dockerstorage/driver-change.json: it is there from before the engine is stopped until it
serves again, so that a later run knows what a kill or a power cut has left behind.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..driverchange import Change, as_dict, from_dict
from ..errors import Unparsable
from .durable import sync_folder, write_file
from .records import FOLDER

PATH = FOLDER / "driver-change.json"


@dataclass(frozen=True)
class Pending:
    """The change, and which containers ran: ``id``, ``name``, ``started_at``, ``paused``."""

    change: Change
    ran: tuple[dict[str, Any], ...]


def read(path: Path = PATH) -> Pending | None:
    """What was left; None if nothing was. Raises Unparsable."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        return Pending(from_dict(found["change"]), tuple(found["ran"]))
    except (ValueError, KeyError, TypeError):
        raise Unparsable(str(path), text[:200]) from None


def write(pending: Pending, path: Path = PATH) -> None:
    """It is on disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {"change": as_dict(pending.change), "ran": list(pending.ran)}
    write_file(path, json.dumps(found).encode(), 0o600)


def remove(path: Path = PATH) -> None:
    """The engine serves again, whichever way."""
    if path.exists():
        path.unlink()
        sync_folder(path.parent)
