"""The files of a bundle: packed and digested while they are written."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ..bundle import MAX_RATIO, SMALL_BYTES, FileRecord, is_packed
from ..errors import Refused
from ..tree import check_path
from . import zstd
from .durable import sync_folder

CHUNK_BYTES = 2**20
_FILLING_BYTES = 2**20
_SKIPPED_FRAME = 0x184D2A50  # RFC 8878, section 3.1.2
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Packing(Protocol):
    def compress(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


_THREADS = 1 if len(os.sched_getaffinity(0)) > 1 else 0


class _Plain:
    """Stands for a compressor where the content is kept as it is."""

    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class Packer:
    """A file of a bundle that is being written, under ``<path>.part`` until ``finish``.

    ``path`` lies below ``root``; what ends in ".zst" is compressed. As a context manager it
    discards the file unless it was finished. Raises Refused where zstandard is missing, OSError
    where the system does not let it.
    """

    def __init__(self, root: Path, path: str, level: int = 3) -> None:
        try:
            check_path(path)
        except ValueError as error:
            raise Refused(str(error)) from None
        self._path = path
        self._target = root / path
        self._part = self._target.with_name(self._target.name + ".part")
        self._packing: _Packing = _Plain()
        if is_packed(path):
            # Where there is a second processor, a worker packs while the next content is read.
            packer = zstd.library().ZstdCompressor(
                level=min(level, zstd.MAX_LEVEL), threads=_THREADS
            )
            self._packing = packer.compressobj()
        self._make_folder(root)
        with suppress(FileNotFoundError):  # of a run that was cut
            self._part.unlink()
        self._file = os.fdopen(os.open(self._part, _NEW_FILE, 0o600), "wb", buffering=0)
        self._waiting = bytearray()
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._bytes = 0
        self.plain_bytes = 0

    def _make_folder(self, root: Path) -> None:
        folder = self._target.parent
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(root)

    def write(self, data: bytes) -> int:
        """Take content; returns how much, which is all."""
        self._waiting += data
        self.plain_bytes += len(data)
        if len(self._waiting) >= CHUNK_BYTES:
            self._pack()
        return len(data)

    def _pack(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        self._plain.update(data)
        self._put(self._packing.compress(data))

    def _put(self, data: bytes) -> None:
        self._packed.update(data)
        self._bytes += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> FileRecord:
        """Make the file durable and give it its name; returns what the manifest says of it."""
        self._pack()
        self._put(self._packing.flush())
        self._fill()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._target)
        sync_folder(self._target.parent)
        return FileRecord(
            self._path,
            self._bytes,
            self._packed.hexdigest(),
            self.plain_bytes,
            self._plain.hexdigest(),
        )

    def _fill(self) -> None:
        """Add frames that are skipped, so that no honest file, of zeros say, looks like a bomb."""
        if self.plain_bytes <= SMALL_BYTES:
            return
        lacking = int(self.plain_bytes / MAX_RATIO) + 1 - self._bytes
        for left in range(lacking, 0, -_FILLING_BYTES):
            size = min(left, _FILLING_BYTES)
            start = _SKIPPED_FRAME.to_bytes(4, "little") + size.to_bytes(4, "little")
            self._put(start + b"\0" * size)

    def discard(self) -> None:
        """Leave nothing of it; a finished file stays."""
        if not self._file.closed:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Packer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()
