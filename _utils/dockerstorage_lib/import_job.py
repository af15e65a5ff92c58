"""An import from the first look to the last: read, check, plan, act, look again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import import_journal, poolview, verification
from .adapters import mounts, store, volumedir
from .adapters.engine_import import ImportEngine
from .bundle import Manifest
from .docker_archive import Batch
from .errors import BrokenOff, DockerstorageError, Refused
from .gather import read_inventory, read_site
from .import_choice import Choice, Contents, choose
from .import_containers import import_containers, remove_leftovers
from .import_images import import_images
from .import_options import Options
from .import_places import import_networks, import_volumes
from .import_plan import ImportPlan, named_volumes, plan_import, refuse_conflicts
from .import_result import as_dict
from .import_room import loads, refuse_without_room, weigh
from .import_source import Source
from .import_start import start_containers
from .import_work import Work
from .import_world import Mark, World, pool_free, refuse_other_owners
from .jobs import Job
from .prune_job import HOPELESS

#: Storage drivers whose container layers can be written to.
DRIVERS = ("devicemapper", "overlay2", "vfs", "btrfs")


@dataclass(frozen=True)
class Prepared:
    """An import that has been planned and not begun."""

    path: Path
    contents: Contents
    options: Options
    world: World
    plan: ImportPlan
    loads: tuple[Batch, ...]


def prepare(path: Path, options: Options, engine: ImportEngine) -> Prepared:
    """Look and plan; raises Damaged, BadInput or Refused, with nothing changed."""
    manifest = verification.load(path)
    contents = Source(path).contents(manifest)
    choice = choose(contents, options)
    world = look(engine, manifest, choice, options)
    refuse_other_owners(contents.documents.values(), world.site.root)
    plan = weigh(plan_import(contents, choice, options, world), contents, world)
    return Prepared(path, contents, options, world, plan, tuple(loads(plan, contents, world)))


def look(engine: ImportEngine, manifest: Manifest, choice: Choice, options: Options) -> World:
    """See what is on this host; raises Refused for an engine that cannot be imported into."""
    if not engine.is_local:
        raise Refused("an import writes into the engine's data root: run it on the engine's host")
    info = engine.info()
    site = read_site(info)
    _refuse_engine(site.driver, info)
    pool = poolview.cheap_figures(site.pool) if site.pool else None
    if pool is not None and pool["health"] in HOPELESS:
        raise Refused(f"the thin pool {site.pool} is {pool['health']}: 'dockerstorage.report' "
                      "says how to mend it")  # fmt: skip
    volumes = engine.volume_documents()
    marks = {}
    for record in choice.volumes:
        name = options.new_name("volume", record.name)
        if name in volumes and volumes[name]["Driver"] == "local":
            folder = volumedir.folder(site.root, name, volumes[name]["Mountpoint"])
            state = volumedir.read_mark(folder, manifest.id)
            marks[name] = Mark(state, volumedir.is_empty(folder))
    return World(
        site=site,
        inventory=read_inventory(engine, site, with_cache=False),
        networks=tuple(engine.network_documents()),
        volumes=volumes,
        history=import_journal.read(manifest.id),
        marks=marks,
        free_bytes=store.free_bytes(site.root),
        pool_free_bytes=pool_free(pool),
    )


def _refuse_engine(driver: str, info: dict[str, Any]) -> None:
    if any("containerd.snapshotter" in str(row) for row in info.get("DriverStatus") or ()):
        raise Refused(
            "the engine keeps images in containerd's store, which gives them other ids: switch it "
            "off ('features': {'containerd-snapshotter': false} in daemon.json) to import"
        )
    if driver not in DRIVERS:
        raise Refused(
            f"the storage driver is {driver}: the files of containers can be put back with "
            f"{', '.join(DRIVERS)} alone"
        )


def planned(prepared: Prepared) -> dict[str, Any]:
    """What an import would do, as plain values."""
    return as_dict(prepared.path, prepared.contents.manifest, prepared.plan)


def carry_out(prepared: Prepared, engine: ImportEngine, job: Job) -> dict[str, Any]:
    """Verify, then make what was planned, and tell what became of it.

    Raises Refused or Damaged with nothing changed; BrokenOff, naming what was made, for what goes
    wrong later.
    """
    refuse_conflicts(prepared.plan)
    refuse_without_room(prepared.plan, prepared.contents, prepared.world)
    source = Source(prepared.path, job)
    # All is read twice: once before anything is made of it.
    job.total_bytes = 2 * sum(step.bytes for step in prepared.plan.steps)
    source.verify(prepared.plan, prepared.contents.manifest, prepared.loads)
    with import_journal.Journal(prepared.contents.manifest.id) as journal:
        work = Work(
            plan=prepared.plan,
            contents=prepared.contents,
            options=prepared.options,
            world=prepared.world,
            engine=engine,
            source=source,
            journal=journal,
            job=job,
            named_volumes=named_volumes(prepared.plan.choice, prepared.contents),
        )
        mounts.run_private(lambda: _run(work), job.cancel)
    return as_dict(prepared.path, prepared.contents.manifest, prepared.plan, work)


def _run(work: Work) -> None:
    try:
        remove_leftovers(work)
        import_images(work)
        import_networks(work)
        import_volumes(work)
        import_containers(work)
        if work.options.start:
            start_containers(work)
    except (DockerstorageError, OSError) as error:
        done = [f"{step.kind} {step.new_name}" for step, _ in work.outcome.imported]
        raise BrokenOff("import", str(error), done) from None
