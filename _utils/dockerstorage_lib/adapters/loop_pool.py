"""The thin pool of loop-lvm while no engine has it active: brought up to read it, or to delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..errors import CommandFailed
from ..gather import Site
from . import dmioctl, dmsetup, hostfiles, shell

NAME = "dockerstorage-old-pool"
TIMEOUT_SECONDS = 30
#: As Docker's own table has it.
LOW_WATER_BLOCKS = 32768


@contextmanager
def readable(site: Site, block_sectors: int | None) -> Iterator[Site]:
    """The site with a pool that can be read; block_sectors: the loop pool's, None for others.

    The pool of a stopped engine is activated read-only, so that nothing of it is written
    (Documentation/admin-guide/device-mapper/thin-provisioning.rst of the kernel).
    """
    if block_sectors is None:
        yield site
        return
    _remove()  # of a run that was killed
    folder = Path(site.root, "devicemapper", "devicemapper")
    loops: list[str] = []
    try:
        loops.append(_losetup("--find", "--show", "--read-only", str(folder / "metadata")))
        loops.append(_losetup("--find", "--show", str(folder / "data")))
        sectors = (folder / "data").stat().st_size // 512
        table = f"0 {sectors} thin-pool {loops[0]} {loops[1]} {block_sectors} 0"
        dmsetup.create(NAME, f"{table} 2 skip_block_zeroing read_only")
        yield replace(site, pool=NAME)
    finally:
        _remove()
        for loop in loops:
            _losetup("--detach", loop)


@contextmanager
def writable(root: str, block_sectors: int) -> Iterator[str]:
    """The name of the pool of a stopped engine, active within.

    It has the name, table and loop devices that the engine itself would give it: if this process is
    killed, the engine takes it over when it starts, as one of its own that it could not take down.
    Under any other name it would make a second pool of the same blocks.
    """
    folder = Path(root, "devicemapper", "devicemapper")
    name = f"docker-{hostfiles.device_and_inode(str(folder.parent))}-pool"
    loops: list[str] = []
    try:
        for part in ("metadata", "data"):
            loops.append(_losetup("--find", "--show", str(folder / part)))
        sectors = (folder / "data").stat().st_size // 512
        table = f"0 {sectors} thin-pool {loops[0]} {loops[1]} {block_sectors} {LOW_WATER_BLOCKS}"
        dmsetup.create(name, f"{table} 1 skip_block_zeroing")
    finally:
        # Of a loop device in use this only means that it goes with its last user.
        for loop in loops:
            _losetup("--detach", loop)
    try:
        yield name
    finally:
        dmsetup.remove(name)


def _remove() -> None:
    if NAME in dmioctl.active_names():
        with suppress(CommandFailed):
            dmsetup.remove(NAME)


def _losetup(*words: str) -> str:
    return shell.output(["losetup", *words], TIMEOUT_SECONDS).strip()
