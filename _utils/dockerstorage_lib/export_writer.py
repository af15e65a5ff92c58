"""Files of a bundle that is being written, and what an export that was cut wrote of it before."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .adapters.packer import Packer
from .bundle import FileRecord
from .export_journal import ExportJournal
from .jobs import Job

CHUNK_BYTES = 1 << 20
#: A disk that takes no more ends the export; what else cannot be read is one object's loss.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Writer:
    """Writes files below a bundle, tells the job of every byte, and keeps the journal."""

    def __init__(self, folder: Path, level: int, journal: ExportJournal, job: Job) -> None:
        self.folder, self.journal, self.job = folder, journal, job
        self._level = level
        #: Objects that an earlier, unfinished export wrote.
        self.reused = 0

    def kept(self, key: str) -> tuple[FileRecord, ...] | None:
        """The files of an object that are there from before, verified; None if they are not."""
        records = self.journal.files(key)
        if records is not None:
            self.reused += 1
            self.job.advance(sum(record.plain_bytes for record in records))
        return records

    def packer(self, path: str) -> Packer:
        """A file to write to with ``put``."""
        return Packer(self.folder, path, self._level)

    def put(self, packer: Packer, data: bytes) -> None:
        """Write content."""
        packer.write(data)
        self.job.advance(len(data))

    def copy(self, source: IO[bytes], path: str) -> FileRecord:
        """All that is left of a file."""
        with self.packer(path) as packer:
            while chunk := source.read(CHUNK_BYTES):
                self.put(packer, chunk)
            return packer.finish()

    def plain(self, path: str, data: bytes) -> FileRecord:
        """Some bytes."""
        with self.packer(path) as packer:
            packer.write(data)
            return packer.finish()

    def document(self, path: str, document: Mapping[str, Any]) -> FileRecord:
        """A document of the engine."""
        return self.plain(path, json.dumps(document, indent=1, sort_keys=True).encode())

    def remove(self, record: FileRecord) -> None:
        """A file is not to be part of it after all."""
        (self.folder / record.path).unlink()
