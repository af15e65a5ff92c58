"""What an import has begun and done, on disk before it acts: a repeat goes on from there."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .adapters.durable import sync_folder
from .errors import Unparsable

FOLDER = Path("/var/lib/dockerstorage/imports")


@dataclass(frozen=True)
class Line:
    """One line of the journal: an object of the bundle and what became of it.

    "begun": something of it may be there, under the temporary name; "aside": another container was
    in its place, and goes when the new one stands; "done": it is here, whole.
    """

    event: str
    kind: str
    #: Of the object in the bundle.
    id: str
    #: On this host; of "aside" those of the container that was there before.
    new_id: str = ""
    new_name: str = ""


@dataclass(frozen=True)
class History:
    """What the journal of a bundle says."""

    lines: tuple[Line, ...] = ()

    def last(self, kind: str, id_: str) -> Line | None:
        """The last word on an object, whatever lay in its place."""
        found = [one for one in self.lines if (one.kind, one.id) == (kind, id_)]
        return next((one for one in reversed(found) if one.event != "aside"), None)

    def begun(self, kind: str) -> tuple[Line, ...]:
        """Objects that were begun and not done."""
        ids = dict.fromkeys(one.id for one in self.lines if one.kind == kind)
        lasts = (self.last(kind, id_) for id_ in ids)
        return tuple(one for one in lasts if one is not None and one.event == "begun")

    def aside(self) -> tuple[Line, ...]:
        """Containers that were moved aside, whether or not they are still there."""
        return tuple(one for one in self.lines if one.event == "aside")


def read_history(text: str) -> History:
    """Read a journal; a line that was cut off at the end was never acted upon."""
    whole, _, _ = text.rpartition("\n")
    return History(tuple(_read_line(line) for line in whole.splitlines()))


def _read_line(line: str) -> Line:
    try:
        found: dict[str, Any] = json.loads(line)
        return Line(**found)
    except (ValueError, TypeError):
        raise Unparsable("the import's journal", line[:200]) from None


class Journal:
    """The journal of one bundle, open for writing."""

    def __init__(self, bundle_id: str, folder: Path = FOLDER) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{bundle_id}.jsonl"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+")
        text = self._file.read()
        self.history = read_history(text)
        self._file.seek(len(text[: text.rfind("\n") + 1].encode()))
        self._file.truncate()
        sync_folder(folder)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: Line) -> None:
        """Write a line; it is on the disk when this returns."""
        self._file.write(json.dumps(asdict(line)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.history = History((*self.history.lines, line))


def read(bundle_id: str, folder: Path = FOLDER) -> History:
    """The journal of a bundle; empty if it was never imported here."""
    try:
        return read_history((folder / f"{bundle_id}.jsonl").read_text())
    except FileNotFoundError:
        return History()
