"""The method ``bundle``: a second engine makes the new store, of any driver that it knows."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path

from . import second_containers, second_images, thin_cleanup
from .adapters import container_files, mounts, services, store
from .adapters.durable import sync_folder
from .adapters.engine_import import ImportEngine
from .adapters.layer_records import take_image_records
from .adapters.migration_journal import Journal
from .adapters.second_daemon import SecondDaemon, Settings, settings_like
from .engine_restart import Connect
from .errors import Damaged, Refused
from .gather import Site, read_site
from .jobs import Job
from .migration import Plan

START_SECONDS = 120.0
SETTINGS = "second.json"


class Bundle:
    """Makes the store in a folder, and moves it to the folder's top in the end."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        journal: Journal,
        connect: Connect,
        job: Job,
    ) -> None:
        self._plan, self._folder, self._journal = plan, folder, journal
        self._connect, self._job = connect, job
        self._root = folder / "root"
        self._daemon = SecondDaemon(self._root)

    def stage(self, site: Site) -> None:
        """All images, and an empty layer for each container; the second engine goes on serving."""
        first = services.daemon()
        if first is None:
            raise Refused("the engine does not run: start Docker")
        settings = settings_like(first, self._plan.target, self._plan.options)
        self._journal.keep(SETTINGS, asdict(settings))
        second = self._daemon.start(settings, START_SECONDS)
        second_images.load_images(
            site, self._connect(), second, self._folder / "bundle", self._job, time.time
        )
        for one in container_files.read_all(site.root):
            self._placeholder(second, one)

    def finish(self, site: Site) -> None:
        """What containers changed; then the second engine ends, and its store is taken over."""
        if not (self._folder / self._plan.target).exists():
            second = self._serving()
            there = read_site(second.info())
            for one in container_files.read_all(site.root):
                self._fill(second, site, there, one)
            self._daemon.stop()
            second_containers.name_layers(Path(there.root), self._plan.target)
            self._take_out(Path(there.root))
        take_image_records(site, self._folder / "image" / self._plan.target)

    def clear(self) -> None:
        """End the second engine."""
        self._daemon.stop()

    def _serving(self) -> ImportEngine:
        if self._daemon.running() is not None:
            return self._daemon.engine()
        kept = self._journal.kept(SETTINGS)
        settings = Settings(**{**kept, "options": tuple(kept["options"])})
        return self._daemon.start(settings, START_SECONDS)

    def _placeholder(self, second: ImportEngine, one: container_files.ContainerFile) -> str:
        options = one.storage_opt if self._plan.target == store.DRIVER else {}
        return second_containers.make_container(second, one.id, one.image_id, options)

    def _fill(
        self,
        second: ImportEngine,
        site: Site,
        there: Site,
        one: container_files.ContainerFile,
    ) -> None:
        if second.document("container", one.id + second_containers.FILLED) is not None:
            return
        placeholder = self._placeholder(second, one)

        def fill_and_check() -> None:
            filled = second_containers.fill_container(
                second, site, one.id, there, placeholder, self._job
            )
            lost = [f"{path}: {why}" for path, why in filled.left_out if why != "a socket"]
            if lost:
                raise Refused(f"container {one.name}: {'; '.join(lost)}")
            found = second_containers.filled_digest(site, one.id, there, placeholder)
            if found != filled.sha256:
                raise Damaged(
                    f"container {one.name}", "what was written of it is not what was read"
                )

        mounts.run_private(fill_and_check, self._job.cancel)

    def _take_out(self, root: Path) -> None:
        """Move the second engine's store to where the first one's will be taken from.

        The driver's own part last: when it is there, all is.
        """
        target = self._plan.target
        for part in (f"image/{target}", target):
            place = self._folder / part
            if (root / part).exists():
                place.parent.mkdir(mode=0o700, exist_ok=True)
                if place.exists():
                    shutil.rmtree(place)
                (root / part).rename(place)
                sync_folder(place.parent)


def new_pool(plan: Plan) -> str | None:
    """The pool that the new store was given by its options; None if it has none, or its own."""
    given = [one.partition("=")[2] for one in plan.options if one.startswith("dm.thinpooldev=")]
    return given[-1].removeprefix("/dev/mapper/") if given else None


def release_new_pool(plan: Plan, folder: Path) -> None:
    """Delete the thin devices of a new store that is given up."""
    pool = new_pool(plan)
    if pool is None or plan.target != store.DRIVER:
        return
    roots = [folder, folder / "root", *(folder / "root").glob("*.*")]
    ids = [one.device_id for root in roots for one in store.device_records(str(root)).values()]
    thin_cleanup.release(pool, ids)
