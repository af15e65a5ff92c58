"""Which parts of a loop-lvm pool's data file nobody needs, and what holes there give back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import thinmap
from .byteranges import Range, common, merged, total, without
from .errors import Incoherent
from .thinmap import PoolMap

SECTOR_BYTES = 512
#: Of one hole: an act of some milliseconds, after which the world is looked at again.
MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class ReclaimPlan:
    """What is on disk of a data file, and which holes are to be made in it, all in bytes."""

    extents: tuple[Range, ...]
    #: Whole blocks of the pool that no device maps, each of them at least in part on disk.
    holes: tuple[Range, ...]

    @property
    def allocated_bytes(self) -> int:
        """What is on disk of the file's content now."""
        return total(self.extents)

    @property
    def freed_bytes(self) -> int:
        """What of it the holes give back."""
        return total(common(self.holes, self.extents))

    @property
    def extents_after(self) -> tuple[Range, ...]:
        """What is on disk when all holes are made."""
        return without(self.extents, self.holes)


def plan_reclaim(pool: PoolMap, file_bytes: int, extents: Sequence[Range]) -> ReclaimPlan:
    """Find the holes to make. pool must tell how many data blocks it has.

    Raises Incoherent if a device maps a block that the pool or the file does not have: then the
    mappings are not those of this file.
    """
    block_bytes = pool.data_block_sectors * SECTOR_BYTES
    blocks = min(pool.total_data_blocks, file_bytes // block_bytes) if block_bytes else 0
    runs = (run for device in pool.devices.values() for run in device.runs)
    highest = max((data + length for _, data, length in runs), default=0)
    if highest > blocks:
        raise Incoherent("the pool's data file", f"at least {highest} blocks", f"{blocks} blocks")
    whole = merged(extents)
    free = [
        (begin * block_bytes, (min(begin + length, blocks) - begin) * block_bytes)
        for begin, length in thinmap.free_runs(pool)
        if begin < blocks
    ]
    holes = merged(_covering(one, block_bytes) for one in common(merged(free), whole))
    return ReclaimPlan(whole, holes)


def _covering(found: Range, block_bytes: int) -> Range:
    """The whole blocks in which a range lies."""
    begin = found[0] // block_bytes * block_bytes
    end = -(-sum(found) // block_bytes) * block_bytes
    return begin, end - begin


def pieces(holes: Sequence[Range], most_bytes: int = MOST_BYTES) -> Iterator[Range]:
    """The holes one after the other, large ones in parts."""
    for begin, length in holes:
        for at in range(begin, begin + length, most_bytes):
            yield at, min(most_bytes, begin + length - at)
