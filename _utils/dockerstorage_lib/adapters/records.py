"""What this project keeps of its own acts, under /var/lib/dockerstorage: it outlives the boot."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from .durable import journal_line, sync_folder

FOLDER = Path("/var/lib/dockerstorage")


class Record:
    """The record of one run: a line of JSON for each act, and copies of what it removed."""

    def __init__(self, kind: str, now: float, folder: Path = FOLDER) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        self.folder = folder / f"{kind}-{stamp}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def note(self, **what: Any) -> None:
        """Add a line, and wait until it is on disk."""
        with (self.folder / "record.jsonl").open("ab") as file:
            file.write(journal_line(what))
            file.flush()
            os.fsync(file.fileno())

    def keep(self, path: Path, under: Path | None = None) -> Path:
        """Copy a file into the record, on disk before this returns; where it is.

        under: the folder below which its path is kept, rather than its bare name.
        """
        copy = self.folder / (path.name if under is None else path.relative_to(under))
        made = [one for one in copy.parents if not one.exists()]
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with copy.open("wb") as file:
            file.write(path.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        for folder in (copy.parent, *(one.parent for one in made)):
            sync_folder(folder)
        return copy
