"""Loop devices that go by themselves with their last user, see loop(4)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import Refused

CONTROL = "/dev/loop-control"
_CTL_GET_FREE, _SET_FD, _SET_STATUS64, _SET_CAPACITY = 0x4C82, 0x4C00, 0x4C04, 0x4C07
#: linux/fs.h: what is cached of a block device is dropped.
BLKFLSBUF = 0x1261
#: linux/loop.h, struct loop_info64: five numbers, number, encryption's three, flags, the rest.
_INFO = struct.Struct("=QQQQQIIII64s64s32s16s")
_AUTOCLEAR = 4
#: Others may take the free one first.
TRIES = 20


@dataclass(frozen=True)
class Loop:
    """A file as a block device."""

    device: str
    descriptor: int

    def renew(self) -> None:
        """The file has another content, and maybe another size; it must not be mounted."""
        fcntl.ioctl(self.descriptor, BLKFLSBUF)
        fcntl.ioctl(self.descriptor, _SET_CAPACITY)


@contextmanager
def attached(file: Path, write: bool) -> Iterator[Loop]:
    """A file as a block device while the context lasts, and for as long as it is mounted."""
    access = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
    descriptor = os.open(file, access)
    try:
        loop = _attach(descriptor, access)
    finally:
        os.close(descriptor)
    try:
        yield loop
    finally:
        os.close(loop.descriptor)


def _attach(file: int, access: int) -> Loop:
    for _ in range(TRIES):
        control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        try:
            name = f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}"
        finally:
            os.close(control)
        loop = os.open(name, access)
        try:
            fcntl.ioctl(loop, _SET_FD, file)
        except OSError as error:
            os.close(loop)
            if error.errno != errno.EBUSY:
                raise
            continue
        info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR, b"", b"", b"", b"")
        fcntl.ioctl(loop, _SET_STATUS64, info)
        return Loop(name, loop)
    raise Refused("no loop device is to be had; see 'losetup --list'")
