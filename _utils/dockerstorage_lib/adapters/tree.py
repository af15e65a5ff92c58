"""A directory's tree as entries: walked through descriptors, so that no link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Refused
from ..tree import MAX_DEPTH, OPAQUE, WHITEOUT, Entry
from . import directories
from .base import Rule
from .directories import Chain, raw, text
from .opener import opener
from .restore import restore

__all__ = ["opener", "restore", "walk"]

OnLeftOut = Callable[[str, str], None]
OnSeen = Callable[[str, "os.stat_result | None"], None]

_KINDS = {
    stat.S_IFDIR: "directory",
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
}
#: What the overlay file system keeps for itself; the kernel's documentation "overlayfs".
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_MOVED = {f"{prefix}{what}" for prefix in _OVERLAY for what in ("redirect", "metacopy")}


def walk(
    root: Path | int,
    *,
    whiteouts: str | None = None,
    skip: Container[str] = (),
    without_xattrs: tuple[str, ...] = (),
    cross_mounts: bool = False,
    on_left_out: OnLeftOut | None = None,
    base: Rule | None = None,
    only: Mapping[str, Collection[str]] | None = None,
    on_seen: OnSeen | None = None,
) -> Iterator[Entry]:
    """Everything in a directory, itself first, in ``tree.order``.

    ``whiteouts`` is "overlay" for the upper directory of overlay2, whose deletions become ".wh."
    entries; "remove" for another tree that goes into a layer, where names that begin with ".wh."
    cannot be told; None if names are just names. ``skip`` holds paths that are left out with all
    that is in them, ``without_xattrs`` prefixes. ``on_left_out(path, why)`` hears of sockets, of
    what is mounted in the tree, of what vanished, and of what cannot be told. With ``base`` only
    what is not as it was there, the directories above it, and what is gone; of an upper directory,
    deletions that an opaque directory tells one by one. ``only`` has the names to take of each
    directory's path, those of deletions too. ``on_seen(path, stat)`` hears of what entries are made
    from, None for a deletion. Raises Refused if an upper directory does not hold all that it shows,
    or the tree is too deep.
    """
    rules = _Rules(
        whiteouts,
        skip,
        without_xattrs + (_OVERLAY if whiteouts else ()),
        cross_mounts,
        on_left_out or (lambda path, why: None),
        base,
        only,
        on_seen or (lambda path, seen: None),
    )
    yield from _Walk(root, rules).run()


@dataclass(frozen=True)
class _Rules:
    whiteouts: str | None
    skip: Container[str]
    without_xattrs: tuple[str, ...]
    cross_mounts: bool
    left_out: OnLeftOut
    base: Rule | None
    only: Mapping[str, Collection[str]] | None
    seen: OnSeen


class _Walk:
    def __init__(self, root: Path | int, rules: _Rules) -> None:
        self._rules = rules
        self._chain = Chain(root)
        self._mount = directories.mount_id(self._chain.root)
        #: First names of files with several, and how many are still to come.
        self._linked: dict[tuple[int, int], tuple[str, int]] = {}
        #: Directories on the way here that are as in the base, for as long as all below is, too.
        self._held: list[Entry] = []
        #: The opaque directory that the walk is in.
        self._opaque: str | None = None

    def run(self) -> Iterator[Entry]:
        seen = os.fstat(self._chain.root)
        self._rules.seen("", seen)
        yield self._entry("", seen, self._chain.root)
        stack = [("", self._names(""))]
        try:
            while stack:
                path, names = stack[-1]
                name = next(names, None)
                if name is None:
                    stack.pop()
                    if stack:
                        self._chain.pop()
                    inside = f"{path}/"
                    self._held = [
                        one for one in self._held if not f"{one.path}/".startswith(inside)
                    ]
                    continue
                below = f"{path}/{name}" if path else name
                try:
                    for entry in self._one(below, name):
                        held, self._held = self._held, []
                        yield from held
                        yield entry
                except (FileNotFoundError, NotADirectoryError):
                    self._rules.left_out(below, "vanished while it was read")
                    continue
                if self._chain.depth == len(stack):  # _one went into a directory
                    stack.append((below, self._names(below)))
        finally:
            self._chain.close()

    def _names(self, path: str) -> Iterator[str]:
        """The names in the directory at the chain's end, in order; whiteouts where they sort."""
        if self._rules.only is not None:
            return _sorted(self._rules.only.get(path, ()))
        folder = self._chain.last
        names = [text(os.fsencode(one)) for one in os.listdir(folder)]  # noqa: PTH208
        if self._rules.whiteouts is not None:
            names = [one for one in names if self._can_be_told(path, one)]
        if self._rules.whiteouts == "overlay":
            deletions = set(_deletions(folder))
            names = [WHITEOUT + one if one in deletions else one for one in names]
            if self._rules.base is None:
                names += [OPAQUE] if _is_opaque(folder) else []
            elif self._is_in_opaque(path, folder):
                known = {one.removeprefix(WHITEOUT) for one in names}
                names += [WHITEOUT + one for one in self._rules.base.gone(path, known)]
        elif self._rules.base is not None:
            names += [WHITEOUT + one for one in self._rules.base.gone(path, set(names))]
        return _sorted(names)

    def _is_in_opaque(self, path: str, folder: int) -> bool:
        """Whether it hides what lies below it: directories in an opaque one need no mark."""
        if self._opaque and not f"{path}/".startswith(f"{self._opaque}/"):
            self._opaque = None
        if self._opaque is None and _is_opaque(folder):
            self._opaque = path
        return self._opaque is not None

    def _can_be_told(self, path: str, name: str) -> bool:
        if not name.startswith(WHITEOUT):
            return True
        self._rules.left_out(f"{path}/{name}".lstrip("/"), "its name would stand for a deletion")
        return False

    def _one(self, path: str, name: str) -> Iterator[Entry]:
        if path in self._rules.skip:
            return
        folder = self._chain.last
        if self._rules.whiteouts and name.startswith(WHITEOUT):
            self._rules.seen(path, None)
            yield Entry(path, "file")
            return
        seen = os.stat(raw(name), dir_fd=folder, follow_symlinks=False)
        if stat.S_ISSOCK(seen.st_mode):
            self._rules.left_out(path, "a socket")
        elif self._rules.whiteouts and stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0:
            self._rules.left_out(path, "a 0:0 device, which would stand for a deletion")
        elif stat.S_ISDIR(seen.st_mode):
            entry = self._directory(path, name)
            if self._is_as_before(path, seen):
                self._held.append(entry)
            else:
                self._rules.seen(path, seen)
                yield entry
        elif not self._is_as_before(path, seen):
            self._rules.seen(path, seen)
            yield self._entry(path, seen, directories.proc_path(folder, name), name)

    def _is_as_before(self, path: str, seen: os.stat_result) -> bool:
        return self._rules.base is not None and self._rules.base.is_same(path, seen)

    def _directory(self, path: str, name: str) -> Entry:
        """Go into a directory, unless something is mounted there."""
        descriptor = directories.open_in(self._chain.last, name)
        self._chain.push(descriptor, name)
        if self._chain.depth >= MAX_DEPTH:
            raise Refused(f"{path[:200]}...: deeper than {MAX_DEPTH} directories")
        try:
            # Seen through the descriptor: it might be another one by now.
            entry = self._entry(path, os.fstat(descriptor), descriptor)
            foreign = directories.mount_id(descriptor) != self._mount
        except FileNotFoundError:
            self._chain.pop()
            raise
        if foreign and not self._rules.cross_mounts:
            self._chain.pop()
            self._rules.left_out(path, "another file system is mounted there")
        return entry

    def _entry(self, path: str, seen: os.stat_result, place: bytes | int, name: str = "") -> Entry:
        kind = _KINDS[stat.S_IFMT(seen.st_mode)]
        own: dict[str, Any] = {"xattrs": self._xattrs(path, place)}
        if kind == "symlink":
            target = os.readlink(raw(name), dir_fd=self._chain.last)
            own["target"] = text(target)
        elif kind in ("character", "block"):
            own["device"] = (os.major(seen.st_rdev), os.minor(seen.st_rdev))
        elif kind == "file":
            first = self._first_name(path, seen) if seen.st_nlink > 1 else path
            if first != path:
                kind, own = "hardlink", {"target": first}
            else:
                own |= {"size": seen.st_size, "links": seen.st_nlink - 1}
        return Entry(
            path,
            kind,
            mode=stat.S_IMODE(seen.st_mode),
            uid=seen.st_uid,
            gid=seen.st_gid,
            mtime_ns=seen.st_mtime_ns,
            **own,
        )

    def _first_name(self, path: str, seen: os.stat_result) -> str:
        """The first name of a file; remembered only while more of its names may come."""
        key = (seen.st_dev, seen.st_ino)
        first, left = self._linked.pop(key, (path, seen.st_nlink))
        if left > 1:
            self._linked[key] = (first, left - 1)
        return first

    def _xattrs(self, path: str, place: bytes | int) -> dict[str, bytes]:
        follow = isinstance(place, int)
        try:
            names = os.listxattr(place, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return {}  # the file system has none
        found = {}
        for one in sorted(names):
            if self._rules.whiteouts == "overlay" and one in _MOVED:
                raise Refused(f"{path}: overlayfs keeps a part of it elsewhere ({one})")
            if one.startswith(self._rules.without_xattrs):
                continue
            with _ignored(errno.ENODATA):  # removed meanwhile
                found[text(os.fsencode(one))] = os.getxattr(place, one, follow_symlinks=follow)
        return found


@contextmanager
def _ignored(number: int) -> Iterator[None]:
    """Let one error of the system pass."""
    try:
        yield
    except OSError as error:
        if error.errno != number:
            raise


def _sorted(names: Iterable[str]) -> Iterator[str]:
    return iter(sorted(names, key=lambda one: "" if one == OPAQUE else one))


def _deletions(folder: int) -> Iterator[str]:
    """Names whose deletion an upper directory records: character devices 0:0."""
    with os.scandir(folder) as entries:
        for one in entries:
            plain = one.is_file(follow_symlinks=False) or one.is_dir(follow_symlinks=False)
            if plain or one.is_symlink():
                continue
            seen = one.stat(follow_symlinks=False)
            if stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0:
                yield text(os.fsencode(one.name))


def _is_opaque(folder: int) -> bool:
    for prefix in _OVERLAY:
        try:
            return os.getxattr(folder, f"{prefix}opaque") == b"y"
        except OSError:  # it has none
            continue
    return False
