"""Files as entries of a bundle's tar, with their content: from directories, or from the engine."""

from __future__ import annotations

import hashlib
import heapq
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from ..tree import WHITEOUT, Entry, order
from .rwlayer import OVERLAY_XATTRS, Change

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
}
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Directories:
    """Changes seen in directories, as entries."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = changes
        self._print = hashlib.sha256()
        self._first: dict[tuple[int, int], str] = {}
        self._now: Change | None = None

    @property
    def fingerprint(self) -> str:
        """Of what was seen so far: inode numbers, sizes and change times, which nobody can set."""
        return self._print.hexdigest()

    def entries(self) -> Iterator[Entry]:
        """An entry for each; those of sockets are left out, they live with their process."""
        for change in self._changes:
            found, self._now = change.stat, change
            if found is None:
                self._mark(change.path)
                yield Entry(change.path, "file")
                continue
            self._mark(change.path, found.st_ino, found.st_ctime_ns, found.st_size)
            kind = _KINDS.get(stat.S_IFMT(found.st_mode))
            if kind is not None:
                yield self._entry(change, found, kind)

    def skim(self) -> str:
        """The fingerprint of all of it, without reading any content."""
        for _ in self.entries():
            pass
        return self.fingerprint

    def _mark(self, *facts: object) -> None:
        self._print.update(repr(facts).encode("utf-8", "surrogateescape"))

    def _entry(self, change: Change, found: os.stat_result, kind: str) -> Entry:
        target = ""
        if kind == "symlink":
            target = os.readlink(change.name, dir_fd=change.folder)
        elif kind != "directory" and found.st_nlink > 1:
            first = self._first.setdefault((found.st_dev, found.st_ino), change.path)
            if first != change.path:
                kind, target = "hardlink", first
        return Entry(
            path=change.path,
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            mtime_ns=found.st_mtime_ns,
            size=found.st_size if kind == "file" else 0,
            target=target,
            device=(os.major(found.st_rdev), os.minor(found.st_rdev)),
            xattrs={} if kind == "hardlink" else _xattrs(change),
        )

    @contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The content of the entry that came last."""
        assert self._now is not None
        name, folder = self._now.name, self._now.folder
        try:
            descriptor = os.open(name, _FILE | os.O_NOATIME, dir_fd=folder)
        except PermissionError:  # not the owner's: in a user namespace
            descriptor = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(descriptor, "rb", 0) as file:
            yield file


def _xattrs(change: Change) -> dict[str, bytes]:
    # By the descriptor's own directory: there is no getxattrat(2) yet.
    path = f"/proc/self/fd/{change.folder}/{change.name}"
    found = {}
    with suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=not change.name):
            if not name.startswith(OVERLAY_XATTRS):
                found[name] = os.getxattr(path, name, follow_symlinks=not change.name)
    return found


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
    """What a container changed, out of the engine's stream of all its files."""

    fingerprint = ""  # not to be told without reading it all

    def __init__(self, chunks: Iterable[bytes], changed: Iterable[tuple[str, bool]]) -> None:
        self._stream = Stream(chunks)
        paths = list(changed)
        self._changed = {path for path, deleted in paths if not deleted}
        self._deleted = sorted((_whiteout(path) for path, deleted in paths if deleted), key=order)
        self._above = {
            "/".join(words[:count])
            for words in (path.split("/") for path, _ in paths)
            for count in range(len(words))
        }
        self._archive: tarfile.TarFile | None = None
        self._now: tarfile.TarInfo | None = None

    def entries(self) -> Iterator[Entry]:
        """Entries of what was changed and of the directories above, and whiteouts."""
        gone = (Entry(path, "file") for path in self._deleted)
        yield from heapq.merge(self._members(), gone, key=lambda one: order(one.path))

    def _members(self) -> Iterator[Entry]:
        yield Entry("", "directory", 0o755)
        with tarfile.open(fileobj=io.BufferedReader(self._stream, 1 << 20), mode="r|") as archive:
            self._archive = archive
            for member in archive:
                archive.members = []  # or it would remember all of them
                path = member.name.removeprefix("./").strip("/")
                if path in self._changed or (path in self._above and member.isdir()):
                    self._now = member
                    yield _read_member(path, member)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The content of the entry that came last."""
        assert self._archive is not None
        content = None
        if self._now is not None and entry.path == self._now.name.removeprefix("./").strip("/"):
            content = self._archive.extractfile(self._now)
        yield content or io.BytesIO()  # type: ignore[misc]


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
