"""The files of a tree, opened for reading without following a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

from ..tree import Entry
from .directories import Chain, raw

# A FIFO that took a file's place must not hold us up.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def opener(root: Path | int) -> Callable[[Entry], AbstractContextManager[BinaryIO]]:
    """What opens the files of a tree, never through a link.

    It raises FileNotFoundError if there is no such file any more, whatever took its place.
    """
    chain = Chain(root)

    def open_entry(entry: Entry) -> AbstractContextManager[BinaryIO]:
        above, _, name = entry.path.rpartition("/")
        try:
            descriptor = _open(chain.go(above), name)
        except OSError as error:
            if (
                isinstance(error, (FileNotFoundError, NotADirectoryError))
                or error.errno == errno.ELOOP
            ):
                raise FileNotFoundError(entry.path) from None
            raise
        file = os.fdopen(descriptor, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise FileNotFoundError(entry.path)
        return cast(BinaryIO, file)

    return open_entry


def _open(folder: int, name: str) -> int:
    try:
        # A backup is no use of a file that its owner should see.
        return os.open(raw(name), _FILE | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        return os.open(raw(name), _FILE, dir_fd=folder)
