"""Write a bundle: every planned object into files, then the manifest, then the bundle's name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import bundle, export_journal
from .adapters import mounts
from .adapters.engine_export import ExportEngine
from .bundle import (
    MANIFEST,
    ContainerRecord,
    FileRecord,
    ImageRecord,
    Manifest,
    NetworkRecord,
    NotTaken,
    VolumeRecord,
)
from .errors import Damaged, DockerstorageError, EngineUnreachable, Interrupted
from .export_plan import ExportPlan
from .export_sources import Sources
from .jobs import Job
from .objects import Container, Image, Network, Volume


@dataclass(frozen=True)
class Options:
    """How an export is made."""

    consistent: bool = True
    logs: bool = False
    level: int = 3


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
) -> Outcome:
    """Write all files and the manifest into the partial directory; the caller renames it.

    Raises EngineUnreachable, Interrupted, OSError (a full disk): what is written stays and is used
    by the next export to the same place.
    """
    with export_journal.opened(partial) as journal:

        def work() -> Outcome:
            export = _Export(plan, engine, partial, options, job, journal, clock)
            return export.run()

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
    ) -> None:
        self._plan, self._engine, self._options, self._job = plan, engine, options, job
        self._clock = clock
        self._journal = journal
        self._sources = Sources(plan.site, engine, partial, options.level, journal, job)
        self._failed: list[NotTaken] = []
        self._paused: dict[str, float] = {}
        self._layers: dict[str, FileRecord] = {}
        self._lost: dict[str, str] = {}
        self._containers: list[ContainerRecord] = []
        self._volumes: list[VolumeRecord] = []

    def run(self) -> Outcome:
        """All of it."""
        self._layers, self._lost = self._sources.layers(self._plan.layers)
        images = [one for image in self._plan.inventory.images if (one := self._image(image))]
        for group in self._plan.groups:
            self._group(group)
        taken = {one.name for one in self._volumes}
        for volume in self._plan.inventory.volumes:
            if volume.name not in taken:
                self._volume(volume)
        networks = [one for net in self._plan.inventory.networks if (one := self._network(net))]
        found = Manifest(
            id=self._journal.id,
            created_at=self._clock(),
            host=socket.gethostname(),
            engine_version=self._engine.version(),
            driver=self._plan.site.driver,
            images=tuple(images),
            layers=self._layers,
            containers=tuple(sorted(self._containers, key=lambda one: one.name)),
            volumes=tuple(sorted(self._volumes, key=lambda one: one.name)),
            networks=tuple(networks),
            not_taken=(*self._plan.not_taken, *self._failed),
        )
        return Outcome(found, tuple(self._failed), self._sources.reused, self._paused)

    def _image(self, image: Image) -> ImageRecord | None:
        with self._noted("image", image.id, image.name):
            for diff_id in image.diff_ids:
                if diff_id not in self._layers:
                    raise Damaged(f"layer {diff_id}", self._lost[diff_id])
            parents = {one.id for one in self._plan.inventory.images}
            parent = image.parent_id if image.parent_id in parents else ""
            config = self._sources.image_config(image)
            return ImageRecord(image.id, image.tags, parent, config, image.diff_ids)
        return None

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

    @contextmanager
    def _noted(self, kind: str, id_: str, name: str) -> Iterator[None]:
        """One object that cannot be read does not end the export; the engine's silence does."""
        self._job.turn_to(f"{kind} {name}")
        try:
            yield
        except (EngineUnreachable, Interrupted):
            raise
        except DockerstorageError as error:
            self._failed.append(NotTaken(kind, id_, name, str(error)))

    def _container(self, seen: Container, document: dict[str, Any] | None) -> None:
        with self._noted("container", seen.id, seen.name):
            if document is None:
                raise Damaged(f"container {seen.name}", "it was removed meanwhile")
            record = self._sources.container(
                seen, document, self._options.consistent, self._options.logs
            )
            self._containers.append(record)

    def _volume(self, seen: Volume) -> None:
        with self._noted("volume", seen.name, seen.name):
            self._volumes.append(self._sources.volume(seen))

    def _network(self, seen: Network) -> NetworkRecord | None:
        with self._noted("network", seen.id, seen.name):
            return self._sources.network(seen)
        return None


def _write_manifest(partial: Path, found: Manifest) -> None:
    path = partial / MANIFEST
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(bundle.manifest_text(found))
        file.flush()
        os.fsync(file.fileno())
