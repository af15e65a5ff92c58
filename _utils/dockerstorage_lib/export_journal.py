"""What an unfinished bundle holds already, so that an export goes on where it was cut."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .adapters import packed
from .bundle import FileRecord
from .errors import Damaged, Refused

NAME = "journal.jsonl"


class ExportJournal:
    """Objects that are written whole, by key, with a fingerprint of what they were read from."""

    def __init__(self, folder: Path, file: Any) -> None:
        self._folder, self._file = folder, file
        self._done: dict[str, dict[str, Any]] = {}
        self.id = secrets.token_hex(16)
        for line in file:
            # The last line may have been cut.
            with suppress(ValueError):
                self._read(json.loads(line))
        self._append({"id": self.id})

    def _read(self, row: dict[str, Any]) -> None:
        if "id" in row:
            self.id = row["id"]
        else:
            self._done[row["key"]] = row

    def fingerprint(self, key: str) -> str | None:
        """Of an object that was written; None if it was not."""
        row = self._done.get(key)
        return None if row is None else str(row["fingerprint"])

    def files(self, key: str) -> tuple[FileRecord, ...] | None:
        """The files of an object that was written, if they still are what they were."""
        row = self._done.get(key)
        if row is None:
            return None
        try:
            records = tuple(FileRecord(**one) for one in row["files"])
            for record in records:
                packed.check(self._folder, record)
        except (Damaged, TypeError):
            return None
        return records

    def add(self, key: str, fingerprint: str, records: tuple[FileRecord, ...]) -> None:
        """Note that an object is written; on disk when this returns."""
        row = {"key": key, "fingerprint": fingerprint, "files": [asdict(one) for one in records]}
        self._done[key] = row
        self._append(row)

    def _append(self, row: dict[str, Any]) -> None:
        self._file.write(f"\n{json.dumps(row)}\n")  # a line that was cut stays alone
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def opened(folder: Path) -> Iterator[ExportJournal]:
    """The journal of an unfinished bundle; raises Refused if another export writes there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another export writes to {folder} already; see 'jobs'") from None
        yield ExportJournal(folder, file)
