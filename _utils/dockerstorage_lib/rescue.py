"""Take images, containers, volumes and networks out of a store that no engine serves any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from . import export, export_job, rescue_apart, rescue_pool, summary, thinmap
from .adapters import cold_pool, dmioctl, hostfiles, loopdev, store
from .adapters.cold_engine import ColdEngine
from .adapters.engine_export import ExportEngine
from .adapters.scratch import Scratch
from .bundle import NotTaken
from .cold_trees import ColdTrees, checked_record
from .errors import BadInput, DockerstorageError, Refused
from .export_options import Options
from .export_plan import ExportPlan, plan_export
from .jobs import Job
from .objects import Inventory, chain_ids
from .rescue_pool import PoolParts
from .selection import Wanted
from .thinmap import PoolMap


@dataclass
class Found:
    """What lies in a store."""

    engine: ColdEngine
    plan: ExportPlan
    parts: PoolParts
    pool: PoolMap
    damaged: list[NotTaken] = field(default_factory=list)


def read_source(source: object) -> Path:
    """Check a data root; raises BadInput or Refused."""
    path = export_job.read_path("source", cast(str, source))
    if (path / "image" / store.DRIVER).is_dir():
        return path
    remapped = sorted(path.glob(f"[0-9]*.[0-9]*/image/{store.DRIVER}"))
    if remapped:
        raise BadInput(
            f"source: the store in {path} is that of an engine with remapped users: name "
            f"{remapped[0].parents[1]}"
        )
    raise BadInput(
        f"source: {path} holds no devicemapper store: there is no {path}/image/{store.DRIVER}"
    )


def check_unused(root: Path) -> None:
    """Raise Refused if an engine uses the store: its thin devices are open."""
    folder = root / store.DRIVER
    if not folder.is_dir():
        return
    begin = f"docker-{hostfiles.device_and_inode(str(folder))}-"
    busy = [name for name in dmioctl.active_names()
            if name.startswith(begin) and not name.endswith("-pool")]  # fmt: skip
    if busy:
        raise Refused(
            f"the store in {root} is in use, {len(busy)} of its thin devices are active: use "
            "'export' while its engine runs, or stop the engine and its containers"
        )


@contextmanager
def opened(
    root: Path, pool: PoolParts | str | None, wanted: Wanted, folder: Path
) -> Iterator[Found]:
    """What lies in a store; copies of its metadata go to a folder, nothing is written to it."""
    check_unused(root)
    with rescue_pool.found(str(root), pool) as parts:
        yield _look(root, parts, wanted, folder)


@contextmanager
def scratch_folder(dest: Path | None) -> Iterator[Path]:
    """A folder for copies, beside the bundle if there is to be one; what a killed run left goes."""
    place = Path("/var/tmp/dockerstorage-rescue")
    folder = place if dest is None else dest.with_name(f".{dest.name}.scratch")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _look(root: Path, parts: PoolParts, wanted: Wanted, folder: Path) -> Found:
    damaged = []
    try:
        mapped = rescue_pool.mapped(parts, folder, _device_ids(root))
    except (DockerstorageError, OSError) as error:
        damaged.append(NotTaken("pool", "", str(parts.metadata), str(error)))
        mapped = rescue_pool.MappedPool(PoolMap(1, 0, {}))
    damaged += [NotTaken("pool", "", str(parts.metadata), why) for why in mapped.damage]
    own_bytes = _own_bytes(str(root), mapped.pool)
    engine = ColdEngine(root, lambda id_: own_bytes.get(id_, 0))
    plan = plan_export(cast(ExportEngine, engine), engine.site, wanted)
    damaged += engine.damaged
    damaged += _of_no_image(engine, str(root))
    damaged += _lost(plan.inventory, str(root), mapped.pool)
    return Found(engine, plan, parts, mapped.pool, damaged)


def _device_ids(root: Path) -> set[int]:
    """Ids of all thin devices that the store knows and can tell."""
    found = set()
    for path in store.entries(root / store.DRIVER / "metadata"):
        with suppress(DockerstorageError, OSError):
            record = store.device_record(str(root), path.name)
            found |= {record.device_id} if record else set()
    return found


def _own_bytes(root: str, pool: PoolMap) -> dict[str, int]:
    """Bytes that the devices of each container have for themselves, as far as they are known."""
    ids = store.containers(root)
    # All in one pass: it reads every mapping of the pool.
    blocks = thinmap.freed_blocks(pool, [_devices_of(root, id_, pool) for id_ in ids])
    size = pool.data_block_sectors * 512
    return {id_: count * size for id_, count in zip(ids, blocks, strict=True)}


def _devices_of(root: str, container_id: str, pool: PoolMap) -> list[int]:
    try:
        hashes = store.container_hashes(root, container_id)
        return [checked_record(root, hash_, pool).device_id for hash_ in hashes]
    except (DockerstorageError, OSError):
        return []


def _of_no_image(engine: ColdEngine, root: str) -> list[NotTaken]:
    """Layers that may be those of an image whose configuration is damaged: no other has them."""
    if not any(one.kind == "image" for one in engine.damaged):
        return []
    known: set[str] = set()
    for row in engine.images():
        facts = store.image_facts(root, store.DRIVER, row["Id"])
        known.update(chain_ids(facts[0]) if facts else ())
    lost = [store.layer_diff_id(root, store.DRIVER, chain) or chain
            for chain in store.layers(root) if chain not in known]  # fmt: skip
    return [NotTaken("layer", id_, id_, "no image that can be read has it") for id_ in lost]


def _lost(chosen: Inventory, root: str, pool: PoolMap) -> list[NotTaken]:
    """Layers and containers of which the store or the pool lacks a part."""
    found = {}
    for image in chosen.images:
        for diff_id, chain in zip(image.diff_ids, chain_ids(image.diff_ids), strict=True):
            why = _why_lost(root, lambda chain=chain: [store.layer_hash(root, chain)], pool)  # type: ignore[misc]
            if why is None and not store.tar_split(root, store.DRIVER, chain).exists():
                why = "the store does not hold the list of its files"
            if why is not None:
                found[diff_id] = NotTaken("layer", diff_id, image.name, why)
    for one in chosen.containers:
        why = _why_lost(root, lambda one=one: store.container_hashes(root, one.id), pool)  # type: ignore[misc]
        if why is not None:
            found[one.id] = NotTaken("container", one.id, one.name, why)
    return list(found.values())


def _why_lost(root: str, hashes: Callable[[], Sequence[str | None]], pool: PoolMap) -> str | None:
    """Why devices of an object cannot be read; None if they can."""
    try:
        for hash_ in hashes() or [None]:
            if hash_ is None:
                return "the store does not name its device"
            checked_record(root, hash_, pool)
    except (DockerstorageError, OSError) as error:
        return str(error)
    return None


def listed(found: Found) -> dict[str, Any]:
    """What lies in a store as plain values."""
    chosen, sizes = found.plan.inventory, found.plan.sizes
    result: dict[str, Any] = {
        "test": True,
        "source": found.plan.site.root,
        "images": [
            {
                "id": one.id,
                "tags": list(one.tags),
                "bytes": sum(sizes.get(("layer", diff_id), 0) for diff_id in one.diff_ids),
            }
            for one in chosen.images
        ],
        "containers": [
            {
                "id": one.id,
                "name": one.name,
                "image": one.image_name,
                "status": one.state,
                "bytes": sizes.get(("container", one.id), 0),
            }
            for one in chosen.containers
        ],
        "volumes": [
            {"name": one.name, "bytes": sizes.get(("volume", one.name), 0)}
            for one in chosen.volumes
        ],
        "networks": [one.name for one in chosen.networks],
        "not_taken": [asdict(one) for one in found.plan.not_taken],
        "damaged": [asdict(one) for one in found.damaged],
        "estimated_bytes": found.plan.total_bytes,
    }
    return {**result, "summary": summary.rescue_lines(result)}


def _without(result: dict[str, Any], lost: set[str]) -> dict[str, Any]:
    """The objects of a listing that were not lost."""
    return {
        kind: [one for one in result[kind] if one.get("id", one.get("name")) not in lost]
        for kind in ("images", "containers", "volumes")
    }


def check_room(found: Found, folder: Path) -> None:
    """Raise Refused if a place is too small for a copy of the largest device."""
    blocks = max((one.mapped_blocks for one in found.pool.devices.values()), default=0)
    needed = blocks * found.pool.data_block_sectors * 512
    free = store.free_bytes(str(folder))
    if free < needed:
        raise Refused(
            f"{folder.parent} has {summary.human_bytes(free)} free, and the copy of one thin "
            f"device needs {summary.human_bytes(needed)} there: make room, or name another place"
        )


def carry_out(
    found: Found,
    dest: Path,
    folder: Path,
    options: Options,
    job: Job,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Write the bundle, and what is damaged beside it; the result as plain values."""
    apart = rescue_apart.Apart(dest, found.plan)
    notes: list[NotTaken] = []
    with cold_pool.opened(found.parts.data) as data:
        scratch = Scratch(folder / "device", data, found.pool)
        with loopdev.attached(scratch.path, write=False) as loop:
            trees = ColdTrees(found.plan.site.root, found.pool, scratch, loop, notes)
            cold = export.Cold(trees, lambda lost: apart.layers(lost, trees), notes)
            engine = cast(ExportEngine, found.engine)
            result = export_job.carry_out(found.plan, engine, dest, options, job, clock, cold)
    apart.containers({one["id"] for one in result["not_taken"] if one["kind"] == "container"})
    lost = {one["id"] for one in result["not_taken"]}
    there = listed(found)
    result = {**there, **result, **_without(there, lost)}
    result["damaged"] = [asdict(one) for one in (*found.damaged, *apart.found, *notes)]
    result["apart"] = str(apart.folder) if apart.folder.exists() else None
    return {**result, "summary": summary.rescue_lines(result)}
