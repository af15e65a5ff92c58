"""One sparse file that becomes one thin device after the other, for a kernel without dm-thin.

Snapshots share most of their blocks: only those are copied that the last device did not have.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import Damaged
from ..thinmap import PoolMap, Run, differences
from . import cold_pool, holes

CHUNK_BYTES = 1 << 20
_SECTOR_BYTES = 512
_PAGE_BYTES = 4096


class Scratch:
    """The file, and of which device it is a copy. data: a descriptor of the pool's data."""

    def __init__(self, path: Path, data: int, pool: PoolMap) -> None:
        self.path, self._data, self._pool = path, data, pool
        self._block_bytes = pool.data_block_sectors * _SECTOR_BYTES
        self._runs: tuple[Run, ...] | None = None
        path.touch(mode=0o600)
        #: Bytes that could not be read, and are zero, by the device's first byte of them.
        self._lost: dict[int, int] = {}

    def become(self, device_id: int, size_bytes: int) -> int:
        """Be a copy of a device; how many of its bytes cannot be read. Raises Damaged."""
        device = self._pool.devices.get(device_id)
        if device is None:
            raise Damaged(f"thin device {device_id}", "the pool does not hold it")
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if self._runs is None:
                os.ftruncate(descriptor, 0)
                self._lost.clear()
            old, self._runs = self._runs or (), None  # unknown, until it is done
            os.ftruncate(descriptor, size_bytes)
            for origin, data, length in differences(old, device.runs):
                self._put(descriptor, origin, data, length, size_bytes)
            self._runs = device.runs
        finally:
            os.close(descriptor)
        return sum(self._lost.values())

    def forget(self) -> None:
        """It was written to: it is a copy of nothing any more."""
        self._runs = None

    def _put(self, file: int, origin: int, data: int | None, length: int, size: int) -> None:
        at = origin * self._block_bytes
        count = min(length * self._block_bytes, size - at)
        for gone in [one for one in self._lost if at <= one < at + count]:
            del self._lost[gone]
        if count <= 0:
            return
        if data is None:
            _punch(file, at, count)
            return
        source = data * self._block_bytes
        for done in range(0, count, CHUNK_BYTES):
            self._copy(file, source + done, at + done, min(CHUNK_BYTES, count - done))

    def _copy(self, file: int, source: int, at: int, count: int) -> None:
        try:
            copied = os.copy_file_range(self._data, file, count, source, at)
        except OSError:  # other kinds of files, a block that cannot be read
            copied = 0
        if copied < count:
            source, at, count = source + copied, at + copied, count - copied
            content, lost = cold_pool.read_all(self._data, source, count, _PAGE_BYTES)
            os.pwrite(file, content, at)
            if lost:
                self._lost[at] = lost


def _punch(file: int, at: int, count: int) -> None:
    """Make a hole; zeros where that is not possible."""
    try:
        holes.punch(file, at, count)
        return
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    for done in range(0, count, CHUNK_BYTES):
        os.pwrite(file, b"\0" * min(CHUNK_BYTES, count - done), at + done)
