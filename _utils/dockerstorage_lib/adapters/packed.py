"""The files of a bundle: checked while they are read, written by ``Packer``."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..bundle import MAX_RATIO, SMALL_BYTES, FileRecord, is_packed
from ..errors import Damaged
from . import zstd
from .packer import Packer

__all__ = ["MAX_RATIO", "Packer", "check", "open_file", "unpack"]

CHUNK_BYTES = 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO must not hold up who opens it.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def unpack(
    root: Path,
    record: FileRecord,
    max_ratio: float = MAX_RATIO,
    on_read: Callable[[int], object] | None = None,
) -> Iterator[BinaryIO]:
    """Open the plain content of a bundle's file.

    When its end has been read, sizes and digests have been checked; it never gives more than
    ``record.plain_bytes``. ``on_read`` hears how many bytes of the file were read. Raises Damaged,
    naming the file.
    """
    if record.plain_bytes > SMALL_BYTES and record.plain_bytes > max_ratio * record.bytes:
        raise Damaged(record.path, f"its content would be more than {max_ratio:g} times as large")
    with open_file(root, record.path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != record.bytes:
            raise Damaged(record.path, f"it has {size} bytes, the manifest says {record.bytes}")
        with io.BufferedReader(_Checked(file, record, on_read), CHUNK_BYTES) as content:
            yield cast(BinaryIO, content)


def check(
    root: Path,
    record: FileRecord,
    max_ratio: float = MAX_RATIO,
    on_read: Callable[[int], object] | None = None,
) -> None:
    """Read a bundle's file to its end; raises Damaged unless it is what the record says."""
    with unpack(root, record, max_ratio, on_read) as content:
        while content.read(CHUNK_BYTES):
            pass


def open_file(root: Path, path: str) -> BinaryIO:
    """Open a file below a bundle without following a link; raises Damaged if it is none."""
    try:
        folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)  # the bundle itself may be named by a link
        *above, name = path.split("/")
        for part in above:
            try:
                inner = os.open(part, _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
        try:
            file = os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0)
        finally:
            os.close(folder)
    except OSError as error:
        raise Damaged(path, f"it cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Damaged(path, "it is no regular file")
    return cast(BinaryIO, file)


class _Digested:
    """A file whose digest is taken while it is read."""

    def __init__(self, file: BinaryIO, on_read: Callable[[int], object] | None) -> None:
        self._file = file
        self._on_read = on_read
        self.digest = hashlib.sha256()
        self.bytes = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.bytes += len(data)
        if self._on_read:
            self._on_read(len(data))
        return data


class _Checked(io.RawIOBase):
    """Plain content that ends with a verdict."""

    def __init__(
        self, file: BinaryIO, record: FileRecord, on_read: Callable[[int], object] | None
    ) -> None:
        self._record = record
        self._raw = _Digested(file, on_read)
        self._read: Callable[[int], bytes] = self._raw.read
        self._broken: tuple[type[Exception], ...] = (OSError,)
        if is_packed(record.path):
            library = zstd.library()
            unpacker = library.ZstdDecompressor(max_window_size=zstd.MAX_WINDOW_BYTES)
            self._read = unpacker.stream_reader(self._raw, read_across_frames=True).read
            self._broken = (OSError, library.ZstdError)
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._ended:
            return 0
        try:
            data = self._read(len(buffer))
        except self._broken as error:
            raise Damaged(self._record.path, f"it cannot be read: {error}") from None
        self._bytes += len(data)
        if self._bytes > self._record.plain_bytes:
            raise Damaged(self._record.path, "it holds more than the manifest says")
        self._digest.update(data)
        if not data:
            self._end()
        buffer[: len(data)] = data
        return len(data)

    def _end(self) -> None:
        record = self._record
        if self._bytes != record.plain_bytes:
            raise Damaged(record.path, f"it holds {self._bytes} bytes, not {record.plain_bytes}")
        while self._raw.read(CHUNK_BYTES):
            pass
        if self._raw.bytes != record.bytes:
            raise Damaged(record.path, f"it has {self._raw.bytes} bytes, not {record.bytes}")
        if self._raw.digest.hexdigest() != record.sha256:
            raise Damaged(record.path, "its digest is not the one of the manifest")
        if self._digest.hexdigest() != record.plain_sha256:
            raise Damaged(record.path, "the digest of its content is not the one of the manifest")
        self._ended = True
