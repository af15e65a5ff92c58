"""Directories walked for a bundle: all of a volume, or what a container changed, in tar's order."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..tree import OPAQUE, WHITEOUT

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OVERLAY_XATTRS = "trusted.overlay."


@dataclass(frozen=True)
class Change:
    """A file that is there and may differ from before, or (without a stat) a deletion.

    path: as the layer names it, a whiteout with its prefix. The directory that it lies in is open
    while it is being looked at.
    """

    path: str
    name: str
    folder: int
    stat: os.stat_result | None


class NotNative(Exception):
    """An overlay2 directory that only the kernel can read (redirects, metadata copies)."""


def compared(old: Path, new: Path) -> Iterator[Change]:
    """What differs between two trees of which the new one began as a snapshot of the old.

    A snapshot keeps inode numbers and change times, which nobody can set: a file with both the same
    is the same. Directories above a change are part of it.
    """
    with _opened(str(old)) as before, _opened(str(new)) as after:
        root = os.stat(after)
        yield from _lazily(Change("", "", after, root), _compare(before, after, ""), keep=True)


def whole(path: Path) -> Iterator[Change]:
    """All that lies in a directory."""
    with _opened(str(path)) as folder:
        yield Change("", "", folder, os.stat(folder))
        yield from _compare(None, folder, "")


def upper(path: Path) -> Iterator[Change]:
    """What lies in an overlay2 upper directory; raises NotNative if that does not tell all.

    See the kernel's ``Documentation/filesystems/overlayfs.rst``.
    """
    with _opened(str(path)) as folder:
        yield Change("", "", folder, os.stat(folder))
        yield from _upper(folder, "")


def _upper(folder: int, path: str) -> Iterator[Change]:
    names = {}
    if _xattr(folder, "opaque") == b"y":
        names[OPAQUE] = None
    if _xattr(folder, "redirect") is not None:
        raise NotNative(path)
    for name, found in _listed(folder).items():
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            names[WHITEOUT + name] = None
        else:
            names[name] = found
    for name in sorted(names):
        found, inside = names[name], f"{path}/{name}".lstrip("/")
        yield Change(inside, name, folder, found)
        if found is None or not stat.S_ISDIR(found.st_mode):
            if found is not None and stat.S_ISREG(found.st_mode):
                _refuse_metacopy(folder, name, inside)
            continue
        with _opened(name, folder) as child:
            yield from _upper(child, inside)


def _compare(old: int | None, new: int, path: str) -> Iterator[Change]:
    before, after = {} if old is None else _listed(old), _listed(new)
    names = {**after, **{WHITEOUT + name: None for name in before if name not in after}}
    for name in sorted(names):
        found, inside = names[name], f"{path}/{name}".lstrip("/")
        if found is None:
            yield Change(inside, name, new, None)
            continue
        was = before.get(name)
        change = Change(inside, name, new, found)
        differs = was is None or not _same(was, found)
        if not stat.S_ISDIR(found.st_mode):
            if differs:
                yield change
            continue
        if found.st_dev != os.stat(new).st_dev:
            yield change  # another file system is mounted there: it is not this tree's
            continue
        with ExitStack() as stack:
            child = stack.enter_context(_opened(name, new))
            twin = None
            if was is not None and stat.S_ISDIR(was.st_mode):
                assert old is not None
                twin = stack.enter_context(_opened(name, old))
            yield from _lazily(change, _compare(twin, child, inside), keep=differs)


def _lazily(parent: Change, children: Iterator[Change], keep: bool) -> Iterator[Change]:
    """A directory and the changes in it; nothing if it has none and is not one itself."""
    told = False
    for child in children:
        if not told:
            yield parent
        told = True
        yield child
    if keep and not told:
        yield parent


def _same(was: os.stat_result, found: os.stat_result) -> bool:
    return (was.st_ino, was.st_ctime_ns, was.st_mtime_ns, was.st_size, was.st_mode) == (
        found.st_ino,
        found.st_ctime_ns,
        found.st_mtime_ns,
        found.st_size,
        found.st_mode,
    )


def _listed(folder: int) -> dict[str, os.stat_result]:
    with os.scandir(folder) as rows:
        return {row.name: row.stat(follow_symlinks=False) for row in rows}


def _xattr(file: int | str, name: str) -> bytes | None:
    try:
        return os.getxattr(file, OVERLAY_XATTRS + name)
    except OSError:
        return None


def _refuse_metacopy(folder: int, name: str, path: str) -> None:
    with _opened_file(name, folder) as file:
        if _xattr(file, "metacopy") is not None or _xattr(file, "redirect") is not None:
            raise NotNative(path)


@contextmanager
def _opened_file(name: str, folder: int) -> Iterator[int]:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _opened(path: str, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
