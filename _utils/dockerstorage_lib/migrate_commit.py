"""Remove the store that a migration left behind: the old one, or a new one that was given up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import migration, placement, thin_cleanup
from .adapters import container_files, store
from .adapters.migration_journal import Journal
from .engine_restart import Connect
from .errors import Damaged, Refused
from .export_plan import allocated_bytes
from .graft import check_layer
from .jobs import Job
from .migrate import alone
from .migrate_steps import BEFORE, objects
from .migration import Plan, Progress
from .second_builder import release_new_pool


def run(connect: Connect, job: Job | None) -> dict[str, Any]:
    """Check, then remove; without a job only check, and tell what would go. Raises Refused."""
    journal = Journal()
    with alone():
        progress = journal.read()
        if progress is None or progress.outcome not in (migration.SWITCHED, migration.ABANDONED):
            raise Refused("there is no migration that could be committed")
        plan = progress.plan
        kept = _kept_driver(progress)
        problems = list(_problems(progress, journal, connect, job))
        if problems:
            raise Refused(
                f"nothing is removed, since {kept} does not verify: {'; '.join(problems)}. Mend "
                "that, or go back (dockerstorage.migrate rollback=True)"
            )
        doomed = _doomed(progress)
        devices = _devices(plan) if progress.outcome == migration.SWITCHED else []
        freed = sum(map(allocated_bytes, doomed)) + thin_cleanup.mapped_bytes(
            plan.pool or "", devices
        )
        # One that was cut has given back a part already.
        freed = int(progress.facts.get("bytes_freed", freed))
        result = {
            "test": job is None,
            "driver": kept,
            "removed": [str(path) for path in doomed],
            "thin_devices": len(devices),
            "bytes_freed": freed,
        }
        if job is not None:
            journal.add(begin=migration.COMMIT, facts={"bytes_freed": freed})
            if progress.outcome == migration.ABANDONED:
                release_new_pool(plan, placement.stage_folder(plan.root))
            elif devices and plan.pool is not None:
                thin_cleanup.release(plan.pool, devices)
            for path in doomed:
                shutil.rmtree(path)
            journal.add(outcome=migration.COMMITTED)
            result["record"] = str(journal.close(plan.id))
        return result


def _kept_driver(progress: Progress) -> str:
    plan = progress.plan
    return plan.target if progress.outcome == migration.SWITCHED else plan.source


def _problems(
    progress: Progress, journal: Journal, connect: Connect, job: Job | None
) -> Iterator[str]:
    """What is wrong with the store that stays."""
    plan, driver = progress.plan, _kept_driver(progress)
    if progress.outcome == migration.ABANDONED and not placement.is_back(plan):
        yield f"parts of the old store lie in {placement.stage_folder(plan.root)}"
        return
    engine = connect()
    info = engine.info()
    if info["Driver"] != driver:
        yield f"the engine runs on {info['Driver']}"
        return
    before, now = journal.kept(BEFORE), objects(engine)
    # What the operator has removed since is gone from the disk as well.
    there = {
        "containers": [one.id for one in container_files.read_all(plan.root)],
        "images": store.image_ids(plan.root, driver),
    }
    for kind in ("containers", "images"):
        for id_ in there[kind]:
            if id_ in before[kind] and id_ not in now[kind]:
                yield f"{kind[:-1]} {id_} is on disk, and the engine does not have it"
    if progress.outcome == migration.SWITCHED and driver == "overlay2":
        yield from _damaged_layers(plan, job)


def _damaged_layers(plan: Plan, job: Job | None) -> Iterator[str]:
    folder = Path(plan.root, "image", plan.target, "layerdb", "sha256")
    for path in sorted(folder.iterdir()):
        chain = f"sha256:{path.name}"
        hash_ = store.layer_hash(plan.root, chain, plan.target)
        if job is not None:
            job.turn_to(f"layer {chain}")
        if hash_ is None or "-" in path.name:
            continue
        try:
            check_layer(plan.root, plan.target, chain, Path(plan.root, plan.target, hash_, "diff"))
        except Damaged as error:
            yield str(error)


def _doomed(progress: Progress) -> list[Path]:
    plan = progress.plan
    paths = [placement.stage_folder(plan.root)]
    if progress.outcome == migration.SWITCHED:
        paths += placement.old_store(plan)
    return [path for path in paths if path.exists()]


def _devices(plan: Plan) -> list[int]:
    """Thin devices of the old store, in a pool that is not the engine's to remove."""
    if plan.pool is None or plan.loop_block_sectors is not None:
        return []
    aside = placement.stage_folder(plan.root) / "aside"
    moved = plan.source == plan.target
    records = store.device_records(str(aside if moved else plan.root))
    return [one.device_id for one in records.values()]
