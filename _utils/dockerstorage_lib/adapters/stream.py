"""A container's files out of the engine's stream of them, where its directories cannot be read."""

from __future__ import annotations

import heapq
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..tree import WHITEOUT, Entry, order

CHUNK_BYTES = 1 << 18


class Stream(io.RawIOBase):
    """Chunks that come one after the other, as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


class Archived:
    """What a container changed, out of the engine's stream of all its files.

    stream: begins it, twice. The first time tells which old files got another name: those come
    along, since a hard link without its file is nothing.
    """

    def __init__(
        self, stream: Callable[[], Iterable[bytes]], changed: Iterable[tuple[str, bool]]
    ) -> None:
        self._begin = stream
        paths = list(changed)
        self._changed = {path for path, deleted in paths if not deleted}
        self._deleted = sorted((_whiteout(path) for path, deleted in paths if deleted), key=order)
        self._above = {above for path, _ in paths for above in _parents(path)}
        self._archive: tarfile.TarFile | None = None
        self._now: tarfile.TarInfo | None = None

    def entries(self, on_left_out: object = None) -> Iterator[Entry]:
        """Entries of what was changed and of the directories above, and whiteouts."""
        linked = {entry.target for entry in self._members() if entry.kind == "hardlink"}
        self._changed |= linked
        self._above |= {above for path in linked for above in _parents(path)}
        gone = (Entry(path, "file") for path in self._deleted)
        yield from heapq.merge(self._members(), gone, key=lambda one: order(one.path))

    def _members(self) -> Iterator[Entry]:
        yield Entry("", "directory", 0o755)
        with tarfile.open(fileobj=Stream(self._begin()), mode="r|") as archive:
            self._archive = archive
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # or it would remember all
                path = member.name.removeprefix("./").strip("/")
                if path in self._changed or (path in self._above and member.isdir()):
                    self._now = member
                    yield _read_member(path, member)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The content of the entry that came last, of which it is asked if it has any."""
        assert self._archive is not None
        assert self._now is not None
        content = self._archive.extractfile(self._now)
        assert content is not None
        with content:
            # As a stream that knows it is no file of the host's.
            yield Stream(iter(lambda: content.read(CHUNK_BYTES), b""))  # type: ignore[misc]


def _parents(path: str) -> Iterator[str]:
    words = path.split("/")
    return ("/".join(words[:count]) for count in range(len(words)))


def _whiteout(path: str) -> str:
    parent, slash, name = path.rpartition("/")
    return f"{parent}{slash}{WHITEOUT}{name}"


_TAR_KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
}
_XATTR = "SCHILY.xattr."


def _read_member(path: str, member: tarfile.TarInfo) -> Entry:
    kind = _TAR_KINDS.get(member.type, "file")
    target = member.linkname
    return Entry(
        path=path,
        kind=kind,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime_ns=int(member.mtime * 10**9),
        size=member.size if kind == "file" else 0,
        target=target.removeprefix("./").strip("/") if kind == "hardlink" else target,
        device=(member.devmajor, member.devminor) if kind in ("character", "block") else (0, 0),
        xattrs={
            key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
            for key, value in member.pax_headers.items()
            if key.startswith(_XATTR)
        },
    )
