"""What an export takes, and about how much that is."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from . import thinmap
from .adapters import store, thintools
from .adapters.engine_export import ExportEngine
from .bundle import NotTaken
from .gather import Site, devices_of, read_inventory
from .objects import Container, Image, Inventory, Volume, chain_ids
from .selection import Wanted, choose


@dataclass(frozen=True)
class ExportPlan:
    """The chosen objects, and estimates of their bytes by kind and key."""

    site: Site
    inventory: Inventory
    not_taken: tuple[NotTaken, ...]
    #: By ("layer", diff id), ("container", id), ("volume", name): plain bytes.
    sizes: dict[tuple[str, str], int]
    #: Containers that run and share volumes are read together, while all of them are paused.
    groups: tuple[tuple[Container, ...], ...]

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def layers(self) -> dict[str, tuple[str, Image]]:
        """Chain id and an image of every layer, by its diff id; those on the same layers together.

        What is read after another device of the pool costs as much as the two differ.
        """
        return {
            diff_id: (chain, image)
            for image in sorted(self.inventory.images, key=attrgetter("diff_ids"))
            for diff_id, chain in zip(image.diff_ids, chain_ids(image.diff_ids), strict=True)
        }


def plan_export(engine: ExportEngine, site: Site, wanted: Wanted) -> ExportPlan:
    """Look at the host and decide; raises BadInput for a pattern that matches nothing."""
    chosen = choose(read_inventory(engine, site, with_cache=False), wanted)
    kept, not_taken = _takable(chosen)
    sizes = {
        **layer_sizes(kept, site),
        **container_sizes(kept, engine, site),
        **_volume_sizes(kept, engine),
    }
    return ExportPlan(site, kept, tuple(not_taken), sizes, groups_of(kept.containers))


def _takable(chosen: Inventory) -> tuple[Inventory, list[NotTaken]]:
    """What can be taken, and why the rest cannot."""
    left: list[NotTaken] = []
    for volume in chosen.volumes:
        if volume.driver != "local":
            why = f"its driver is {volume.driver}: the data is not on this host"
            left.append(NotTaken("volume", volume.id, volume.name, why))
    for network in chosen.networks:
        if network.scope == "swarm":
            left.append(
                NotTaken("network", network.id, network.name, "it belongs to the swarm, not a host")
            )
    gone = {one.id for one in left}
    return (
        Inventory(
            containers=chosen.containers,
            images=chosen.images,
            volumes=tuple(one for one in chosen.volumes if one.id not in gone),
            networks=tuple(one for one in chosen.networks if one.id not in gone),
        ),
        left,
    )


def layer_sizes(chosen: Inventory, site: Site) -> dict[tuple[str, str], int]:
    """Bytes of the layers of images, as the engine recorded them."""
    found = {}
    for image in chosen.images:
        for diff_id, chain in zip(image.diff_ids, chain_ids(image.diff_ids), strict=True):
            found["layer", diff_id] = store.layer_size(site.root, site.driver, chain) or 0
    return found


def container_sizes(
    chosen: Inventory, engine: ExportEngine, site: Site
) -> dict[tuple[str, str], int]:
    """On devicemapper the blocks that each has for itself, elsewhere by the engine's count."""
    if site.pool is None or not chosen.containers:
        return {
            ("container", one.id): engine.container_size(one.id) or 0 for one in chosen.containers
        }
    pool_map = thintools.read_pool_map(site.pool)
    # All in one pass: it reads every mapping of the pool.
    groups = [devices_of(one, (), site.root) for one in chosen.containers]
    return {
        ("container", one.id): blocks * pool_map.data_block_sectors * 512
        for one, blocks in zip(
            chosen.containers, thinmap.freed_blocks(pool_map, groups), strict=True
        )
    }


def _volume_sizes(chosen: Inventory, engine: ExportEngine) -> dict[tuple[str, str], int]:
    return {
        ("volume", one.name): allocated_bytes(mountpoint(engine, one))
        for one in chosen.volumes
        if not one.has_options
    }


def mountpoint(engine: ExportEngine, volume: Volume) -> Path | None:
    """Where a volume of the local driver lies; None if it is gone."""
    found = engine.document("volume", volume.name)
    return None if found is None else Path(found["Mountpoint"])


def allocated_bytes(folder: Path | None) -> int:
    """Bytes that the files of a directory have on disk."""
    if folder is None:
        return 0
    total = folder.lstat().st_blocks
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                total += Path(path, name).lstat().st_blocks
    return total * 512


def groups_of(containers: tuple[Container, ...]) -> tuple[tuple[Container, ...], ...]:
    """Containers that run and share a volume, directly or by others, belong together."""
    groups: list[list[Container]] = []
    for one in containers:
        near = [
            group
            for group in groups
            if one.state == "running"
            and any(set(one.volumes) & set(other.volumes) for other in group)
            and group[0].state == "running"
        ]
        merged = [one, *(other for group in near for other in group)]
        groups = [group for group in groups if group not in near] + [merged]
    return tuple(tuple(group) for group in groups)
