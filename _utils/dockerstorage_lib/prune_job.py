"""A prune from the first look to the last: see, plan, act, look again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import poolview, summary
from .adapters import dmioctl, dmsetup, store
from .adapters.engine import Engine
from .adapters.migration_journal import Journal
from .devmapper import ThinPoolStatus
from .errors import BadInput, EngineUnreachable, Refused
from .gather import Site, read_inventory, read_site, weigh
from .objects import Object
from .policy import Policy
from .prune import Plan, plan_prune
from .removal import Outcome, apply_prune

#: States of a pool in which nothing can be freed by removing.
HOPELESS = ("read_only", "needs_check", "failed")


@dataclass(frozen=True)
class Prepared:
    """A prune that has been planned and not begun."""

    site: Site
    plan: Plan
    #: "pool blocks" (exact) or "engine's estimate"
    bytes_source: str
    pool: dict[str, Any] | None
    free_bytes: int
    #: Why nothing of the plan is to be carried out now; None if it is.
    stopped: str | None


def prepare(engine: Engine, policy: Policy, now: float) -> Prepared:
    """Look and plan; raises Refused when nothing may be removed on this host."""
    site = read_site(engine.info())
    _refuse_open_migration()
    _refuse_hidden_store(site)
    if policy.until_percent is not None and site.pool is None:
        raise BadInput(
            f"until_percent: the storage driver is {site.driver}, and only devicemapper has a "
            "pool to measure; leave the argument out"
        )
    _refuse_sick_pool(site)
    inventory = read_inventory(engine, site, with_cache=policy.build_cache)
    plan, source = weigh(plan_prune(inventory, policy, now), engine, site)
    pool = poolview.cheap_figures(site.pool) if site.pool else None
    stopped = _enough(site, policy.until_percent)
    return Prepared(site, plan, source, pool, store.free_bytes(site.root), stopped)


def reclaimable_bytes(engine: Engine, policy: Policy, now: float) -> int:
    """What a prune would free now; raises as it would."""
    prepared = prepare(engine, policy, now)
    return 0 if prepared.stopped else _total(one.bytes for one in prepared.plan.remove)


def carry_out(
    prepared: Prepared,
    policy: Policy,
    engine: Engine,
    on_progress: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Remove what was planned and tell what became of it.

    Raises EngineUnreachable, naming what was removed by then, if the engine goes away.
    """
    total = len(prepared.plan.remove)

    def enough() -> str | None:
        return _enough(prepared.site, policy.until_percent)

    def progress(outcome: Outcome) -> None:
        done = len(outcome.removed) + len(outcome.skipped)
        on_progress({"done": done, "total": total, "removed": len(outcome.removed)})

    outcome = apply_prune(prepared.plan, engine, enough, progress)
    if outcome.broken_off:
        gone = ", ".join(f"{one.seen.kind} {one.seen.name}" for one in outcome.removed)
        raise EngineUnreachable(
            f"after {len(outcome.removed)} of {total} removals: {outcome.stopped}. "
            f"Removed: {gone or 'nothing'}. Run the prune again when the engine is back"
        )
    return as_dict(prepared, outcome)


def as_dict(prepared: Prepared, outcome: Outcome | None = None) -> dict[str, Any]:
    """A prune as plain values; without an outcome it was planned only."""
    plan = prepared.plan
    result: dict[str, Any] = {
        "test": outcome is None,
        "plan": {
            "remove": [_item(one.seen, reason=one.reason, bytes=one.bytes) for one in plan.remove],
            "keep": [_item(one.seen, reason=one.reason) for one in plan.keep],
        },
        "removed": [],
        "skipped": [],
        "stopped": prepared.stopped,
        "bytes_predicted": _total(one.bytes for one in plan.remove),
        "bytes_source": prepared.bytes_source,
        "bytes_freed": 0,
        "pool": {"before": prepared.pool, "after": prepared.pool},
    }
    if outcome is not None:
        name = prepared.site.pool
        after = poolview.cheap_figures(name) if name else None
        result |= {
            "removed": [
                _item(one.seen, reason=one.reason, bytes=one.bytes) for one in outcome.removed
            ],
            "skipped": [_item(one.removal.seen, why=one.why) for one in outcome.skipped],
            "stopped": outcome.stopped,
            "bytes_freed": _freed(prepared, after),
            "pool": {"before": prepared.pool, "after": after},
        }
    result["summary"] = summary.prune_lines(result)
    return result


def _refuse_open_migration() -> None:
    progress = Journal().read()
    if progress is not None:
        raise Refused(
            f"the migration from {progress.plan.source} to {progress.plan.target} is not over: "
            "its other store still needs volumes and networks that look unused. See "
            "dockerstorage.migration, and commit it or roll it back first"
        )


def _refuse_hidden_store(site: Site) -> None:
    hidden = store.hidden_store(site.root, site.driver)
    if hidden is not None:
        raise Refused(
            f"a devicemapper store with {hidden.images} images and {hidden.containers} containers "
            f"lies in {hidden.path}, and the engine, now on {site.driver}, does not see it: its "
            "containers' volumes and networks would look unused. Take all out of the store with "
            "dockerstorage.rescue, or go back to Docker 24 or older, and remove the store first"
        )


def _refuse_sick_pool(site: Site) -> None:
    health = dmsetup.pool_status(site.pool).health if site.pool else "ok"
    if health in HOPELESS:
        raise Refused(
            f"the thin pool {site.pool} is {health}: removing frees nothing there and can make it "
            "worse. 'dockerstorage.report' says how to mend it"
        )


def _enough(site: Site, until_percent: float | None) -> str | None:
    """Why to stop before the next removal, by the pool as it is now."""
    if site.pool is None:
        return None
    status = dmioctl.pool_status(site.pool)
    if status.health in HOPELESS:
        return f"the pool became {status.health}"
    if until_percent is None or not isinstance(status, ThinPoolStatus):
        return None
    if status.fullest_percent <= until_percent:
        return f"the pool is at {status.fullest_percent:g} %, at or below {until_percent:g} %"
    return None


def _freed(prepared: Prepared, after: dict[str, Any] | None) -> int:
    if prepared.pool is None or after is None or after["data"] is None:
        return max(store.free_bytes(prepared.site.root) - prepared.free_bytes, 0)
    return int(prepared.pool["data"]["used_bytes"] - after["data"]["used_bytes"])


def _item(seen: Object, **more: Any) -> dict[str, Any]:
    return {"kind": seen.kind, "id": seen.id, "name": seen.name, **more}


def _total(sizes: Iterable[int | None]) -> int:
    return sum(size or 0 for size in sizes)
