"""The thin pool of loop-lvm while no engine has it active: brought up to be read, and only that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from ..errors import CommandFailed
from ..gather import Site
from . import dmioctl, dmsetup, shell

NAME = "dockerstorage-old-pool"
TIMEOUT_SECONDS = 30


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


def _remove() -> None:
    if NAME in dmioctl.active_names():
        with suppress(CommandFailed):
            dmsetup.remove(NAME)


def _losetup(*words: str) -> str:
    return shell.output(["losetup", *words], TIMEOUT_SECONDS).strip()
