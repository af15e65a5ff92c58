"""What an import reads, and whether there is room for it. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from .docker_archive import Batch, batches
from .errors import Refused
from .import_choice import Contents
from .import_options import KINDS
from .import_plan import ImportPlan, Step
from .import_world import World


def loads(plan: ImportPlan, contents: Contents, world: World) -> list[Batch]:
    """The images that are loaded, in batches."""
    manifest = contents.manifest
    known = {one.id: one for one in manifest.images}
    steps = [one for one in plan.steps if one.kind == "image" and one.acts and not one.here]
    images = [known[one.id] for one in steps]
    return batches(images, known, manifest.layers, world.chains())


def weigh(plan: ImportPlan, contents: Contents, world: World) -> ImportPlan:
    """Add to each step the bytes that are read for it, a shared layer's to its first image."""
    manifest = contents.manifest
    known = {one.id: one for one in manifest.images}
    missing = {diff_id for batch in loads(plan, contents, world) for diff_id in batch.layers}
    steps = []
    for step in plan.steps:
        size = 0
        if step.acts and step.kind == "image" and not step.here:
            new = [one for one in known[step.id].layers if one in missing]
            size = sum(manifest.layers[one].plain_bytes for one in dict.fromkeys(new))
            missing.difference_update(new)
        elif step.acts and step.kind in ("volume", "container"):
            size = _data_bytes(plan, step)
        steps.append(replace(step, bytes=size))
    return replace(plan, steps=tuple(steps))


def _data_bytes(plan: ImportPlan, step: Step) -> int:
    if step.kind == "volume":
        data = next(one.data for one in plan.choice.volumes if one.name == step.id)
        return data.plain_bytes if data else 0
    record = next(one for one in plan.choice.containers if one.id == step.id)
    return record.changes.plain_bytes + sum(one.plain_bytes for one in record.logs)


def refuse_without_room(plan: ImportPlan, contents: Contents, world: World) -> None:
    """Raise Refused if the data would not fit; the engine unpacks each batch of images first."""
    largest = max((one.layer_bytes for one in loads(plan, contents, world)), default=0)
    sizes = dict.fromkeys(KINDS, 0)
    for step in plan.steps:
        sizes[step.kind] += step.bytes
    layers = sizes["image"] + sizes["container"]
    disk = sizes["volume"] + largest
    pool = world.pool_free_bytes
    if pool is None:
        disk += layers
    elif layers > pool:
        raise Refused(
            f"the thin pool {world.site.pool} has room for {pool} bytes below Docker's reserve, "
            f"and layers and containers of the bundle have {layers}: extend it "
            "('dockerstorage.extend') or import a part (only=...)"
        )
    if disk > world.free_bytes:
        raise Refused(
            f"the file system of {world.site.root} has {world.free_bytes} bytes free, and the "
            f"import needs {disk}: free some, or import a part (only=...)"
        )
