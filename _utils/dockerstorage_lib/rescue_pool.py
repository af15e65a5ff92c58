"""The pool of a store that no engine runs on: found, copied as to its metadata, and mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .adapters import cold_pool, dmsetup, lvm, store, thintools
from .errors import BadInput, CommandFailed, Damaged, DockerstorageError, Refused, Unparsable
from .thinmap import PoolMap, ThinDevice


@dataclass(frozen=True)
class PoolParts:
    """Where the two parts of a pool are: files or block devices."""

    data: Path
    metadata: Path


@dataclass(frozen=True)
class MappedPool:
    """What could be read of a pool's metadata."""

    pool: PoolMap
    #: Sentences on what is damaged.
    damage: tuple[str, ...] = ()


def read_pool(pool: object) -> PoolParts | str | None:
    """Check the argument: ``vg/pool``, or a mapping of ``data`` and ``metadata`` to paths."""
    if pool is None or isinstance(pool, str):
        return pool
    if not isinstance(pool, Mapping) or set(pool) != {"data", "metadata"}:
        raise BadInput(
            f"pool: {pool!r} is neither 'vg/pool' nor a mapping with 'data' and 'metadata'"
        )
    paths = {key: Path(str(pool[key])) for key in ("data", "metadata")}
    for key, path in paths.items():
        if not path.is_absolute() or not (path.is_file() or path.is_block_device()):
            raise BadInput(f"pool: {key}: there is no file or block device {path}")
    return PoolParts(paths["data"], paths["metadata"])


@contextmanager
def found(root: str, pool: PoolParts | str | None) -> Iterator[PoolParts]:
    """The parts of a store's pool, readable while the context lasts; raises Refused."""
    if isinstance(pool, PoolParts):
        yield pool
        return
    folder = Path(root, store.DRIVER, store.DRIVER)
    if pool is None and (folder / "data").exists() and (folder / "metadata").exists():
        yield PoolParts(folder / "data", folder / "metadata")
        return
    volumes = lvm.thin_pools()
    here = ", ".join(one.full_name for one in volumes) or "none"
    if pool is None:
        raise Refused(
            f"{root} does not hold its pool (no loop files in {folder}): say which one it is, "
            f"pool=<vg>/<pool> (here: {here}) or pool='{{data: ..., metadata: ...}}'"
        )
    volume = next((one for one in volumes if pool in (one.full_name, one.dm_name)), None)
    if volume is None:
        raise BadInput(f"pool: there is no thin pool {pool} in LVM here ({here})")
    active = dmsetup.active_pool(volume.dm_name)
    if active is None:
        with lvm.parts(volume) as (data, metadata):
            yield PoolParts(data, metadata)
    else:
        table = dmsetup.pool_table(active)
        numbers = (table.data_device, table.metadata_device)
        data, metadata = (Path(thintools.block_device(number)) for number in numbers)
        yield PoolParts(data, metadata)


def mapped(parts: PoolParts, folder: Path, wanted: set[int]) -> MappedPool:
    """Read a pool's mappings from a copy of its metadata in a folder, whatever can be read.

    wanted: ids of devices to look for one by one if they cannot be read all at once. Raises
    Damaged if nothing can.
    """
    copy = folder / "metadata"
    lost = cold_pool.copy_metadata(parts.metadata, copy)
    damage = [f"{lost} bytes of {parts.metadata} cannot be read"] if lost else []
    sectors = cold_pool.read_superblock(copy).data_block_sectors
    why = cold_pool.check(copy)
    if why is None and not lost:
        return MappedPool(cold_pool.read_map(copy))
    damage.append(f"the metadata of the pool is damaged, by thin_check: {why}")
    pool = _whole(copy, damage) or _repaired(copy, damage) or _one_by_one(copy, wanted, damage)
    # A repair may have to guess what stands in the first block.
    return MappedPool(replace(pool, data_block_sectors=sectors), tuple(damage))


def _whole(copy: Path, damage: list[str]) -> PoolMap | None:
    try:
        return cold_pool.read_map(copy)
    except (CommandFailed, Unparsable):
        return None


def _repaired(copy: Path, damage: list[str]) -> PoolMap | None:
    target = copy.with_name("repaired")
    try:
        cold_pool.repair(copy, target)
        pool = cold_pool.read_map(target)
    except (CommandFailed, Unparsable):
        return None
    finally:
        target.unlink(missing_ok=True)
    damage.append("it was read as thin_repair mends it, in a copy")
    return pool


def _one_by_one(copy: Path, wanted: set[int], damage: list[str]) -> PoolMap:
    found: dict[int, ThinDevice] = {}
    one = None
    for number in sorted(wanted):
        with suppress(DockerstorageError):
            one = cold_pool.read_map(copy, number)
            found.update(one.devices)
    if one is None:
        raise Damaged("the metadata of the pool", "nothing of it can be read; " + damage[-1])
    lost = sorted(wanted - found.keys())
    damage.append(f"the mappings of devices {', '.join(map(str, lost)) or 'none'} are lost")
    return replace(one, devices=found)
