"""Entries written into a directory. Whatever they say, nothing outside of it is touched."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast, runtime_checkable

from ..errors import BadInput, Damaged
from ..tree import OPAQUE, Entry, check_path, deleted, is_whiteout, name, parent
from . import directories
from .directories import Chain, proc_path, raw

OnLeftOut = Callable[[str, str], None]

CHUNK_BYTES = 2**18
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: xattrs of a directory that was there before, which are its file system's or host's own business.
_KEPT_XATTRS = ("trusted.overlay.", "user.overlay.", "security.selinux", "security.evm")
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EPERM)


def restore(
    entries: Iterable[tuple[Entry, BinaryIO | None]],
    root: Path | int,
    whiteouts: str | None,
    on_left_out: OnLeftOut | None = None,
) -> None:
    """Write a tree into an existing directory, and wait until it is on disk.

    Entries are those of ``read_tar``: in ``tree.order``, parents first. What lies there and is no
    directory is replaced; directories are merged. ``whiteouts``: None if names are just names;
    "remove" if what they delete lies in the directory; "overlay" if the directory is an upper one
    of overlay2. ``on_left_out(path, why)`` hears of xattrs that the file system cannot hold;
    without it they are an error. Raises Damaged for entries that no ``read_tar`` yields, before
    it acts on them, Incoherent where something is mounted in the directory, and OSError where the
    system does not let it; what was written until then stays.
    """
    if whiteouts not in (None, "remove", "overlay"):
        raise BadInput(f"whiteouts cannot be {whiteouts!r}")
    writing = _Restore(root, whiteouts, on_left_out)
    try:
        for entry, content in entries:
            writing.one(entry, content)
        writing.end()
    finally:
        writing.close()


@runtime_checkable
class InPieces(Protocol):
    """Content that knows its holes."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Offset and data of what is not a hole."""


class _Restore:
    def __init__(self, root: Path | int, whiteouts: str | None, left_out: OnLeftOut | None) -> None:
        self._chain = Chain(root)
        #: Another one, so that links' targets can be looked up meanwhile.
        self._targets = Chain(root)
        self._mount = directories.mount_id(self._chain.root)
        self._whiteouts = whiteouts
        self._left_out = left_out
        self._entered: list[Entry] = []

    def one(self, entry: Entry, content: BinaryIO | None) -> None:
        """Write an entry."""
        if not entry.path:
            self._enter_root(entry)
            return
        try:
            check_path(entry.path)
            if entry.kind == "hardlink":
                check_path(entry.target)
        except ValueError as error:
            raise Damaged(_shown(entry), str(error)) from None
        self._leave_to(parent(entry.path), entry)
        if self._whiteouts and is_whiteout(entry.path):
            self._delete(entry.path)
        elif entry.kind == "directory":
            self._directory(entry)
        else:
            self._replace(entry, content)

    def end(self) -> None:
        """Finish the directories that are still open, and make all durable."""
        while self._entered:
            self._leave()
        directories.sync(self._chain.root)

    def close(self) -> None:
        """Close what is open."""
        self._chain.close()
        self._targets.close()

    def _enter_root(self, entry: Entry) -> None:
        if self._entered or entry.kind != "directory":
            raise Damaged("a tree", "its root is a directory, and comes first")
        self._entered.append(entry)

    def _leave_to(self, path: str, entry: Entry) -> None:
        while self._entered and self._entered[-1].path != path:
            self._leave()
        if not self._entered:
            raise Damaged(_shown(entry), "it does not follow the directory that it lies in")

    def _leave(self) -> None:
        """Finish a directory: now nothing changes its times any more, nor inherits from it."""
        entry = self._entered.pop()
        self._dress(entry, self._chain.last)
        if entry.path:
            self._chain.pop()

    def _delete(self, path: str) -> None:
        folder, gone = self._chain.last, deleted(path)
        if name(path) == OPAQUE:
            if self._whiteouts == "overlay":
                os.setxattr(folder, "trusted.overlay.opaque", b"y")
            else:
                directories.empty(folder, self._mount)
            return
        if gone in ("", ".", ".."):
            raise Damaged(f"{path!r}", "it deletes nothing that has a name")
        directories.remove(folder, gone, self._mount)
        if self._whiteouts == "overlay":
            os.mknod(raw(gone), stat.S_IFCHR, os.makedev(0, 0), dir_fd=folder)

    def _directory(self, entry: Entry) -> None:
        folder, own = self._chain.last, name(entry.path)
        if not _is_directory(folder, own):
            directories.remove(folder, own, self._mount)
            os.mkdir(raw(own), 0o700, dir_fd=folder)
        descriptor = directories.open_in(folder, own)
        self._chain.push(descriptor, own)
        self._entered.append(entry)
        directories.same_mount(descriptor, self._mount, entry.path)

    def _replace(self, entry: Entry, content: BinaryIO | None) -> None:
        folder, own = self._chain.last, name(entry.path)
        # A new file always: the old one may have other names, in a layer that others share.
        directories.remove(folder, own, self._mount)
        if entry.kind == "file":
            self._file(entry, content, folder, own)
        elif entry.kind == "hardlink":
            self._link(entry, folder, own)
        elif entry.kind == "symlink":
            os.symlink(raw(entry.target), raw(own), dir_fd=folder)
            self._dress_link(entry, folder, own)
        else:
            self._node(entry, folder, own)

    def _file(self, entry: Entry, content: BinaryIO | None, folder: int, own: str) -> None:
        descriptor = os.open(raw(own), _NEW_FILE, 0o600, dir_fd=folder)
        try:
            for offset, data in _pieces(content):
                _write(descriptor, data, offset)
            os.ftruncate(descriptor, entry.size)
            self._dress(entry, descriptor)
        finally:
            os.close(descriptor)

    def _link(self, entry: Entry, folder: int, own: str) -> None:
        above, target = self._targets.go(parent(entry.target)), raw(name(entry.target))
        if not stat.S_ISREG(os.stat(target, dir_fd=above, follow_symlinks=False).st_mode):
            raise Damaged(_shown(entry), f"it is a link to {entry.target!r}, which is no file")
        os.link(target, raw(own), src_dir_fd=above, dst_dir_fd=folder, follow_symlinks=False)

    def _node(self, entry: Entry, folder: int, own: str) -> None:
        kinds = {"fifo": stat.S_IFIFO, "character": stat.S_IFCHR, "block": stat.S_IFBLK}
        os.mknod(raw(own), kinds[entry.kind] | 0o600, os.makedev(*entry.device), dir_fd=folder)
        # Not opened: that would wait for a FIFO's writer, or wake a device.
        descriptor = os.open(raw(own), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            self._dress(entry, proc_path(descriptor))
        finally:
            os.close(descriptor)

    def _dress(self, entry: Entry, place: int | bytes) -> None:
        """Owner, mode, xattrs, times; in this order, for the kernel takes set-id bits and
        capabilities from a file that changes its owner, and an ACL holds some of the mode."""
        os.chown(place, entry.uid, entry.gid)
        os.chmod(place, entry.mode)  # noqa: PTH101
        for stale in _xattr_names(place):
            # Inherited from a directory, or of a directory that was there before.
            if stale not in entry.xattrs and not stale.startswith(_KEPT_XATTRS):
                os.removexattr(place, stale)
        for one, value in entry.xattrs.items():
            self._xattr(entry, place, one, value, follow=True)
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))

    def _dress_link(self, entry: Entry, folder: int, own: str) -> None:
        os.chown(raw(own), entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        for one, value in entry.xattrs.items():
            self._xattr(entry, proc_path(folder, own), one, value, follow=False)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(raw(own), ns=times, dir_fd=folder, follow_symlinks=False)

    def _xattr(
        self, entry: Entry, place: int | bytes, one: str, value: bytes, follow: bool
    ) -> None:
        try:
            os.setxattr(place, raw(one), value, follow_symlinks=follow)
        except OSError as error:
            if self._left_out is None or error.errno not in _UNSUPPORTED:
                raise
            self._left_out(entry.path, f"its xattr {one} is not supported there")


def _shown(entry: Entry) -> str:
    return f"{entry.path[:200]!r}"


def _xattr_names(place: int | bytes) -> list[str]:
    try:
        return os.listxattr(place)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return []  # the file system has none


def _is_directory(folder: int, own: str) -> bool:
    try:
        seen = os.stat(raw(own), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(seen.st_mode)


def _pieces(content: BinaryIO | None) -> Iterator[tuple[int, bytes]]:
    """Offset and data of a file's content; its holes are left out where they are known."""
    if content is None:
        return
    inner = cast(object, content)
    if isinstance(inner, InPieces):
        yield from inner.pieces()
        return
    offset = 0
    while data := content.read(CHUNK_BYTES):
        yield offset, data
        offset += len(data)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
