"""See what is there: the engine's objects, and the thin devices behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import objects, thinmap
from .adapters import store, thintools
from .adapters.engine import Engine
from .prune import Plan, released_layers, with_bytes


@dataclass(frozen=True)
class Site:
    """Where the engine keeps its data, and with which graph driver."""

    root: str
    driver: str
    #: Device-mapper name of Docker's thin pool; None for any other driver.
    pool: str | None


def read_site(info: Mapping[str, Any]) -> Site:
    """Read the engine's ``info`` document."""
    return Site(info["DockerRootDir"], info["Driver"], driver_status(info).get("Pool Name"))


def driver_status(info: Mapping[str, Any]) -> dict[str, str]:
    """What the storage driver says of itself in the engine's ``info`` document."""
    return dict(row for row in info.get("DriverStatus") or () if len(row) == 2)


def read_inventory(engine: Engine, site: Site, with_cache: bool) -> objects.Inventory:
    """Read every object; the build cache only if asked."""
    return objects.Inventory(
        containers=engine.containers(),
        images=tuple(_image(engine, site, listed) for listed in engine.images()),
        volumes=engine.volumes(),
        networks=engine.networks(),
        cache=_build_cache(engine, site) if with_cache else (),
    )


def _build_cache(engine: Engine, site: Site) -> tuple[objects.CacheRecord, ...]:
    snapshots = objects.read_snapshots(store.buildkit_snapshots(site.root))
    listed = engine.build_cache()
    if listed is not None:
        return tuple(objects.read_cache_record(row, snapshots) for row in listed)
    return tuple(objects.read_stored_records(store.buildkit_records(site.root), snapshots))


def _image(engine: Engine, site: Site, listed: Mapping[str, Any]) -> objects.Image:
    facts = store.image_facts(site.root, site.driver, listed["Id"])
    if facts is None:  # another image store (containerd's): ask the engine
        found = engine.image(listed["Id"]) or {}
        # Its list lacks parents, and in some releases labels.
        labels = (found.get("Config") or {}).get("Labels") or {}
        listed = {
            **listed,
            "ParentId": listed.get("ParentId") or found.get("Parent"),
            "Labels": {**labels, **(listed.get("Labels") or {})},
        }
        tagged = (found.get("Metadata") or {}).get("LastTagTime")
        diff_ids = tuple((found.get("RootFS") or {}).get("Layers") or ())
        facts = (diff_ids, max(objects.read_time(tagged), float(listed["Created"])))
    return objects.read_image(listed, used_at=facts[1], diff_ids=facts[0])


def weigh(plan: Plan, engine: Engine, site: Site) -> tuple[Plan, str]:
    """Add to each removal the bytes that it frees; say where the figures come from."""
    held_by_buildkit = _chains_of_buildkit(plan, site.root)
    released = released_layers(plan, held_by_buildkit)
    if site.pool is None:
        sizes = [
            _engine_size(removal.seen, chains, engine, site)
            for removal, chains in zip(plan.remove, released, strict=True)
        ]
        return with_bytes(plan, sizes), "engine's estimate"
    pool_map = thintools.read_pool_map(site.pool)
    block_bytes = pool_map.data_block_sectors * 512
    groups = [
        _devices(removal.seen, chains, site.root)
        for removal, chains in zip(plan.remove, released, strict=True)
    ]
    freed = thinmap.freed_blocks(pool_map, groups)
    exact = released == released_layers(plan)
    source = "pool blocks" if exact else "pool blocks, without layers that BuildKit may hold"
    return with_bytes(plan, _pool_sizes(plan, freed, block_bytes)), source


def _pool_sizes(plan: Plan, freed: list[int], block_bytes: int) -> list[int | None]:
    """Bytes of each removal; what lies outside the pool has none."""
    return [
        None if removal.seen.kind in ("volume", "network") else blocks * block_bytes
        for removal, blocks in zip(plan.remove, freed, strict=True)
    ]


def _chains_of_buildkit(plan: Plan, root: str) -> set[str]:
    """Layers that BuildKit's cache may hold and that the plan leaves to it."""
    snapshots = objects.read_snapshots(store.buildkit_snapshots(root))
    doomed = {removal.seen.id for removal in plan.remove}
    return {chain for record, chain in snapshots.items() if chain and record not in doomed}


def _devices(seen: objects.Object, chains: tuple[str, ...], root: str) -> list[int]:
    """Ids of the thin devices that go with an object and the layers it releases."""
    hashes = [store.layer_hash(root, chain) for chain in chains]
    if isinstance(seen, objects.Container):
        hashes += store.container_hashes(root, seen.id)
    if isinstance(seen, objects.CacheRecord) and not seen.chain_id:
        hashes.append(seen.id)
    records = (store.device_record(root, hash_) for hash_ in hashes if hash_)
    return [record.device_id for record in records if record]


def _engine_size(
    seen: objects.Object, chains: tuple[str, ...], engine: Engine, site: Site
) -> int | None:
    """What the engine believes an object frees; None if it would have to walk a volume for it.

    None as well where nothing is known of the layers.
    """
    if isinstance(seen, objects.Container):
        return engine.container_size(seen.id)
    if isinstance(seen, objects.Image) or (
        # What an image shares with the cache stays with it, whatever the engine says.
        isinstance(seen, objects.CacheRecord) and seen.chain_id
    ):
        sizes = [store.layer_size(site.root, site.driver, chain) for chain in chains]
        known = [size for size in sizes if size is not None]
        # containerd's store keeps no sizes of layers; zero would be a promise.
        return None if chains and not known else sum(known)
    return seen.size_bytes if isinstance(seen, objects.CacheRecord) else None
