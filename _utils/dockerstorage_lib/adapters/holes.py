"""Which parts of a sparse file are on disk, and holes made in it.

See fallocate(2), Documentation/filesystems/fiemap.rst of the kernel, and "Leases" in fcntl(2).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..byteranges import Range, merged
from ..errors import Incoherent, Refused

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)

#: linux/fiemap.h: start, length, flags, mapped, room, reserved; an extent's logical and physical
#: offset, length, two reserved, flags, three reserved.
_FIEMAP = 0xC020660B
_HEADER, _EXTENT = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII")
_SYNC_FLAG, _LAST_FLAG, _UNKNOWN_FLAG = 1, 1, 2
_EXTENTS_AT_ONCE = 1000

#: How long a look of others (udev, a backup) may keep the file open.
LEASE_SECONDS = 5


def punch(file: int, at: int, count: int) -> None:
    """Make a hole in a file that keeps its size; raises OSError (EOPNOTSUPP among others)."""
    mode = _PUNCH_HOLE | _KEEP_SIZE
    if _libc.fallocate64(file, mode, ctypes.c_int64(at), ctypes.c_int64(count)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def extents(file: int) -> tuple[Range, ...]:
    """Bytes of a file that have a place on disk, written or not, in order; raises Refused.

    Not by SEEK_DATA: that passes over what is allocated and was never written.
    """
    at, found = 0, []
    while True:
        rows, is_last = _look(file, at)
        found += [row for row in rows if row[1]]
        if is_last or not rows:
            return merged(found)
        at = rows[-1][0] + rows[-1][1]


def _look(file: int, at: int) -> tuple[list[Range], bool]:
    """The next extents behind an offset, and whether they are the last."""
    buffer = bytearray(_HEADER.size + _EXTENTS_AT_ONCE * _EXTENT.size)
    _HEADER.pack_into(buffer, 0, at, 2**63 - 1 - at, _SYNC_FLAG, 0, _EXTENTS_AT_ONCE, 0)
    try:
        fcntl.ioctl(file, _FIEMAP, buffer)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
            raise
        raise Refused(
            "the file system under the data root does not tell which parts of a file are on disk "
            "(FIEMAP): nothing can be given back there by this way; see 'dockerstorage.migrate'"
        ) from None
    count = _HEADER.unpack_from(buffer)[3]
    begin = _HEADER.size
    rows = [_EXTENT.unpack_from(buffer, begin + n * _EXTENT.size) for n in range(count)]
    if any(row[5] & _UNKNOWN_FLAG for row in rows):
        raise Incoherent("the places of a file on disk", "all known", "some not known yet")
    return [(row[0], row[2]) for row in rows], any(row[5] & _LAST_FLAG for row in rows)


class Lease:
    """A file that nobody else has open. Whoever wants to open it waits until the lease is over."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor, self._path = descriptor, path

    def check(self) -> None:
        """Raise Incoherent if somebody waits to open the file: they are let in soon."""
        if fcntl.fcntl(self.descriptor, fcntl.F_GETLEASE) != fcntl.F_WRLCK:
            raise Incoherent(str(self._path), "used by nobody else", "somebody who opens it")


@contextmanager
def leased(path: Path) -> Iterator[Lease]:
    """Open a file to be read and written as its only user; raises Refused if there is another.

    The kernel ends it with this process. It makes others wait for 45 s at most
    (/proc/sys/fs/lease-break-time), far longer than one piece of work takes between two checks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        # The signal by which it is told that somebody waits: this one does nothing by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        _take(descriptor, path)
        yield Lease(descriptor, path)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LEASE_SECONDS
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EBUSY):
                raise Refused(f"{path} cannot be kept from others: {error.strerror}") from None
        if time.monotonic() > deadline:
            raise Refused(
                f"{path} is open elsewhere, by a loop device or a process: see 'losetup -j {path}' "
                f"and 'fuser {path}', end that use, and call again"
            )
        time.sleep(0.1)
