"""Layers of Docker's store as directories, mounted where nobody else sees it.

All mounts are made in a mount namespace of one thread: they end with it, even if the process is
killed, and a thin device that was made for one goes with its last user (``dmsetup remove
--deferred``). See mount_namespaces(7), mount(2).
"""

from __future__ import annotations

import contextvars
import ctypes
import errno
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import BadInput, CommandFailed, Refused
from ..gather import Site
from . import dmioctl, dmsetup, hostfiles, store

T = TypeVar("T")

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_SLAVE, MS_NOATIME = 16384, 1 << 19, 1024
MNT_DETACH = 2
#: Where layers are mounted, in the thread's namespace alone.
POINT = Path("/run/dockerstorage/layer")
XFS_MAGIC, EXT_MAGIC = b"XFSB", b"\x53\xef"

#: Options of a mount, for XFS and for ext4. Of a layer to which nobody writes (a log that was not
#: replayed is the digest's to find), of one that must be whole, of one whose log may be replayed.
SETTLED, CLEAN, REPLAYED = ("ro,norecovery", "ro,noload"), ("ro", "ro"), ("rw", "rw")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class LayerTree:
    """A layer as a directory; whiteouts: what a deletion looks like in it.

    "remove": files of the layers below lie in it, "overlay": it is an overlay2 upper directory.
    """

    path: Path
    whiteouts: str


def run_private(function: Callable[[], T], interrupt: Callable[[], object]) -> T:
    """Call a function in a thread that has its own mount namespace; raises what it raises.

    interrupt is called when this thread is to end (Ctrl-C, a killed job), and is to make the
    function end; it is waited for, so that it can clean up.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            _libc_call("unshare", CLONE_NEWNS)
            # Slave, not private: what the engine unmounts must not stay mounted, and busy, here.
            _mount("none", "/", "", MS_REC | MS_SLAVE, "")
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    # What the caller keeps in context variables, to tell of progress say, is there as well.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="dockerstorage mounts")
    thread.start()
    try:
        thread.join()
    except BaseException:
        interrupt()
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]


@contextmanager
def image_layer(site: Site, hash_: str) -> Iterator[Path]:
    """The files of an image's layer, read-only, by its cache id; Refused for other drivers.

    On devicemapper with those of the layers below, on overlay2 without.
    """
    if site.driver == "overlay2":
        yield Path(site.root, "overlay2", hash_, "diff")
    elif site.pool is not None:
        # Nobody writes to it; a log that was not replayed is the digest's to find.
        with _thin(site, hash_, SETTLED) as folder:
            yield folder / "rootfs"
    else:
        raise _unknown(site)


@contextmanager
def container_pair(site: Site, container_id: str) -> Iterator[tuple[Path, Path]]:
    """A container's files and, to compare them with, those it began with: (before, now).

    Not for overlay2, where its own layer holds nothing else. Raises Refused for other drivers, and
    if the file system must be mended first, as only the engine may.
    """
    now, before = store.container_hashes(site.root, container_id, site.driver)
    if site.pool is None:
        yield _folder(site, before).path, _folder(site, now).path
        return
    with (
        _thin(site, before, SETTLED, POINT.with_name("before")) as old,
        _live(site, now) or _thin(site, now, CLEAN) as new,
    ):
        yield old / "rootfs", new / "rootfs"


def is_settled(site: Site, container_id: str) -> bool:
    """Whether a container's files can be read as they are, once the engine has stopped.

    A file system that a loss of power left with an open log cannot: the engine must mount it once.
    """
    now, _ = store.container_hashes(site.root, container_id)
    if _engine_name(site, now) in dmioctl.active_names():
        return True  # in use; it ends in order
    try:
        with _thin(site, now, CLEAN):
            return True
    except Refused:
        return False


@contextmanager
def layer_pair(site: Site, before: str, now: str) -> Iterator[tuple[Path, Path]]:
    """The files of two layers that nobody writes to, to compare them; devicemapper only."""
    with (
        _thin(site, before, SETTLED, POINT.with_name("before")) as old,
        _thin(site, now, SETTLED) as new,
    ):
        yield old / "rootfs", new / "rootfs"


@contextmanager
def lower_tree(site: Site, container_id: str) -> Iterator[Path]:
    """On overlay2: all that lies below a container's own layer, as one directory, read-only."""
    hash_ = store.container_hashes(site.root, container_id, site.driver)[0]
    links = store.lower_links(site.root, hash_)
    if len(links) == 1:  # which overlayfs takes for an upper directory that was forgotten
        yield Path(site.root, site.driver, links[0])
        return
    point = POINT.with_name("before")
    point.mkdir(parents=True, exist_ok=True)
    # The options must fit into a page, for which the engine has short links; this thread shares
    # its working directory with no other, see unshare(2).
    os.chdir(Path(site.root, site.driver))
    _mount("overlay", str(point), "overlay", MS_RDONLY, f"lowerdir={':'.join(links)}")
    try:
        yield point
    finally:
        _umount(point)


@contextmanager
def container_tree(
    site: Site, container_id: str, *, write: bool, init: bool = False
) -> Iterator[LayerTree]:
    """A container's own layer, to write into when it does not run; within ``run_private``.

    init: the one between it and the image, in which the engine made ``/etc/hosts`` and the like.
    Raises Refused for a driver whose layers are no directories.
    """
    hash_ = store.container_hashes(site.root, container_id, site.driver)[init]
    if site.pool is not None:
        # A place of its own: ``container_pair`` may be in use beside it.
        point = POINT.with_name("own")
        opened = _writable(site, hash_, point) if write else _thin(site, hash_, CLEAN, point)
        with opened as folder:
            yield LayerTree(folder / "rootfs", "remove")
    else:
        yield _folder(site, hash_)


def _folder(site: Site, hash_: str) -> LayerTree:
    """A layer that is a directory."""
    if site.driver == "overlay2":
        return LayerTree(Path(site.root, "overlay2", hash_, "diff"), "overlay")
    if site.driver == "vfs":
        return LayerTree(Path(site.root, "vfs", "dir", hash_), "remove")
    if site.driver == "btrfs":
        return LayerTree(Path(site.root, "btrfs", "subvolumes", hash_), "remove")
    raise _unknown(site)


def _unknown(site: Site) -> Refused:
    return Refused(
        f"the layers of the storage driver {site.driver} cannot be reached as directories"
    )


def _live(site: Site, hash_: str):  # type: ignore[no-untyped-def]
    """The engine's own mount of a device, wherever it is mounted; None if it is not in use."""
    name = _engine_name(site, hash_)
    if name not in dmioctl.active_names():
        return None
    info = dmsetup.devices().get(name)
    if info is None or not info.open_count:
        return None
    return _shared(f"/dev/mapper/{name}")


@contextmanager
def _shared(device: str) -> Iterator[Path]:
    """Another mount of a file system that is mounted: the same superblock and page cache."""
    POINT.mkdir(parents=True, exist_ok=True)
    kind = file_system(device)
    # With other flags than the engine's own mount the kernel refuses: read-only comes after.
    _mount(device, str(POINT), kind, MS_NOATIME, "nouuid" if kind == "xfs" else "")
    try:
        flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME
        _mount("none", str(POINT), "", flags, "")
        yield POINT
    finally:
        _umount(POINT)


@contextmanager
def _writable(site: Site, hash_: str, point: Path) -> Iterator[Path]:
    """A device under the engine's own name for it, mounted to be written to.

    The engine may want it meanwhile, for ``docker cp`` or to tell a size. It then takes the device
    that is there, and has the same superblock; two of one file system would destroy it.
    """
    name = _engine_name(site, hash_)
    made = name not in dmioctl.active_names()
    if made:
        sectors, parameters = _target(site, hash_)
        dmsetup.create(name, f"0 {sectors} thin {parameters}")
    try:
        device = f"/dev/mapper/{name}"
        kind = file_system(device)
        point.mkdir(parents=True, exist_ok=True)
        flags = MS_NOSUID | MS_NODEV | MS_NOATIME
        _mount(device, str(point), kind, flags, "nouuid" if kind == "xfs" else "")
        try:
            yield point
        finally:
            _umount(point)
    finally:
        if made:
            # Later if the engine has it open; it may be gone if the engine had it in between. One
            # that stays does no harm: the engine takes it for its own.
            with suppress(CommandFailed):
                dmsetup.remove_later(name)


@contextmanager
def _thin(site: Site, hash_: str, options: tuple[str, str], point: Path = POINT) -> Iterator[Path]:
    """A thin device that nobody has active, mounted read-only; options: for XFS and for ext4."""
    # A name of its own: the engine may activate the device beside it.
    name = f"dockerstorage-{secrets.token_hex(8)}"
    device = dmioctl.create_hidden(name, "thin", *_target(site, hash_))
    try:
        _mount_device(device, hash_, options, point)
    finally:
        # It goes with the mount, whatever becomes of this process.
        dmioctl.remove_hidden(name)
    try:
        yield point
    finally:
        _umount(point)


def _mount_device(device: str, hash_: str, options: tuple[str, str], point: Path) -> None:
    """Mount a device; options: for XFS and for ext4, among them ``ro`` or not."""
    point.mkdir(parents=True, exist_ok=True)
    kind = file_system(device, f"device {hash_}")
    words = (options[0] + ",nouuid") if kind == "xfs" else options[1]
    extra = ",".join(word for word in words.split(",") if word not in ("ro", "rw"))
    flags = MS_NOSUID | MS_NODEV | MS_NOATIME | (MS_RDONLY if words.startswith("ro") else 0)
    try:
        _mount(device, str(point), kind, flags, extra)
    except OSError as error:
        raise Refused(f"the file system of device {hash_}: {error.strerror}") from None


@contextmanager
def device_layer(device: str, name: str, options: tuple[str, str]) -> Iterator[Path]:
    """The files of a layer from a copy of its device; raises Refused, telling the name."""
    _mount_device(device, name, options, POINT)
    try:
        yield POINT / "rootfs"
    finally:
        _umount(POINT)


def _target(site: Site, hash_: str) -> tuple[int, str]:
    """Sectors and parameters of a thin device."""
    record = store.device_record(site.root, hash_)
    if record is None:
        raise BadInput(f"the store has no device {hash_}")
    return record.size_bytes // 512, f"/dev/mapper/{site.pool} {record.device_id}"


def file_system(device: str, name: str = "") -> str:
    """ "xfs" or "ext4", by the superblock: all that Docker makes; raises Refused, with its name."""
    with Path(device).open("rb") as file:
        head = file.read(0x43A)
    if head.startswith(XFS_MAGIC):
        return "xfs"
    if head[0x438:0x43A] == EXT_MAGIC:
        return "ext4"
    raise Refused(f"{name or device} holds neither XFS nor ext4")


def _engine_name(site: Site, hash_: str) -> str:
    middle = hostfiles.device_and_inode(f"{site.root}/{store.DRIVER}")
    return f"docker-{middle}-{hash_}"


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    texts = (source.encode(), target.encode(), kind.encode())
    _libc_call("mount", *texts, ctypes.c_ulong(flags), data.encode())


def _umount(point: Path) -> None:
    with suppress(FileNotFoundError):
        try:
            _libc_call("umount2", str(point).encode(), 0)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _libc_call("umount2", str(point).encode(), MNT_DETACH)


def _libc_call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
