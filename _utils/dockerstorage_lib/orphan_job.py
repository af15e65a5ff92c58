"""List the orphans of this host's devicemapper store, and remove them with its engine stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import engine_stop, orphan_look, orphan_pool, orphan_removal, orphans, poolview, report
from .adapters import dmsetup, services, store
from .adapters.records import Record
from .engine_restart import Connect
from .errors import EngineUnreachable, Incoherent, Refused
from .gather import Site, read_site
from .jobs import Job
from .orphan_sight import Sight
from .orphans import Orphan

#: An engine at work makes and removes within moments what looks like an orphan meanwhile.
SECOND_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Found:
    """The orphans of a store, and why none of them may be removed."""

    site: Site
    orphans: Sequence[Orphan]
    doubts: Sequence[str]
    running: bool

    @property
    def going(self) -> list[Orphan]:
        """Those that may be removed, in the order of their removal."""
        return [one for one in self.orphans if one.kept is None]


def look(connect: Connect, data_root: str | None) -> Found:
    """List the orphans, those of a running engine in two looks; raises Refused."""
    site, running = find_site(connect, data_root)
    seen = _sight(site, running)
    found = orphans.find(seen)
    if running and found:
        time.sleep(SECOND_LOOK_SECONDS)
        first = {one.key for one in found}
        seen = _sight(site, running)
        found = [one for one in orphans.find(seen) if one.key in first]
        found = orphans.weigh(found, seen.pool)
    return Found(site, found, orphans.doubts(seen), running)


def find_site(connect: Connect, data_root: str | None) -> tuple[Site, bool]:
    """Where the store is, and whether its engine runs; raises Refused if there is none."""
    running = services.daemon() is not None
    if running:
        try:
            site = read_site(connect(30).info())
        except EngineUnreachable as error:
            raise Refused(f"the engine runs and does not answer: see dockerstorage.recover; "
                          f"{error}") from None  # fmt: skip
    else:
        site = report.site_without_engine(data_root, [])
    if site.driver != store.DRIVER:
        raise Refused(
            f"the storage driver is {site.driver or 'not known'}: only {store.DRIVER} has thin "
            "devices, and orphans of this kind"
        )
    return site, running


def _sight(site: Site, running: bool) -> Sight:
    pool, transaction_id = orphan_pool.read(site)
    return orphan_look.look(site.root, site.pool, pool, transaction_id, running)


def check(found: Found, stop_docker: bool) -> None:
    """Raise Refused if they may not be removed."""
    if found.doubts:
        raise Refused(
            "what cannot be read might need what looks like an orphan: "
            f"{'; '.join(found.doubts)}. Mend that, or look at the list alone"
        )
    if found.going:
        engine_stop.check(found.site.root, found.site.driver, stop_docker)


def carry_out(connect: Connect, found: Found, job: Job) -> dict[str, Any]:
    """Remove what is still an orphan when the engine is stopped; the result as plain values."""
    if not found.going:
        return {**_result(found, found.orphans), **_started(connect, found)}
    record = _record(job.started_at, found)
    with engine_stop.stopped(connect, found.site.root, found.site.driver) as stop:
        done = _removed(found, record, job)
    return {**done, "stopped_seconds": stop.seconds, "not_running": list(stop.not_running)}


def _started(connect: Connect, found: Found) -> dict[str, Any]:
    """Start an engine that a run stopped which was killed when nothing but this was left to do."""
    if found.running or not engine_stop.NOTE.exists():
        return {}
    with engine_stop.stopped(connect, found.site.root, found.site.driver) as stop:
        orphan_removal.clear_aside(found.site.root)
    return {"stopped_seconds": stop.seconds, "not_running": list(stop.not_running)}


def _record(now: float, found: Found) -> Record:
    try:
        record = Record("orphans", now)
        record.note(plan=[as_dict(one) for one in found.orphans])
        return record
    except OSError as error:
        raise Refused(f"no record can be kept of what is removed: {error}") from None


def _removed(found: Found, record: Record, job: Job) -> dict[str, Any]:
    pool_now = poolview.find_pool_name(found.site.root)
    site = replace(found.site, pool=pool_now)
    with orphan_pool.settled(site, record.folder / "metadata") as pool:
        return _remove_from(replace(site, pool=pool), found, record, job)


def _remove_from(site: Site, found: Found, record: Record, job: Job) -> dict[str, Any]:
    planned = {one.key for one in found.going}
    seen = _sight(site, running=False)
    now = orphans.find(seen)
    check(replace(found, site=site, orphans=now, doubts=orphans.doubts(seen)), True)
    # Without the new ones each frees another count, since what they share stays.
    going = [one for one in now if one.kept is None and one.key in planned]
    going = orphans.weigh(going, seen.pool)
    orphan_removal.keep(site.root, going, record)
    before = _used_bytes(str(site.pool))
    orphan_removal.remove(
        site.root, str(site.pool), going, record, lambda one: job.turn_to(one.name)
    )
    freed = before - _used_bytes(str(site.pool))
    predicted = sum(one.freed_bytes for one in going)
    record.note(bytes_predicted=predicted, bytes_freed=freed)
    _verify(site, going, predicted, freed)
    result = _result(found, now)
    return {
        **result,
        "removed": [as_dict(one) for one in going],
        "gone": _gone(found.going, now),
        "new": [as_dict(one) for one in now if one.kept is None and one.key not in planned],
        "bytes_predicted": predicted,
        "bytes_freed": freed,
        "record": str(record.folder),
    }


def _gone(planned: Sequence[Orphan], now: Sequence[Orphan]) -> list[dict[str, Any]]:
    """Those that were planned and are none any more: an engine that ends in order removes some."""
    left = {one.key for one in now}
    return [as_dict(one) for one in planned if one.key not in left]


def _verify(site: Site, going: Sequence[Orphan], predicted: int, freed: int) -> None:
    gone = {one.key for one in going}
    left = [one.name for one in orphans.find(_sight(site, running=False)) if one.key in gone]
    if left:
        raise Incoherent("orphans that were removed", "none left", ", ".join(left))
    if freed != predicted:
        raise Incoherent("bytes that went free in the pool", predicted, freed)


def _used_bytes(pool: str) -> int:
    dmsetup.commit_pool(pool)
    blocks = orphan_pool.status(pool).used_data_blocks
    return blocks * dmsetup.pool_table(pool).data_block_bytes


def listed(found: Found) -> dict[str, Any]:
    """What a removal would do, as plain values."""
    return _result(found, found.orphans)


def _result(found: Found, seen: Sequence[Orphan]) -> dict[str, Any]:
    going = [one for one in seen if one.kept is None]
    return {
        "data_root": found.site.root,
        "orphans": [as_dict(one) for one in seen],
        "bytes": sum(one.freed_bytes for one in going),
        "doubts": list(found.doubts),
        "kept": [as_dict(one) for one in seen if one.kept is not None],
        "removed": [],
        "gone": [],
        "new": [],
        "bytes_predicted": sum(one.freed_bytes for one in going),
        "bytes_freed": 0,
        "record": None,
        "stopped_seconds": 0.0,
        "not_running": [],
    }


def as_dict(one: Orphan) -> dict[str, Any]:
    """An orphan as plain values."""
    return {
        "class": one.kind,
        "name": one.name,
        "paths": list(one.paths),
        "device_ids": list(one.device_ids),
        "bytes": one.freed_bytes,
        "evidence": one.evidence,
        "kept": one.kept,
    }
