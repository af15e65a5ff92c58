"""Load a bundle's images, and point tags to them."""

from __future__ import annotations

import json
from collections.abc import Collection

from .docker_archive import Batch, stream, valid_parent
from .errors import Incoherent
from .import_plan import Step
from .import_room import loads
from .import_work import Work


def import_images(work: Work) -> None:
    """Load the images that are not here, parents first; then each gets its tags."""
    steps = {one.id: one for one in work.plan.steps if one.kind == "image" and one.acts}
    for batch in loads(work.plan, work.contents, work.world):
        _load(batch, steps, work)
        for image in batch.images:
            _tag(steps[image.id], work)
    loaded = {step.id for step, _ in work.outcome.imported}
    for step in steps.values():
        if step.id not in loaded:
            _tag(step, work)


def _load(batch: Batch, steps: dict[str, Step], work: Work) -> None:
    for image in batch.images:
        work.begin(steps[image.id])
    images = (*batch.images, *batch.parents)
    configs = {one.id: work.source.config(one) for one in images}
    linked = set()
    for image in batch.images:
        if not image.parent_id:
            continue
        if valid_parent(json.loads(configs[image.id]), json.loads(configs[image.parent_id])):
            linked.add((image.id, image.parent_id))
        else:
            work.note(steps[image.id], "the engine takes no such image for its parent")
    layers = work.contents.manifest.layers
    work.engine.load(stream(batch, configs, layers, work.source.open, linked))
    _check(batch, linked, work)


def _check(batch: Batch, linked: Collection[tuple[str, str]], work: Work) -> None:
    for image in batch.images:
        found = work.engine.image(image.id)
        if found is None or tuple(found["RootFS"].get("Layers") or ()) != image.layers:
            raise Incoherent(f"image {image.id}", "to be loaded whole", found and found["RootFS"])
        parent = image.parent_id if (image.id, image.parent_id) in linked else ""
        if (found.get("Parent") or "") != parent:
            raise Incoherent(f"parent of image {image.id}", parent, found.get("Parent"))


def _tag(step: Step, work: Work) -> None:
    """Point its tags to an image; one that somebody else made or moved meanwhile is left."""
    before = work.world.tags()
    for tag in step.tags:
        now = work.engine.image(tag)
        if now is not None and now["Id"] not in (step.id, before.get(tag)):
            work.note(step, f"without the tag {tag}, which points to another image meanwhile")
        elif now is None or now["Id"] != step.id:
            work.engine.tag(step.id, tag)
    work.finish(step, step.id)
