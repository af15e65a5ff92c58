"""The steps of a migration: each does its work, and undoes it, by looking at what is there.

None remembers anything but what the journal says, so each may be repeated, in another process and
after a boot.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from . import driverchange, engine_restart, migration_compare, placement
from .adapters import (
    configfiles,
    container_files,
    loop_pool,
    mounts,
    services,
    store,
)
from .adapters.engine_import import ImportEngine
from .adapters.fingerprint import fingerprint
from .adapters.migration_journal import RESERVE_BYTES, Journal, release, reserve
from .engine_restart import Connect
from .errors import DockerstorageError, Incoherent, Refused
from .gather import Site, read_site
from .jobs import Job
from .migration import Plan
from .second_builder import release_new_pool

BEFORE = "before.json"


class Builder(Protocol):
    """Makes the new store in the migration's folder."""

    def stage(self, site: Site) -> None:
        """What can be made while the engine serves; may be called again."""

    def finish(self, site: Site) -> None:
        """The rest, from a store that nobody uses any more; may be called again."""

    def clear(self) -> None:
        """End what it keeps running."""


class Steps:
    """The steps of one migration. connect opens the host's engine."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        builder: Builder,
        connect: Connect,
        job: Job,
    ) -> None:
        self._plan, self._journal, self._builder = plan, journal, builder
        self._connect, self._job = connect, job
        self._change = driverchange.from_dict(plan.change)

    def do(self, name: str) -> dict[str, Any]:
        """Take a step; what it found out."""
        found: dict[str, Any] | None = getattr(self, f"_{name}")()
        return found or {}

    # -- forward

    def _stage(self) -> None:
        folder = placement.stage_folder(self._plan.root)
        folder.mkdir(mode=0o711, exist_ok=True)
        reserve(folder, RESERVE_BYTES)
        # As the engine says: a boot may have given a loop pool another name.
        site = read_site(self._connect().info())
        self._builder.stage(site)
        self._settle(site)

    def _settle(self, site: Site) -> None:
        """Have the engine mend the file systems that a loss of power left with an open log."""
        if site.pool is None:
            return
        ids = store.containers(site.root, site.driver)
        open_ = mounts.run_private(
            lambda: [one for one in ids if not mounts.is_settled(site, one)], self._job.cancel
        )
        for one in open_:
            self._connect().changed_paths(one)  # for this it mounts the container's layer

    def _stop(self) -> dict[str, Any]:
        if self._journal.kept(BEFORE) is None:
            work = store.work_under_way(self._plan.root, self._plan.source)
            if work:
                raise Refused("; ".join(work))
            self._journal.keep(BEFORE, objects(self._connect()))
        self._journal.add(facts={"blocked": True})
        services.prepare_block()
        services.block()
        stopped_at = time.time()
        self._end_engine()
        return {"stopped_at": stopped_at, "there": self._there()}

    def _graft(self) -> None:
        with loop_pool.readable(self._site(), self._plan.loop_block_sectors) as site:
            self._builder.finish(site)

    def _place(self) -> dict[str, Any]:
        placement.do(self._plan)
        return {"prints": prints(self._plan)}

    def _mark(self) -> None:
        for one in container_files.read_all(self._plan.root):
            if one.driver == self._plan.source:
                container_files.set_driver(self._plan.root, one.id, self._plan.target)

    def _configure(self) -> None:
        configfiles.apply(self._change, self._journal.folder / "configuration")

    def _start(self) -> None:
        services.unblock()
        engine_restart.start(self._connect, self._plan.target, was_reset=True)

    def _verify(self) -> dict[str, Any]:
        # Containers with a restart policy run already: no reason to let the others wait.
        failed = self._run_again()
        if failed:
            raise Incoherent("containers that ran", "started again", ", ".join(failed))
        running_at = time.time()
        progress = self._journal.read()
        there: Mapping[str, list[str]] = progress.facts.get("there", {}) if progress else {}
        now = objects(self._connect())
        found = migration_compare.differences(self._before(), now, there)
        if found:
            raise Incoherent("the engine's objects", "as before", "; ".join(found))
        services.remove_block()
        return {"running_at": running_at}

    # -- backward

    def roll_back(self, keep_new: bool) -> list[str]:
        """Give the host its old store back, from wherever the migration was.

        Returns the containers that ran before and cannot be started.
        """
        failed: list[str] = []
        progress = self._journal.read()
        assert progress is not None
        # The disk may be full: first what makes room, and is nobody's any more. If that fails it is
        # no reason to leave the engine down; the end sees to it again.
        release(self._journal.folder)
        release(placement.stage_folder(self._plan.root))
        with suppress(DockerstorageError, OSError):
            self._builder.clear()
            if not keep_new and "place" not in progress.begun:
                remove_stage(self._plan)
        if progress.downtime_began:
            if "running_at" in progress.facts and services.daemon() is not None:
                self._journal.add(facts={"stopped_at": time.time()})
            services.prepare_block()
            services.block()
            self._end_engine()
            configfiles.undo(self._change)
            self._unmark()
            placement.undo(self._plan)
            services.unblock()
            engine_restart.start(self._connect, self._plan.source)
            failed = self._run_again()
            services.remove_block()
        self._builder.clear()
        if not keep_new:
            remove_stage(self._plan)
        return failed

    def _unmark(self) -> None:
        """Containers of the old store go back to its driver; those made since stay as they are."""
        known = set(self._containers_of_old_store())
        for one in container_files.read_all(self._plan.root):
            if one.id in known:
                container_files.set_driver(self._plan.root, one.id, self._plan.source)

    def _containers_of_old_store(self) -> list[str]:
        plan = self._plan
        aside = placement.stage_folder(plan.root) / "aside"
        moved = (aside / "image" / plan.source).exists()
        return store.containers(str(aside if moved else plan.root), plan.source)

    # -- the engine

    def _run_again(self) -> list[str]:
        """Start what ran; what cannot be, and why."""
        before = self._before()
        self._job.turn_to("starting containers")
        ran = [
            engine_restart.ran(before["containers"][id_]) for id_ in migration_compare.ran(before)
        ]
        return engine_restart.run_again(self._connect(), ran)

    def _site(self) -> Site:
        return Site(self._plan.root, self._plan.source, self._plan.pool)

    def _before(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self._journal.kept(BEFORE)
        return found or {kind: {} for kind in migration_compare.KINDS}

    def _there(self) -> dict[str, list[str]]:
        """What the stopped engine still has: some objects end with it, as containers of --rm."""
        root, driver = self._plan.root, self._plan.source
        return {
            "images": store.image_ids(root, driver),
            "containers": [one.id for one in container_files.read_all(root)],
        }

    def _end_engine(self) -> None:
        """No daemon, no container and no mount of the store is left; raises Incoherent."""
        engine_restart.end_wholly(self._plan.root, (self._plan.source, self._plan.target))


def objects(engine: ImportEngine) -> dict[str, dict[str, Any]]:
    """Documents of all that the engine has, by kind and id."""
    ids = {
        "image": [one["Id"] for one in engine.images()],
        "container": engine.container_ids(),
        "volume": [one.name for one in engine.volumes()],
        "network": [one.id for one in engine.networks()],
    }
    return {
        f"{kind}s": {
            id_: found
            for id_ in dict.fromkeys(known)
            if (found := engine.document(kind, id_)) is not None
        }
        for kind, known in ids.items()
    }


def prints(plan: Plan) -> dict[str, str]:
    """What tells whether a container has written to its files, by id; overlay2 only."""
    if plan.target != "overlay2":
        return {}
    found = {}
    for id_ in store.containers(plan.root, plan.target):
        layer = store.container_hashes(plan.root, id_, plan.target)[0]
        found[id_] = fingerprint(Path(plan.root, plan.target, layer, "diff"))
    return found


def remove_stage(plan: Plan) -> None:
    """Remove the migration's folder, unless parts of the old store lie in it."""
    folder = placement.stage_folder(plan.root)
    if not placement.is_back(plan):
        raise Incoherent(str(folder), "no part of the old store", "its parts")
    if folder.exists():
        release_new_pool(plan, folder)
        shutil.rmtree(folder)
