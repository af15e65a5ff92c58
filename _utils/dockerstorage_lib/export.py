"""Write a bundle: every planned object into files, then the manifest, then the bundle's name."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from . import export_journal
from .adapters import mounts
from .adapters.engine_export import ExportEngine
from .adapters.packer import Packer
from .bundle import (
    MANIFEST,
    ContainerRecord,
    FileRecord,
    ImageRecord,
    Manifest,
    NotTaken,
    VolumeRecord,
)
from .errors import Damaged, DockerstorageError, EngineUnreachable, Interrupted
from .export_layers import Layers
from .export_options import Options
from .export_plan import ExportPlan
from .export_sources import Sources
from .export_trees import LiveTrees, Trees
from .export_writer import FULL, Writer
from .jobs import Job
from .manifest import manifest_text
from .objects import Container, Image, Network, Volume

T = TypeVar("T")
Seen = TypeVar("Seen", Container, Image, Network, Volume)


@dataclass(frozen=True)
class Cold:
    """How a store is read whose engine does not run."""

    trees: Trees
    #: Told of the layers that are damaged, and why, by diff id.
    keep_apart: Callable[[Mapping[str, str]], None]
    #: What of objects could not be read, or not as it was; grows while it is read.
    notes: list[NotTaken]


@dataclass
class Outcome:
    """What became of an export."""

    manifest: Manifest
    #: Objects that could not be read; those that are left out by rule are not among them.
    failed: tuple[NotTaken, ...]
    reused: int
    #: By container name.
    paused_seconds: Mapping[str, float]


def carry_out(
    plan: ExportPlan,
    engine: ExportEngine,
    partial: Path,
    options: Options,
    job: Job,
    clock: Callable[[], float],
    cold: Cold | None = None,
) -> Outcome:
    """Write all files and the manifest into the partial directory; the caller renames it.

    cold: how to read the store if its engine does not run.

    Raises EngineUnreachable, Interrupted, OSError (a full disk): what is written stays and is used
    by the next export to the same place.
    """
    with export_journal.opened(partial) as journal:

        def work() -> Outcome:
            with engine.guarded():
                return _Export(plan, engine, partial, options, job, journal, clock, cold).run()

        outcome = mounts.run_private(work, job.cancel)
    _write_manifest(partial, outcome.manifest)
    return outcome


class _Export:
    def __init__(
        self,
        plan: ExportPlan,
        engine: ExportEngine,
        partial: Path,
        options: Options,
        job: Job,
        journal: export_journal.ExportJournal,
        clock: Callable[[], float],
        cold: Cold | None,
    ) -> None:
        self._plan, self._engine, self._options, self._job = plan, engine, options, job
        self._clock = clock
        self._writer = Writer(partial, options.level, journal, job)
        trees = LiveTrees(plan.site) if cold is None else cold.trees
        save = engine.save if cold is None else None
        self._images = Layers(plan.site, trees, save, self._writer)
        self._sources = Sources(trees, engine, self._writer)
        self._cold = cold
        self._failed: list[NotTaken] = []
        self._paused: dict[str, float] = {}
        self._layers: dict[str, FileRecord] = {}
        self._lost: dict[str, str] = {}
        self._containers: list[ContainerRecord] = []
        self._volumes: list[VolumeRecord] = []

    def run(self) -> Outcome:
        """All of it."""
        self._layers, self._lost = self._images.read(self._plan.layers)
        if self._cold is not None:
            self._cold.keep_apart(self._lost)
        # The engine lists most things in another order each time: the same host, the same bundle.
        chosen = self._plan.inventory
        images = [self._try(one, self._image) for one in sorted(chosen.images, key=_by_id)]
        for group in self._plan.groups:
            self._group(group)
        taken = {one.name for one in self._volumes}
        for volume in chosen.volumes:
            if volume.name not in taken:
                self._volume(volume)
        networks = [
            self._try(one, self._sources.network) for one in sorted(chosen.networks, key=_by_id)
        ]
        found = Manifest(
            id=self._writer.journal.id,
            created_at=self._clock(),
            host=socket.gethostname(),
            engine_version=self._engine.info()["ServerVersion"],
            driver=self._plan.site.driver,
            images=tuple(filter(None, images)),
            layers=self._layers,
            containers=tuple(sorted(self._containers, key=lambda one: one.name)),
            volumes=tuple(sorted(self._volumes, key=lambda one: one.name)),
            networks=tuple(filter(None, networks)),
            not_taken=(
                *self._plan.not_taken,
                *self._failed,
                *self._sources.notes,
                *(self._cold.notes if self._cold else ()),
            ),
        )
        return Outcome(found, tuple(self._failed), self._writer.reused, self._paused)

    def _image(self, image: Image) -> ImageRecord:
        for diff_id in image.diff_ids:
            if diff_id not in self._layers:
                raise Damaged(f"layer {diff_id}", self._lost[diff_id])
        parents = {one.id for one in self._plan.inventory.images}
        parent = image.parent_id if image.parent_id in parents else ""
        config = self._images.config(image)
        return ImageRecord(image.id, image.tags, parent, config, image.diff_ids)

    def _group(self, group: tuple[Container, ...]) -> None:
        """Containers that must be read at one moment, with the volumes of those that run."""
        running = [one for one in group if one.state == "running"]
        volumes = [
            volume
            for volume in self._plan.inventory.volumes
            if any(volume.name in one.volumes for one in running)
        ]
        documents = {one.id: self._engine.document("container", one.id) for one in group}
        pauses = [one.id for one in running] if self._options.consistent else []
        began = self._clock()
        with self._engine.paused(pauses):
            for one in group:
                self._container(one, documents[one.id])
            for volume in volumes:
                self._volume(volume)
        if pauses:
            self._paused |= {one.name: round(self._clock() - began, 2) for one in running}

    def _try(self, seen: Seen, take: Callable[[Seen], T]) -> T | None:
        """One object that cannot be read does not end the export; the engine's silence does."""
        self._job.turn_to(f"{seen.kind} {seen.name}")
        try:
            return take(seen)
        except (EngineUnreachable, Interrupted):
            raise
        except (DockerstorageError, OSError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            self._failed.append(NotTaken(seen.kind, seen.id, seen.name, str(error)))
            return None

    def _container(self, seen: Container, document: dict[str, Any] | None) -> None:
        def take(seen: Container) -> ContainerRecord:
            if document is None:
                raise Damaged(f"container {seen.name}", "it was removed meanwhile")
            options = self._options
            return self._sources.container(seen, document, options.consistent, options.logs)

        record = self._try(seen, take)
        self._containers += [record] if record else []

    def _volume(self, seen: Volume) -> None:
        record = self._try(seen, self._sources.volume)
        self._volumes += [record] if record else []


_by_id = attrgetter("id")


def _write_manifest(partial: Path, found: Manifest) -> None:
    with Packer(partial, MANIFEST) as packer:
        packer.write(manifest_text(found).encode())
        packer.finish()
