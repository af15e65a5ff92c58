"""The migration of this host on disk: its journal, and what belongs to it.

/var/lib/dockerstorage/migration/journal.jsonl    a line for each act, before it and after
/var/lib/dockerstorage/migration/before.json      the engine's objects as they were
/var/lib/dockerstorage/migration/configuration/   files as they were
/var/lib/dockerstorage/migrations/<id>/           the same of those that are over
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..migration import Plan, Progress, plan_line, read_progress
from .durable import add_line, sync_folder, write_file
from .records import FOLDER

UNDERWAY = FOLDER / "migration"
#: For what the way back has to write when the disk is full.
RESERVE, RESERVE_BYTES = "reserve", 1 << 20


class Journal:
    """The journal of the migration that is under way, or waits for its commit."""

    def __init__(self, folder: Path = UNDERWAY) -> None:
        self.folder = folder
        self._path = folder / "journal.jsonl"

    def read(self) -> Progress | None:
        """How far it is; None if there is none."""
        try:
            return read_progress(self._path.read_text())
        except FileNotFoundError:
            return None

    def begin(self, plan: Plan) -> None:
        """A new migration; raises Refused if another one is not over."""
        if self.read() is not None:
            raise Refused("another migration is not over; see dockerstorage.migration")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)  # of one that was cut before its first line was whole
        reserve(self.folder, RESERVE_BYTES)
        self.add(**plan_line(plan))
        sync_folder(self.folder)
        sync_folder(self.folder.parent)

    def add(self, **line: Any) -> None:
        """Write a line; it is on disk when this returns."""
        try:
            add_line(self._path, line, make=True)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            release(self.folder)
            add_line(self._path, line, make=True)

    def keep(self, name: str, value: Any) -> None:
        """Put a document beside it, on disk when this returns."""
        write_file(self.folder / name, json.dumps(value).encode(), 0o600)

    def kept(self, name: str) -> Any:
        """Such a document; None if it is not there."""
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None

    def close(self, id_: str) -> Path:
        """It is over: where it is kept from now on."""
        place = self.folder.with_name("migrations") / id_
        place.parent.mkdir(mode=0o700, exist_ok=True)
        release(self.folder)
        self.folder.rename(place)
        sync_folder(place.parent)
        sync_folder(self.folder.parent)
        return place


def reserve(folder: Path, size_bytes: int) -> None:
    """Keep some room of a file system, until ``release``."""
    write_file(folder / RESERVE, bytes(size_bytes), 0o600)


def release(folder: Path) -> None:
    """Give that room back."""
    (folder / RESERVE).unlink(missing_ok=True)
