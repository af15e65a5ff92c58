"""Every thin device of Docker's pool, and whose it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import thinmap
from .adapters import dmsetup, hostfiles, store, thintools
from .adapters.engine import Engine
from .devmapper import ThinTable
from .errors import Refused
from .gather import Site, read_inventory
from .objects import Container, Image, chain_ids


@dataclass(frozen=True)
class Owner:
    """What a thin device belongs to."""

    #: "image layer", "container", "container init", "base", "buildkit" or "nobody"
    kind: str
    #: Chain id of a layer or id of a container.
    id: str = ""
    #: Tags of the images that rest on a layer (ids of untagged ones), or a container's name.
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """A thin device of the pool, or one that only Docker's metadata knows."""

    device_id: int
    #: The name Docker gave it; None if Docker does not know it.
    hash: str | None
    owner: Owner
    size_bytes: int | None
    #: None if the pool does not hold the device.
    mapped_bytes: int | None
    exclusive_bytes: int | None
    deleted: bool
    mounts: tuple[str, ...]


def find_owners(
    layers: Mapping[str, str],
    images: Iterable[Image],
    mounted: Mapping[str, tuple[str, ...]],
    containers: Iterable[Container],
) -> dict[str, Owner]:
    """Owner of each device hash.

    layers: hash by chain id; mounted: hashes (RW layer, init layer) by container id.
    """
    above: dict[str, list[str]] = defaultdict(list)
    for image in images:
        for chain in chain_ids(image.diff_ids):
            above[chain] += image.tags or (image.id,)
    owners = {
        hash_: Owner("image layer", chain, tuple(sorted(above[chain])))
        for chain, hash_ in layers.items()
    }
    names = {one.id: (one.name,) for one in containers}
    for container_id, hashes in mounted.items():
        for kind, hash_ in zip(("container", "container init"), hashes, strict=False):
            owners[hash_] = Owner(kind, container_id, names.get(container_id, ()))
    owners["base"] = Owner("base")
    return owners


def list_devices(engine: Engine, site: Site) -> list[Device]:
    """Every thin device; raises Refused if the engine does not run on devicemapper."""
    if site.pool is None:
        raise Refused(f"the engine's storage driver is {site.driver}: it has no thin devices")
    inventory = read_inventory(engine, site, with_cache=False)
    mounted = {one: store.container_hashes(site.root, one) for one in store.containers(site.root)}
    owners = find_owners(store.layers(site.root), inventory.images, mounted, inventory.containers)
    records = {one.device_id: one for one in store.device_records(site.root).values()}
    pool = thintools.read_pool_map(site.pool)
    exclusive = thinmap.exclusive_blocks(pool)
    mounts = _mounts(site.pool)
    buildkit = {key.decode() for key in store.buildkit_snapshots(site.root)}
    block_bytes = pool.data_block_sectors * 512
    found = []
    for number in sorted(records.keys() | pool.devices.keys()):
        record, device = records.get(number), pool.devices.get(number)
        hash_ = record.hash if record else None
        owner = owners.get(hash_ or "") or _without_layer(hash_, buildkit)
        found.append(
            Device(
                device_id=number,
                hash=hash_,
                owner=owner,
                size_bytes=record.size_bytes if record else None,
                mapped_bytes=device.mapped_blocks * block_bytes if device else None,
                exclusive_bytes=exclusive[number] * block_bytes if device else None,
                deleted=bool(record and record.deleted),
                mounts=mounts.get(number, ()),
            )
        )
    return found


def as_list(devices: Iterable[Device]) -> list[dict[str, Any]]:
    """Devices as plain values."""
    rows = [asdict(device) for device in devices]
    for row in rows:
        row["owner"]["names"] = list(row["owner"]["names"])
        row["mounts"] = list(row["mounts"])
    return rows


def _without_layer(hash_: str | None, buildkit: set[str]) -> Owner:
    # BuildKit's snapshots are devices that only its own database names.
    return Owner("buildkit" if hash_ in buildkit else "nobody")


def _mounts(pool: str) -> dict[int, tuple[str, ...]]:
    """Mount points by device id, for the pool's active devices."""
    known = dmsetup.devices()
    pool_number = known[pool].number
    points = hostfiles.mounts_by_device()
    found = {}
    for name, rows in dmsetup.tables("thin").items():
        table = rows[0] if rows else None
        if isinstance(table, ThinTable) and table.pool_device == pool_number and name in known:
            found[table.device_id] = points.get(known[name].number, ())
    return found
