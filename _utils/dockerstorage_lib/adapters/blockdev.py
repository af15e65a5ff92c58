"""Block devices of the host: what lies on them and who uses them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..blockdev import BlockDevice, parse_signatures
from ..errors import BadInput
from . import hostfiles, shell

TIMEOUT_SECONDS = 30


def look(path: str) -> BlockDevice:
    """See a block device; raises BadInput if there is none of that name."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        raise BadInput(f"there is no device {path!r}: {error}") from None
    if not stat.S_ISBLK(found.st_mode):
        raise BadInput(f"{path} is no block device")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    folder = Path("/sys/dev/block", number)
    return BlockDevice(
        path=path,
        size_bytes=int((folder / "size").read_text()) * 512,
        signatures=parse_signatures(shell.output(["wipefs", "-p", path], TIMEOUT_SECONDS)),
        mounts=hostfiles.mounts_by_device().get(number, ()),
        holders=tuple(sorted(map(_name, (folder / "holders").glob("*")))),
        partitions=tuple(sorted(p.parent.name for p in folder.glob("*/partition"))),
        busy=_is_busy(path),
    )


def _name(holder: Path) -> str:
    """A device's name as an operator knows it: device mapper's own are just numbered."""
    mapped = holder / "dm" / "name"
    return mapped.read_text().strip() if mapped.exists() else holder.name


def _is_busy(path: str) -> bool:
    """Whether the kernel has it in use: mounted anywhere, as swap, below another device."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise BadInput(f"{path}: {error.strerror}") from None
    return False
