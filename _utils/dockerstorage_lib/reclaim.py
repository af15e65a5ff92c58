"""Give back to the file system what a loop-lvm pool's data file holds and no device maps."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import Any

from . import engine_stop, migrate, reclaim_place, reclaim_trim, summary
from .adapters import cold_pool, dmsetup, holes, hostfiles, services, store
from .adapters.durable import write_file
from .adapters.holes import Lease
from .adapters.records import FOLDER, Record
from .byteranges import total
from .engine_restart import Connect
from .errors import CommandFailed, Incoherent, Refused
from .jobs import Job
from .reclaim_place import Place
from .reclaim_plan import ReclaimPlan, pieces

#: What a copy of the metadata and a record may need beyond the metadata's own blocks.
SPARE_BYTES = 4 << 20
_SUPERBLOCK_BYTES = 4096


def preview(place: Place) -> dict[str, Any]:
    """What a run would give back, by the mappings as they are now; nothing is changed."""
    plan = reclaim_place.plan_now(place)
    found = {**_figures(plan), "allocated_bytes_after": None, "freed_bytes": plan.freed_bytes}
    return _result(place, {"test": True, "needs_stop": place.is_served, **found})


def run(
    place: Place, connect: Connect, stop_docker: bool, trim: bool, now: float, job: Job
) -> dict[str, Any]:
    """Trim if wanted, then make the holes, as far as the engine need not run or may be stopped."""
    with migrate.alone():
        only_trim = trim and place.is_served and not stop_docker
        if not only_trim:
            _check(place, stop_docker)
        found: dict[str, Any] = {"test": False}
        if trim:
            found["allocated_bytes_before"] = place.allocated_bytes()
            found["trimmed"] = [one.as_dict() for one in reclaim_trim.trim_all(place, connect, job)]
        if only_trim:
            found["allocated_bytes_after"] = place.allocated_bytes()
        else:
            # What is trimmed counts as given back, too.
            found = {**_give_back(place, connect, now, job), **found}
        found["freed_bytes"] = found["allocated_bytes_before"] - found["allocated_bytes_after"]
        return _result(place, found)


def _check(place: Place, stop_docker: bool) -> None:
    """Raise Refused if holes cannot be made as things stand."""
    if services.BLOCK.exists():
        raise Refused(
            "a migration keeps the engine from starting: end that first, see "
            "'dockerstorage.migration'"
        )
    if place.is_served:
        engine_stop.check(place.root, store.DRIVER, stop_docker)
    elif place.is_active and not stop_docker:
        raise Refused(
            f"the pool {place.pool} is active though no engine serves it, and containers may have "
            "outlived theirs: say stop_docker=True, and they are ended"
        )
    needed = SPARE_BYTES
    file = hostfiles.sparse_file(str(place.metadata))
    needed += file.allocated_bytes if file else 0
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    if store.free_bytes(str(FOLDER)) < needed:
        raise Refused(
            f"{FOLDER} needs {summary.human_bytes(needed)} for a copy of the pool's metadata, and "
            "its file system has less free: make so much room there first"
        )


def _give_back(place: Place, connect: Connect, now: float, job: Job) -> dict[str, Any]:
    """Make the holes, with the engine stopped if it serves the pool."""
    if place.is_active:
        job.turn_to("looking")
        plan = reclaim_place.plan_now(place)
        if not plan.holes:
            return _figures(plan)  # nothing is worth a stop
    record = Record("reclaim", now)
    if services.daemon() is not None and not place.is_served:
        return _holes(place, record, job)  # it is another store's engine
    job.turn_to("stopping the engine")
    with engine_stop.stopped(connect, place.root, store.DRIVER) as stop:
        _deactivate(place)
        found = _holes(place, record, job)
        job.turn_to("starting the engine")
    if stop.was_running:
        found |= {"stopped_seconds": stop.seconds, "not_running": stop.not_running}
    return found


def _deactivate(place: Place) -> None:
    """Remove the pool that an engine left which was killed, or lets containers live on.

    As the engine does when it ends: the kernel writes all of the pool's metadata first, and does
    nothing for a pool that is in use.
    """
    if place.is_active:
        with suppress(CommandFailed):
            dmsetup.remove(place.pool)


def _holes(place: Place, record: Record, job: Job) -> dict[str, Any]:
    copy = record.folder / "metadata"
    with reclaim_place.nobodys(place) as lease:
        job.turn_to("reading the mappings")
        plan = reclaim_place.plan_inactive(place, lease, copy)
        digest = cold_pool.digest(copy)
        head = copy.read_bytes()[:_SUPERBLOCK_BYTES]
        _write_down(record, place, plan, digest)
        job.total_bytes = total(plan.holes)
        job.turn_to("making holes")
        for at, count in pieces(plan.holes):
            _recheck(place, lease, head)
            _punch(lease, at, count, place)
            job.advance(count)
        os.fsync(lease.descriptor)
        _verify(place, plan, lease, digest)
    record.note(end=plan.freed_bytes)
    copy.unlink()  # its room is what was wanted; the holes are written down
    return {"record": str(record.folder), **_figures(plan)}


def _write_down(record: Record, place: Place, plan: ReclaimPlan, digest: str) -> None:
    """Tell what is about to be done, on disk before it is."""
    write_file(record.folder / "holes.json", json.dumps(plan.holes).encode(), 0o600)
    record.note(
        data_file=str(place.data),
        metadata_digest=digest,
        allocated_bytes=plan.allocated_bytes,
        freed_bytes=plan.freed_bytes,
        holes=len(plan.holes),
    )


def _recheck(place: Place, lease: Lease, head: bytes) -> None:
    """Raise Incoherent if the mappings may be others by now than those of the plan."""
    lease.check()
    if place.is_active:
        raise Incoherent(f"the pool {place.pool}", "inactive", "active")
    # Each change of mappings ends with a new first block.
    with cold_pool.opened(place.metadata) as metadata:
        if os.pread(metadata, _SUPERBLOCK_BYTES, 0) != head:
            raise Incoherent(str(place.metadata), "as it was read", "changed since")


def _punch(lease: Lease, at: int, count: int, place: Place) -> None:
    try:
        holes.punch(lease.descriptor, at, count)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise Refused(
            f"the file system of {place.data} makes no holes in files: nothing can be given back "
            "there; see 'dockerstorage.migrate'"
        ) from None


def _verify(place: Place, plan: ReclaimPlan, lease: Lease, digest: str) -> None:
    """Raise Incoherent if anything is other than planned."""
    found = holes.extents(lease.descriptor)
    if found != plan.extents_after:
        expected = f"{total(plan.extents_after)} bytes on disk in {len(plan.extents_after)} parts"
        raise Incoherent(str(place.data), expected, f"{total(found)} bytes in {len(found)} parts")
    now = cold_pool.digest(place.metadata)
    if now != digest:
        raise Incoherent(str(place.metadata), f"digest {digest}", now)


def _figures(plan: ReclaimPlan) -> dict[str, Any]:
    """The figures of a plan that was carried out."""
    after = total(plan.extents_after)
    return {
        "allocated_bytes_before": plan.allocated_bytes,
        "allocated_bytes_after": after,
        "allocated_bytes_predicted": after,
    }


def _result(place: Place, found: dict[str, Any]) -> dict[str, Any]:
    whole = {
        "data_file": str(place.data),
        "allocated_bytes_predicted": None,
        "trimmed": [],
        "stopped_seconds": None,
        "not_running": [],
        "record": None,
        **found,
    }
    return {**whole, "summary": summary.reclaim_lines(whole)}
