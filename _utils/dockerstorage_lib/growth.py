"""By how much a thin pool can grow in its volume group: pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .devmapper import METADATA_BLOCK_BYTES
from .errors import Refused
from .lvm import ThinPoolVolume

#: More the kernel does not use (THIN_METADATA_MAX_SECTORS of dm-thin), and lvextend refuses.
MAX_METADATA_BYTES = 4161600 * METADATA_BLOCK_BYTES


@dataclass(frozen=True)
class Growth:
    """An extension of a pool's data or metadata."""

    vg: str
    pool: str
    #: "data" or "metadata"
    part: str
    grow_bytes: int
    #: What was wanted and is not to be had.
    missing_bytes: int

    @property
    def command(self) -> tuple[str, ...]:
        option = "--size" if self.part == "data" else "--poolmetadatasize"
        name = f"{self.vg}/{self.pool}"
        return ("lvextend", "-q", "-y", option, f"+{self.grow_bytes}b", name)


def bytes_to_percent(used_bytes: int, total_bytes: int, percent: float) -> int:
    """Bytes that bring a fill down to a percent; 0 if it is there already."""
    return max(math.ceil(used_bytes * 100 / percent) - total_bytes, 0)


def plan_growth(
    pool: ThinPoolVolume, part: str, wanted_bytes: int, free_bytes: int, spare_bytes: int
) -> Growth:
    """Grow by what is wanted, rounded up to extents, or by what is left.

    free_bytes: free in the volume group; spare_bytes: size of LVM's spare for repairs of metadata,
    which grows with it. Raises Refused if the group has nothing left, naming how much is missing.
    """
    extent = pool.vg_extent_bytes
    wanted = -(-wanted_bytes // extent)
    free = free_bytes // extent
    room = free if part == "data" else _metadata_room(pool, free, spare_bytes // extent)
    growth = Growth(
        pool.vg, pool.name, part, min(wanted, room) * extent, max(wanted - room, 0) * extent
    )
    if wanted and not growth.grow_bytes:
        raise Refused(_why_full(pool, part, growth.missing_bytes, free * extent))
    return growth


def _metadata_room(pool: ThinPoolVolume, free: int, spare: int) -> int:
    """Extents by which metadata can grow: its spare must be as large, the kernel has a limit."""
    extent = pool.vg_extent_bytes
    size = pool.metadata_bytes // extent
    within_spare = max(spare - size, 0)
    # Beyond the spare each extent costs two.
    room = free if free <= within_spare else within_spare + (free - within_spare) // 2
    return max(min(room, MAX_METADATA_BYTES // extent - size), 0)


def _why_full(pool: ThinPoolVolume, part: str, missing_bytes: int, free_bytes: int) -> str:
    if part == "metadata" and pool.metadata_bytes + pool.vg_extent_bytes > MAX_METADATA_BYTES:
        return f"the metadata of {pool.full_name} has the largest size that the kernel can use"
    return (
        f"the volume group {pool.vg} has {free_bytes} bytes free, and {missing_bytes} bytes are "
        f"missing to extend the {part} of {pool.full_name}: give it a disk (device=/dev/...)"
    )
