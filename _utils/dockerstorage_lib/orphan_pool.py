"""The thin pool of a store, with its engine running or not: its mappings, and a copy to keep."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import poolview
from .adapters import cold_pool, dmsetup, loop_pool, thintools
from .adapters.store import DRIVER
from .devmapper import ThinPoolStatus
from .errors import Damaged, Refused
from .gather import Site
from .thinmap import PoolMap


def read(site: Site) -> tuple[PoolMap, int]:
    """All mappings, and the number of the pool's transaction; raises Refused, CommandFailed."""
    if site.pool is not None:
        return thintools.read_pool_map(site.pool), status(site.pool).transaction_id
    source = inactive_metadata(site.root)
    with tempfile.TemporaryDirectory(prefix="dockerstorage-", dir="/var/tmp") as folder:
        copy = Path(folder, "metadata")
        keep(source, copy)
        return cold_pool.read_map(copy), cold_pool.read_superblock(copy).transaction_id


def status(pool: str) -> ThinPoolStatus:
    """Of a pool that can be written to; raises Refused for any other."""
    found = dmsetup.pool_status(pool)
    if not isinstance(found, ThinPoolStatus) or found.health in ("read_only", "needs_check"):
        raise Refused(f"the pool {pool} is {found.health}: see dockerstorage.recover")
    return found


def inactive_metadata(root: str) -> Path:
    """The metadata file of a loop-lvm pool that is not active; raises Refused for LVM's."""
    if not poolview.loop_files(root):
        names = ", ".join(poolview.pool_names()) or "none is configured"
        raise Refused(
            f"the thin pool of the store in {root} is not active (looked for: {names}): activate "
            "it with 'lvchange -ay <vg>/<pool>', or start the engine"
        )
    return Path(root, DRIVER, DRIVER, "metadata")


def keep(source: Path, copy: Path) -> None:
    """Copy metadata that nobody writes to; raises Damaged if it is not whole."""
    try:
        lost = cold_pool.copy_metadata(source, copy)
    except OSError as error:
        raise Refused(f"the pool's metadata cannot be copied to {copy}: {error}") from None
    if lost:
        raise Damaged(str(source), "not all of it can be read: see dockerstorage.recover")
    wrong = cold_pool.check(copy)
    if wrong:
        raise Damaged(str(source), f"thin_check finds: {wrong}; see dockerstorage.recover")


@contextmanager
def settled(site: Site, copy: Path) -> Iterator[str]:
    """The pool's name, of a store whose engine is stopped; its metadata as it was is in a copy."""
    if site.pool is not None:
        status(site.pool)
        dmsetup.commit_pool(site.pool)
        number = dmsetup.pool_table(site.pool).metadata_device
        keep(Path(thintools.block_device(number)), copy)
        yield site.pool
        return
    keep(inactive_metadata(site.root), copy)
    sectors = cold_pool.read_superblock(copy).data_block_sectors
    with loop_pool.writable(site.root, sectors) as pool:
        status(pool)
        yield pool
