"""A tree's entries as a tar, and back: one canonical way to write it, and a reader that takes
nothing else.

The order of the entries (``tree.order``) lets both sides forget: a directory and all that is in it
stand together, so memory is that of a path, however many entries there are. Only files whose
further names may follow are remembered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from . import tarheader
from .errors import Damaged, Refused
from .sparse import Content, Segments, Source, map_bytes, read_map, segments_of
from .tarheader import BLOCK_BYTES
from .tree import OPAQUE, WHITEOUT, Entry, deleted, is_whiteout, name, order, parent

CHUNK_BYTES = 2**18
_END = b"\0" * (2 * BLOCK_BYTES)
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")

Read = Callable[[Entry], AbstractContextManager[BinaryIO]]
OnChanged = Callable[[str, str], None]


def write_tar(
    entries: Iterable[Entry],
    read: Read,
    write: Callable[[bytes], object],
    on_changed: OnChanged | None = None,
) -> None:
    """Write entries, in ``order`` and parents first, as a tar.

    ``read`` opens the content of a file; if it has a ``fileno``, that is asked for holes and for
    changes, so it has to be the file itself. ``on_changed(path, why)`` hears of files that changed
    while they were read (their content is filled up or cut to the size announced) and of those that
    vanished (these are left out, FileNotFoundError of ``read``). Raises Refused for what the reader
    would not take.
    """
    _Writer(read, write, on_changed or (lambda path, why: None)).run(entries)


class _Writer:
    def __init__(self, read: Read, write: Callable[[bytes], object], changed: OnChanged) -> None:
        self._read = read
        self._write = write
        self._changed = changed
        self._vanished: set[str] = set()

    def run(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.kind == "file" and entry.size:
                self._file(entry)
            elif entry.kind == "hardlink" and entry.target in self._vanished:
                self._changed(entry.path, "vanished while it was read")
            else:
                self._header(entry)
        self._write(_END)

    def _header(self, entry: Entry, stored_bytes: int | None = None) -> None:
        blocks = tarheader.header(entry, stored_bytes)
        if len(blocks) > tarheader.MAX_RECORDS_BYTES:
            raise Refused(f"{entry.path}: its extended attributes are too large to be exported")
        self._write(blocks)

    def _file(self, entry: Entry) -> None:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(self._read(entry))
            except FileNotFoundError:
                if entry.links:
                    self._vanished.add(entry.path)
                self._changed(entry.path, "vanished while it was read")
            else:
                self._content(entry, file)

    def _content(self, entry: Entry, file: BinaryIO) -> None:
        segments = segments_of(file, entry.size)
        if segments is None:
            self._header(entry)
            short = self._copy(file, entry.size)
            stored = entry.size
        else:
            table = map_bytes(segments)
            stored = len(table) + sum(length for _, length in segments)
            self._header(entry, stored)
            self._write(table)
            short = 0
            for offset, length in segments:
                file.seek(offset)
                short += self._copy(file, length)
        self._write(b"\0" * (-stored % BLOCK_BYTES))
        if short or _is_other(file, entry):
            self._changed(entry.path, "changed while it was read")

    def _copy(self, file: BinaryIO, length: int) -> int:
        """Write that much of a file; zeros for what it lacks, whose number is returned."""
        while length:
            data = file.read(min(length, CHUNK_BYTES))
            if not data:
                break
            self._write(data)
            length -= len(data)
        for left in range(length, 0, -CHUNK_BYTES):
            self._write(b"\0" * min(left, CHUNK_BYTES))
        return length


def _is_other(file: BinaryIO, entry: Entry) -> bool:
    try:
        seen = os.fstat(file.fileno())
    except OSError:  # a stream that is no file
        return False
    return (seen.st_size, seen.st_mtime_ns) != (entry.size, entry.mtime_ns)


def read_tar(
    stream: BinaryIO, what: str, whiteouts: bool
) -> Iterator[tuple[Entry, BinaryIO | None]]:
    """Read a tar that ``write_tar`` wrote: its entries, files with their content.

    A content is to be read, if at all, before the next entry is asked for. With ``whiteouts`` the
    names that begin with ".wh." are deletions, otherwise names like any other. Raises Damaged,
    naming ``what``, for anything else: paths that leave the root, entries out of order or below
    something that is no directory of this tar, links to what is no earlier file, sizes that lie.
    """
    source = Source(stream, what)
    check = _Check(whiteouts)
    while True:
        try:
            found = _next(source)
            if found is None:
                check.end()
                return
            entry, content = found
            check.entry(entry)
        except ValueError as error:
            raise Damaged(what, str(error)) from None
        yield entry, cast(BinaryIO | None, content)
        if content is not None:
            content.finish()


def _next(source: Source) -> tuple[Entry, Content | None] | None:
    block = source.take(BLOCK_BYTES)
    if not any(block):
        if any(source.take(BLOCK_BYTES)) or source.stream.read(1):
            raise ValueError("something follows its end")
        return None
    size = tarheader.record_bytes(block)
    records = tarheader.parse_records(source.take(size))
    source.skip_padding(size)
    entry, stored, sparse = tarheader.parse_header(records, source.take(BLOCK_BYTES))
    if entry.kind != "file":
        return entry, None
    segments: Segments = ((0, entry.size),)
    if sparse:
        segments, used = read_map(source, entry.size)
        if used + sum(length for _, length in segments) != stored:
            raise ValueError(f"{entry.path}: its map of holes and its size disagree")
    return entry, Content(source, segments, entry.size, stored)


@dataclass
class _Level:
    """A directory that is being read, and the names in it that may conflict."""

    path: str
    early: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)


class _Check:
    """What must hold between the entries of a tar; ``entry`` raises ValueError."""

    def __init__(self, whiteouts: bool) -> None:
        self._whiteouts = whiteouts
        self._levels: list[_Level] = []
        self._last: tuple[str, ...] | None = None
        #: Files whose further names may follow, and how many.
        self._linkable: dict[str, int] = {}

    def entry(self, entry: Entry) -> None:
        key = order(entry.path)
        if self._last is None:
            if entry.path or entry.kind != "directory":
                raise ValueError("its first entry is not the root")
        elif key <= self._last:
            raise ValueError(f"{entry.path!r} is out of order, or there twice")
        else:
            self._parent(entry)
        self._last = key
        if entry.kind == "directory":
            self._levels.append(_Level(entry.path))
        elif entry.kind == "hardlink":
            self._link(entry)
        elif entry.links:
            self._linkable[entry.path] = entry.links

    def end(self) -> None:
        """Nothing at all is no tree."""
        if self._last is None:
            raise ValueError("it has no root")

    def _parent(self, entry: Entry) -> None:
        above = parent(entry.path)
        # In order, so a directory that was left cannot come again.
        while self._levels and self._levels[-1].path != above:
            self._levels.pop()
        if not self._levels:
            raise ValueError(f"{entry.path!r} lies in no directory of this tar")
        if self._whiteouts:
            self._layer(entry, self._levels[-1])

    def _link(self, entry: Entry) -> None:
        left = self._linkable.get(entry.target, 0)
        if not left or entry.xattrs:
            raise ValueError(f"{entry.path!r} is a link to {entry.target!r}, no earlier file")
        if left == 1:
            del self._linkable[entry.target]
        else:
            self._linkable[entry.target] = left - 1

    def _layer(self, entry: Entry, level: _Level) -> None:
        """The rules of a layer."""
        if entry.kind == "character" and entry.device == (0, 0):
            raise ValueError(f"{entry.path!r} is a deletion of another form")
        if any(one.startswith(_OVERLAY_XATTRS) for one in entry.xattrs):
            raise ValueError(f"{entry.path!r} has an xattr of the overlay file system")
        own = name(entry.path)
        if not is_whiteout(entry.path):
            if own in level.deleted:
                raise ValueError(f"{entry.path!r} is there and deleted")
            if own < WHITEOUT:
                level.early.add(own)
            return
        gone = deleted(entry.path)
        if entry.kind != "file" or entry.size or entry.links or entry.xattrs:
            raise ValueError(f"{entry.path!r} is no whiteout")
        if own != OPAQUE:
            if gone in ("", ".", "..") or gone.startswith(WHITEOUT):
                raise ValueError(f"{entry.path!r} deletes nothing that has a name")
            if gone in level.early:
                raise ValueError(f"{entry.path!r}: {gone!r} is there and deleted")
            level.deleted.add(gone)
