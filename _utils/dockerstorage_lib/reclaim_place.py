"""Where the pool lies whose data file is to shrink, who has it, and what of it is free."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import poolview
from .adapters import cold_pool, dmioctl, dmsetup, hostfiles, services, store, thintools
from .adapters.holes import Lease, extents, leased
from .devmapper import ThinPoolStatus
from .engine_restart import Connect
from .errors import EngineUnreachable, Refused
from .gather import read_site
from .reclaim_plan import ReclaimPlan, plan_reclaim
from .report import site_without_engine

#: Room for copies of metadata that outlive no run: not /tmp, which may be memory.
SCRATCH = "/var/tmp"


@dataclass(frozen=True)
class Place:
    """A loop-lvm pool, and whether the engine that runs keeps its layers in it."""

    root: str
    data: Path
    metadata: Path
    #: Its name in device mapper, while it is active.
    pool: str
    is_served: bool

    @property
    def is_active(self) -> bool:
        """Whether the kernel has the pool."""
        return self.pool in dmioctl.active_names()

    def allocated_bytes(self) -> int:
        """What of the data file's content is on disk now."""
        with cold_pool.opened(self.data) as data:
            return sum(length for _, length in extents(data))


def find(connect: Connect, data_root: str | None) -> Place:
    """Find the pool of the engine, or of a store that no engine serves; raises Refused."""
    try:
        site = read_site(connect().info())
        root, is_served = site.root, site.driver == store.DRIVER
    except EngineUnreachable:
        root = _silent_root(site_without_engine(data_root, []).root)
        # A daemon that is there and does not answer may use it.
        is_served = services.daemon() is not None
    files = poolview.loop_files(root)
    middle = hostfiles.device_and_inode(f"{root}/{store.DRIVER}")
    if middle is None:
        raise Refused(f"{root} holds no devicemapper store: there is nothing to give back")
    if len(files) < 2:
        raise Refused(
            f"the pool of the store in {root} is not loop-lvm, there is no sparse file: what is "
            "free in it stays in the pool, for new images and containers. To make room in it use "
            "'dockerstorage.prune'"
        )
    data, metadata = (Path(files[name].path) for name in ("data", "metadata"))
    return Place(root, data, metadata, f"docker-{middle}-pool", is_served)


def _silent_root(root: str) -> str:
    """With remapped users the store lies one folder deeper, which only the engine tells."""
    if poolview.loop_files(root):
        return root
    deeper = [str(path) for path in sorted(Path(root).glob("[0-9]*.[0-9]*"))]
    return next((path for path in deeper if poolview.loop_files(path)), root)


def plan_now(place: Place) -> ReclaimPlan:
    """Plan without a change of anything; of an active pool by a metadata snapshot.

    Raises Refused, for a damaged pool among others.
    """
    if not place.is_active:
        with (
            tempfile.TemporaryDirectory(dir=SCRATCH, prefix="dockerstorage-") as folder,
            leased(place.data) as lease,
        ):
            return plan_inactive(place, lease, Path(folder, "metadata"))
    status = dmsetup.pool_status(place.pool)
    if not isinstance(status, ThinPoolStatus):
        raise Refused(f"the pool {place.pool} has failed: see 'dockerstorage.recover'")
    # The dump of a snapshot does not tell how large the pool is.
    pool = replace(thintools.read_pool_map(place.pool), total_data_blocks=status.total_data_blocks)
    with cold_pool.opened(place.data) as data:
        return plan_reclaim(pool, place.data.stat().st_size, extents(data))


def plan_inactive(place: Place, lease: Lease, copy: Path) -> ReclaimPlan:
    """Plan by a copy of the metadata; raises Refused if anything is wrong with it."""
    if store.loop_metadata_needs_check(place.root):
        raise Refused(
            f"the metadata of the pool in {place.root} is marked for a check: repair it first, "
            "docs/recover.md tells how"
        )
    lost = cold_pool.copy_metadata(place.metadata, copy)
    why = f"{lost} bytes of it cannot be read" if lost else cold_pool.check(copy)
    if why is not None:
        raise Refused(
            f"{place.metadata} is damaged: {why}. Which blocks are in use is not certain, so none "
            "is given back: repair it first, docs/recover.md tells how"
        )
    if cold_pool.read_superblock(copy).held_root:
        raise Refused(
            f"somebody holds a metadata snapshot of the pool in {place.root}, whose blocks would "
            f"count as free: start the engine, 'dmsetup message {place.pool} 0 "
            "release_metadata_snap', and call again"
        )
    size = place.data.stat().st_size
    return plan_reclaim(cold_pool.read_map(copy), size, extents(lease.descriptor))


@contextmanager
def nobodys(place: Place) -> Iterator[Lease]:
    """Within it nobody has the pool nor gets it; raises Refused if somebody has."""
    if place.is_active:
        raise Refused(
            f"the pool {place.pool} is still active though its engine is stopped: see 'dmsetup "
            f"ls --tree' for who uses it, end that use, then 'dmsetup remove {place.pool}'"
        )
    with leased(place.data) as lease:
        yield lease
