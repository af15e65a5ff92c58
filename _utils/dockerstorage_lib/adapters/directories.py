"""Directories by descriptors: nothing that lies in a tree can lead out of it.

A path is followed part by part with O_NOFOLLOW, below a directory that is open. Names are bytes
for the kernel and text with surrogate escapes for us, whatever the locale.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from pathlib import Path

from ..errors import Incoherent, Refused

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOUNT = re.compile(rb"^mnt_id:\s*(\d+)", re.MULTILINE)


def raw(text: str) -> bytes:
    """A name or path as the kernel takes it."""
    return text.encode("utf-8", "surrogateescape")


def text(raw: bytes) -> str:
    """A name or path as entries have it."""
    return raw.decode("utf-8", "surrogateescape")


def open_root(root: Path | int) -> int:
    """A descriptor of one's own for a tree's root; the path to it may have links."""
    if isinstance(root, int):
        return os.open(".", _OPEN, dir_fd=root)
    return os.open(root, _OPEN & ~os.O_NOFOLLOW)


def open_in(folder: int, name: str) -> int:
    """Open a directory in another; OSError if it is a link or anything else, or leads out."""
    if name in ("", ".", ".."):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    return os.open(raw(name), _OPEN, dir_fd=folder)


def proc_path(descriptor: int, name: str = "") -> bytes:
    """The way to what is open, or lies in what is open, for calls that take only paths."""
    return f"/proc/self/fd/{descriptor}".encode() + (b"/" + raw(name) if name else b"")


def mount_id(descriptor: int) -> int:
    """Which mount it lies in, proc(5); bind mounts of one file system differ by it."""
    file = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        match = _MOUNT.search(os.read(file, 4096))
    finally:
        os.close(file)
    if match is None:
        raise Refused("the kernel does not tell in which mount a directory lies")
    return int(match[1])


class Chain:
    """The open directories from a tree's root down to one of its directories."""

    def __init__(self, root: Path | int) -> None:
        self._descriptors: list[int] = []
        self._names: list[str] = []
        self._descriptors.append(open_root(root))

    @property
    def depth(self) -> int:
        """How many levels below the root."""
        return len(self._names)

    @property
    def root(self) -> int:
        """The root's descriptor."""
        return self._descriptors[0]

    @property
    def last(self) -> int:
        """The descriptor of the directory it ends at."""
        return self._descriptors[-1]

    def push(self, descriptor: int, name: str) -> None:
        """Go down into a directory that was opened."""
        self._descriptors.append(descriptor)
        self._names.append(name)

    def pop(self) -> None:
        """Go up."""
        self._names.pop()
        os.close(self._descriptors.pop())

    def go(self, path: str) -> int:
        """Go to a directory below the root; OSError if one on the way is none, or is a link."""
        wanted = path.split("/") if path else []
        same = 0
        while same < min(len(wanted), self.depth) and wanted[same] == self._names[same]:
            same += 1
        while self.depth > same:
            self.pop()
        for part in wanted[same:]:
            self.push(open_in(self.last, part), part)
        return self.last

    def close(self) -> None:
        """Close all."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        self._names.clear()

    def __del__(self) -> None:
        self.close()


def sync(descriptor: int) -> None:
    """Wait until all of its file system is on disk; syncfs(2) has no other way in Python."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def empty(folder: int, mount: int) -> None:
    """Remove all that is in a directory, whatever it is; raises Incoherent as ``remove`` does."""
    for one in os.listdir(folder):
        remove(folder, text(os.fsencode(one)), mount)


def remove(folder: int, name: str, mount: int) -> None:
    """Remove a directory's entry with all that is in it; nothing is done if it is not there.

    Raises Incoherent before it would reach into another mount than ``mount``.
    """
    if _unlink(folder, name):
        return
    # A loop, not recursion: a tree may be deeper than Python's stack.
    trail = [_Doomed(folder, name, mount)]
    try:
        while trail:
            here = trail[-1]
            for below in here.names:
                if not _unlink(here.descriptor, below):
                    trail.append(_Doomed(here.descriptor, below, mount))
                    break
            else:
                os.close(trail.pop().descriptor)
                os.rmdir(raw(here.name), dir_fd=here.above)
    finally:
        for here in trail:
            os.close(here.descriptor)


class _Doomed:
    """A directory that is being removed."""

    def __init__(self, above: int, name: str, mount: int) -> None:
        self.above = above
        self.name = name
        self.descriptor = open_in(above, name)
        try:
            same_mount(self.descriptor, mount, name)
            self.names = iter([text(os.fsencode(one)) for one in os.listdir(self.descriptor)])  # noqa: PTH208
        except BaseException:
            os.close(self.descriptor)
            raise


def same_mount(descriptor: int, mount: int, path: str) -> None:
    """Raise Incoherent if a directory lies in another mount: it is another's data."""
    if mount_id(descriptor) != mount:
        raise Incoherent(f"{path!r}", "nothing mounted there", "another file system")


def _unlink(folder: int, name: str) -> bool:
    """Whether it is gone; False for a directory."""
    try:
        os.unlink(raw(name), dir_fd=folder)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True
