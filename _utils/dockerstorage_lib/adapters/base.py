"""What a walk takes of a tree: what is not as in an older one, or what was chosen before."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Collection, Container, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from ..tree import deleted, is_whiteout, parent
from .directories import Chain, raw, text


class Rule(Protocol):
    """Which of the things in a tree are of no interest, and which deletions are."""

    def is_same(self, path: str, seen: os.stat_result) -> bool:
        """Whether what is seen at a path needs no entry."""

    def gone(self, path: str, names: Collection[str]) -> list[str]:
        """What the directory at a path, with these names, lacks."""


class Base:
    """An older tree, of which the new one was a snapshot.

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
        return self._is_kept(was, seen)

    def _is_kept(self, was: os.stat_result, seen: os.stat_result) -> bool:
        return _facts(was) == _facts(seen)

    def gone(self, path: str, names: Collection[str]) -> list[str]:
        """What the directory at a path held and the new one, with these names, does not."""
        try:
            before = os.listdir(self._chain.go(path))  # noqa: PTH208
        except OSError:
            return []
        return [one for one in (text(os.fsencode(name)) for name in before) if one not in names]


class NotedBase:
    """The same tree by its notes, when it is not at hand any more."""

    def __init__(self, notes: bytes) -> None:
        self._facts: dict[str, list[int]] = json.loads(gzip.decompress(notes))
        self._names: dict[str, list[str]] = {}
        for path in self._facts:
            above, _, name = path.rpartition("/")
            self._names.setdefault(above, []).append(name)

    def is_same(self, path: str, seen: os.stat_result) -> bool:
        """As of ``Base``."""
        return self._facts.get(path) == list(_facts(seen))

    def gone(self, path: str, names: Collection[str]) -> list[str]:
        """As of ``Base``."""
        return [one for one in self._names.get(path, ()) if one not in names]


def take_notes(root: Path) -> bytes:
    """What ``NotedBase`` is to know of a tree that does not change any more."""
    return gzip.compress(json.dumps(dict(noted(root))).encode(), 1)


def noted(root: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """All paths in a tree, in an order that only its names decide, with what tells of a change."""
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = folder + b"/" + name
            yield text(path[len(top) + 1 :]), _facts(os.lstat(path))


def _facts(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_ino, seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_mode


def _looks(seen: os.stat_result) -> tuple[int, ...]:
    # A directory's size depends on its past.
    size = -1 if stat.S_ISDIR(seen.st_mode) else seen.st_size
    return seen.st_mtime_ns, size, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_rdev


class CopyBase(Base):
    """An older tree that was copied file by file, all of them before a moment.

    Nobody can set a change time: what has a later one may be another thing now, even if it looks as
    before.
    """

    def __init__(self, root: Path, copied_ns: int) -> None:
        super().__init__(root)
        self._copied_ns = copied_ns

    def _is_kept(self, was: os.stat_result, seen: os.stat_result) -> bool:
        return seen.st_ctime_ns <= self._copied_ns and _looks(was) == _looks(seen)


class LowerBase(Base):
    """What lies below an upper directory of overlay2, in which nothing is as it was."""

    def _is_kept(self, was: os.stat_result, seen: os.stat_result) -> bool:
        return False


class Chosen(Container[str]):
    """Entries of another tree: the same ones are taken here, and the same deletions.

    As what to skip, it holds all other paths.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._paths: set[str] = set()
        self._deleted: dict[str, list[str]] = {}
        for path in entries:
            if is_whiteout(path):
                self._deleted.setdefault(parent(path), []).append(deleted(path))
            self._paths.add(path)

    def __contains__(self, path: object) -> bool:
        return path not in self._paths

    def is_same(self, path: str, seen: os.stat_result) -> bool:
        """Nothing is: what is not chosen is skipped."""
        return False

    def gone(self, path: str, names: Collection[str]) -> list[str]:
        """Chosen deletions of which the directory has nothing indeed."""
        return [one for one in self._deleted.get(path, ()) if one not in names]
