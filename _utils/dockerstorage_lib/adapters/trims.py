"""Free space of mounted file systems handed down to the thin pool below: FITRIM, see fstrim(8)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from ..errors import Refused

#: linux/fs.h: struct fstrim_range: start, length, shortest; the kernel puts what it trimmed into
#: the length.
_FITRIM, _RANGE = 0xC0185879, struct.Struct("=QQQ")
_NO_TRIM = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EROFS, errno.EPERM)
DEVICES = Path("/sys/dev/block")


def trim_root(pid: int, device: str) -> int:
    """Trim the file system that is a process's root; how many of its bytes are free.

    Raises Refused, with nothing done, if that is not on the device-mapper device named: what a
    process shows as its root is its own choice.
    """
    try:
        root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"process {pid} has no root any more: {error.strerror}") from None
    try:
        found = _name(os.fstat(root).st_dev)
        if found != device:
            raise Refused(f"its root is on {found or 'no device of device mapper'}")
        buffer = bytearray(_RANGE.pack(0, 2**64 - 1, 0))
        fcntl.ioctl(root, _FITRIM, buffer)
    except OSError as error:
        if error.errno not in _NO_TRIM:
            raise
        raise Refused(f"its file system cannot be trimmed: {error.strerror}") from None
    finally:
        os.close(root)
    trimmed: int = _RANGE.unpack(buffer)[1]
    return trimmed


def _name(number: int) -> str | None:
    """What device mapper calls a block device; None for others."""
    with suppress(OSError):
        path = DEVICES / f"{os.major(number)}:{os.minor(number)}" / "dm" / "name"
        return path.read_text().rstrip("\n")
    return None
