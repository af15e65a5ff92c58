"""A tree copied into a directory, holes and all, and the proof that it arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from .adapters import tree
from .errors import Damaged
from .sparse import Segments, segments_of
from .tree import Entry, is_whiteout

Open = Callable[[Entry], AbstractContextManager[BinaryIO]]
CHUNK_BYTES = 2**18


class TreeCopy:
    """One tree, copied once.

    ``contents``: whether ``check`` looks at the files' contents as well.
    """

    def __init__(self, on_bytes: Callable[[int], object], contents: bool = True) -> None:
        self._on_bytes = on_bytes
        self._contents = contents
        self._digest = hashlib.sha256()
        #: Where sparse files have data; all others are taken as they come.
        self._segments: dict[str, Segments] = {}
        #: Entries that were copied, the root's own among them.
        self.count = 0

    def copy(self, entries: Iterable[Entry], open_: Open, target: Path, whiteouts: str) -> None:
        """Write a tree, on disk when this returns; raises what ``restore`` raises."""
        tree.restore(self._pairs(entries, open_), target, whiteouts)

    def check(self, target: Path, whiteouts: str) -> None:
        """Read it again; raises Damaged if anything of it is not as it was read from the source."""
        found = hashlib.sha256()
        open_ = tree.opener(target)
        for entry in tree.walk(target, whiteouts=whiteouts):
            _add(found, entry)
            if self._contents and _has_content(entry):
                segments = self._segments.get(entry.path)
                found.update(repr(segments).encode())
                with open_(entry) as file:
                    for _, data in _pieces(file, segments):
                        found.update(data)
        if found.digest() != self._digest.digest():
            raise Damaged(str(target), "what was written there is not what was read")

    def _pairs(
        self, entries: Iterable[Entry], open_: Open
    ) -> Iterator[tuple[Entry, BinaryIO | None]]:
        for entry in entries:
            _add(self._digest, entry)
            self.count += 1
            if not _has_content(entry):
                yield entry, None
                continue
            with open_(entry) as file:
                yield entry, cast(BinaryIO, _Content(self, entry, file))

    def pieces(self, entry: Entry, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """The content of a file on its way."""
        segments = segments_of(file, entry.size)
        if segments is not None:
            self._segments[entry.path] = segments
        if self._contents:
            self._digest.update(repr(segments).encode())
        for offset, data in _pieces(file, segments):
            if self._contents:
                self._digest.update(data)
            self._on_bytes(len(data))
            yield offset, data


class _Content:
    """A file's content for ``restore``."""

    def __init__(self, copy: TreeCopy, entry: Entry, file: BinaryIO) -> None:
        self._copy, self._entry, self._file = copy, entry, file

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        return self._copy.pieces(self._entry, self._file)


def _add(digest: hashlib._Hash, entry: Entry) -> None:
    # How many names a file has outside of the tree is not the tree's.
    plain = replace(entry, links=0, xattrs=dict(sorted(entry.xattrs.items())))
    digest.update(repr(plain).encode("utf-8", "surrogateescape"))


def _has_content(entry: Entry) -> bool:
    return entry.kind == "file" and not is_whiteout(entry.path)


def _pieces(file: BinaryIO, segments: Segments | None) -> Iterator[tuple[int, bytes]]:
    for offset, length in segments or ((0, -1),):
        file.seek(offset)
        left = length
        while left and (data := file.read(CHUNK_BYTES if left < 0 else min(left, CHUNK_BYTES))):
            yield offset, data
            offset += len(data)
            left = left - len(data) if left > 0 else left
