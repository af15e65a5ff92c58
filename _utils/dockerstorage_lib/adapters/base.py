"""The tree that another one began as a snapshot of, to tell what changed since."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from .directories import Chain, raw, text


class Base:
    """An older tree of the same file system's making.

    A snapshot keeps inode numbers and change times, and nobody can set a change time: a file that
    has both as before is as before.
    """

    def __init__(self, root: Path) -> None:
        self._chain = Chain(root)

    def is_same(self, path: str, seen: os.stat_result) -> bool:
        """Whether what is seen at a path of the new tree was there already, as it is."""
        above, _, name = path.rpartition("/")
        try:
            was = os.stat(raw(name), dir_fd=self._chain.go(above), follow_symlinks=False)
        except OSError:  # nothing was there, or what lies above it is another thing now
            return False
        return _facts(was) == _facts(seen)

    def gone(self, path: str, names: Collection[str]) -> list[str]:
        """What the directory at a path held and the new one, with these names, does not."""
        try:
            before = os.listdir(self._chain.go(path))  # noqa: PTH208
        except OSError:
            return []
        return [one for one in (text(os.fsencode(name)) for name in before) if one not in names]


def _facts(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_ino, seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_mode
