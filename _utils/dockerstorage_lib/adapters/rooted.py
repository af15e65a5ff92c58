"""Files below a directory that is taken for a root: no link leads out of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: As the kernel's own limit (path_resolution(7)).
MAX_LINKS = 40


class Root:
    """A directory whose files are opened as a process would that has it for its root.

    An image's layers come from anywhere: a link in one may point to the host's own files.
    """

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, _DIRECTORY)
        # Files of a directory follow one another.
        self._last: tuple[bytes, int] | None = None

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        os.close(self._root)

    @contextmanager
    def open(self, name: bytes) -> Iterator[BinaryIO]:
        """A regular file by its name, whatever its leading ``./`` or ``/``; raises OSError."""
        parent, _, base = name.rstrip(b"/").rpartition(b"/")
        with os.fdopen(os.open(base, _FILE, dir_fd=self._folder(parent)), "rb", 0) as file:
            yield file

    def _folder(self, path: bytes) -> int:
        if self._last is None or self._last[0] != path:
            self._forget()
            self._last = path, self._resolve(path)
        return self._last[1]

    def _forget(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
            self._last = None

    def _resolve(self, path: bytes) -> int:
        """A descriptor of a directory; links, even absolute ones, stay below the root."""
        trail = [os.dup(self._root)]
        waiting = path.split(b"/")[::-1]
        links = 0
        try:
            while waiting:
                word = waiting.pop()
                if word == b"..":
                    if len(trail) > 1:
                        os.close(trail.pop())
                elif word not in (b"", b"."):
                    links += self._step(word, trail, waiting)
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return os.dup(trail[-1])
        finally:
            for descriptor in trail:
                os.close(descriptor)

    def _step(self, word: bytes, trail: list[int], waiting: list[bytes]) -> int:
        """Enter a directory, or put a link's words before the waiting ones; links followed."""
        try:
            trail.append(os.open(word, _DIRECTORY, dir_fd=trail[-1]))
            return 0
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            target = os.readlink(word, dir_fd=trail[-1])
        if target.startswith(b"/"):
            while len(trail) > 1:
                os.close(trail.pop())
        waiting.extend(target.split(b"/")[::-1])
        return 1
