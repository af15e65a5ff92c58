"""All images of the old store in the second engine's, by way of a bundle of images alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import export_job, import_job, import_options
from .adapters import store
from .adapters.engine_import import ImportEngine
from .bundle import MANIFEST
from .errors import BrokenOff, EngineRefused, Incoherent, Refused
from .export_options import Options
from .export_plan import ExportPlan, layer_sizes
from .gather import Site, read_inventory, read_site
from .jobs import Job
from .objects import Image, Inventory, chain_ids
from .second_containers import BEGUN, FILLED

#: It is read again within minutes.
LEVEL = 1


def load_images(
    site: Site,
    engine: ImportEngine,
    second: ImportEngine,
    folder: Path,
    job: Job,
    clock: Callable[[], float],
) -> int:
    """Make the second engine have the images of the first, no more and no less; how many it got.

    folder: where the bundle is written, and removed in the end. What an earlier call wrote or
    loaded is used. Raises Refused if there is no room, or a container's image is gone; BrokenOff
    if it is to be called again.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    bundle, count = folder / "images", 0
    _load(bundle, second, job)
    wanted = read_inventory(engine, site, with_cache=False)
    _remove_stale(wanted, second)
    missing = _missing(wanted.images, second)
    if missing:
        _export(missing, site, engine, bundle, job, clock)
        count = len(missing)
        _load(bundle, second, job)
    _verify(wanted, site, second)
    return count


def _missing(images: Sequence[Image], second: ImportEngine) -> tuple[Image, ...]:
    here = {row["Id"] for row in second.images()}
    return tuple(one for one in images if one.id not in here)


def _export(
    images: tuple[Image, ...],
    site: Site,
    engine: ImportEngine,
    bundle: Path,
    job: Job,
    clock: Callable[[], float],
) -> None:
    chosen = Inventory(containers=(), images=images, volumes=(), networks=())
    plan = ExportPlan(site, chosen, (), dict(layer_sizes(chosen, site)), ())
    export_job.check_place(bundle, plan, inside=True, check_room=True)
    job.done_bytes = 0
    done = export_job.carry_out(plan, engine, bundle, Options(level=LEVEL), job, clock)
    if not done["complete"]:
        shutil.rmtree(bundle)
        lost = "; ".join(f"image {one['name']}: {one['why']}" for one in done["not_taken"])
        raise BrokenOff("copy of images", lost, ())


def _load(bundle: Path, second: ImportEngine, job: Job) -> None:
    """Load a bundle that is whole, and remove it."""
    if not (bundle / MANIFEST).exists():
        return
    prepared = import_job.prepare(bundle, import_options.read_options(), second)
    job.done_bytes = 0
    import_job.carry_out(prepared, second, job)
    shutil.rmtree(bundle)


def _remove_stale(wanted: Inventory, second: ImportEngine) -> None:
    """Remove what an earlier call loaded and the first engine has no more."""
    containers = {one.id for one in wanted.containers}
    for seen in second.containers():
        if seen.name.removesuffix(BEGUN).removesuffix(FILLED) not in containers:
            second.discard(seen.id)
    images = {one.id for one in wanted.images}
    stale = [row for row in second.images() if row["Id"] not in images]
    while stale:  # children first, whichever these are
        left = [row for row in stale if not _is_removed(row, second)]
        if len(left) == len(stale):
            raise Incoherent("images of the second engine", "removed", [r["Id"] for r in left])
        stale = left


def _is_removed(row: dict[str, Any], second: ImportEngine) -> bool:
    try:
        for tag in row.get("RepoTags") or ():
            if tag != "<none>:<none>":
                second.remove_image(tag)
        if second.image(row["Id"]) is not None:
            second.remove_image(row["Id"])
    except EngineRefused:
        return False
    return True


def _verify(wanted: Inventory, site: Site, second: ImportEngine) -> None:
    """Every image and layer is there, and what each container lies on."""
    there = read_site(second.info())
    expected = {one.id for one in wanted.images}
    found = {row["Id"] for row in second.images()}
    if found != expected:
        raise Incoherent("images of the second engine", sorted(expected), sorted(found))
    for image in wanted.images:
        for chain in chain_ids(image.diff_ids):
            if store.layer_hash(there.root, chain, there.driver) is None:
                raise Incoherent(f"layer {chain} of image {image.name}", "loaded", "nothing")
    for one in wanted.containers:
        under = store.container_parent(site.root, site.driver, one.id)
        if under and store.layer_hash(there.root, under, there.driver) is None:
            raise Refused(
                f"container {one.name}: its image was removed by force, so that nothing else holds "
                f"its layers: make an image of it ('docker commit {one.name}') and a container of "
                "that, and remove it"
            )
