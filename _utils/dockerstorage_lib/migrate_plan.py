"""Look whether a host can be moved to another storage driver, and plan it. Nothing is changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import driverchange, driverconflicts, drivers, export_plan, placement, poolview, summary
from .adapters import configfiles, container_files, dmsetup, kernelfacts, store
from .adapters.engine_import import ImportEngine
from .adapters.migration_journal import Journal
from .driveroptions import check_driver
from .driversettings import Configuration
from .errors import BadInput, Refused
from .gather import Site, read_inventory, read_site
from .migration import METHODS, STEPS, Plan
from .objects import Inventory
from .second_builder import new_pool
from .summary import human_bytes

#: Whose files on disk are known.
OLDEST_ENGINE = (1, 13)
#: Kept free on the data root's file system beyond what is written.
RESERVE_BYTES = 256 << 20
#: Pessimistic, for the estimates: layers of small files on a slow disk.
BYTES_PER_SECOND = 20 << 20
SECONDS_TO_RESTART = 5
SWARM_TASK = "com.docker.swarm.task.id"


@dataclass(frozen=True)
class Prepared:
    """A plan, and what speaks for and against it."""

    plan: Plan
    #: Why it is refused.
    obstacles: tuple[str, ...]
    notes: tuple[str, ...]
    layer_bytes: int
    container_bytes: int
    free_bytes: int
    #: The longest that the engine waits for a container's end.
    stop_seconds: int


def read_method(method: object, source: str, target: str) -> str:
    """The method to use; raises BadInput or Refused."""
    possible = source == store.DRIVER and target == "overlay2"
    if method is None:
        return "graft" if possible else "bundle"
    if method not in METHODS:
        raise BadInput(f"method cannot be {method!r}: it is {' or '.join(METHODS)}")
    if method == "graft" and not possible:
        raise Refused(
            f"a graft leads from devicemapper to overlay2, not from {source} to {target}: say "
            "method=bundle"
        )
    return str(method)


def prepare(
    engine: ImportEngine,
    driver: object,
    options: list[str] | None,
    method: object,
    now: float,
    force: bool,
) -> Prepared:
    """Look at everything; raises BadInput for arguments, Refused for what cannot be planned."""
    target = check_driver(driver)
    if not engine.is_local:
        raise Refused("the engine runs on another host: call the minion there")
    info = engine.info()
    site = read_site(info)
    configuration = configfiles.read()
    change = driverchange.plan_change(configuration, target, options)
    chosen = read_method(method, site.driver, target)
    plan = Plan(
        id=uuid.uuid4().hex,
        root=site.root,
        source=site.driver,
        target=target,
        options=change.options,
        method=chosen,
        engine_version=info["ServerVersion"],
        created_at=now,
        change=driverchange.as_dict(change),
        pool=site.pool,
        loop_block_sectors=_loop_block_sectors(site),
        leftovers=_empty_store(site, target),
    )
    inventory = read_inventory(engine, site, with_cache=False)
    layers, containers = _bytes(inventory, engine, site)
    files = container_files.read_all(site.root)
    obstacles = [
        *_configured(configuration, site.driver),
        *_supported(plan),
        *_leftovers(plan),
        *_engine(info, plan),
        *_pool(site),
        *_objects(files, force),
        *store.work_under_way(site.root, site.driver),
        *_room(plan, layers + containers),
        *_same_pool(plan),
    ]
    configfiles.validate(configuration, change)
    return Prepared(
        plan,
        tuple(obstacles),
        change.notes,
        layers,
        containers,
        store.free_bytes(site.root),
        max((one.stop_seconds for one in files if one.pid), default=0),
    )


def _loop_block_sectors(site: Site) -> int | None:
    if site.pool is None or not poolview.loop_files(site.root):
        return None
    return dmsetup.pool_table(site.pool).data_block_sectors


def _bytes(inventory: Inventory, engine: ImportEngine, site: Site) -> tuple[int, int]:
    """Bytes of all layers, each once, and of what containers changed."""
    layers = sum(export_plan.layer_sizes(inventory, site).values())
    own = export_plan.container_sizes(inventory, engine, site)
    return layers, sum(own.values())


def _configured(configuration: Configuration, driver: str) -> Iterator[str]:
    """A daemon that does not run as it is configured would come up otherwise than it went down."""
    for one in driverconflicts.find_conflicts(configuration, driver):
        yield f"{one.text} {one.remedy}"


def _supported(plan: Plan) -> Iterator[str]:
    verdicts, _ = drivers.judge(kernelfacts.facts(plan.root, plan.engine_version))
    for one in verdicts:
        if one.name == plan.target and not one.supported:
            yield f"this host cannot run {plan.target}: {'; '.join(one.why_not)}"


def _leftovers(plan: Plan) -> Iterator[str]:
    if Journal().read() is not None:
        yield (
            "another migration is not over: see dockerstorage.migration, then commit it or roll "
            "it back"
        )
    elif placement.stage_folder(plan.root).exists():
        yield (
            f"{placement.stage_folder(plan.root)} is left of a migration that this host knows "
            "nothing of any more: look what is in it, then remove it"
        )
    root = plan.root
    if plan.source != plan.target and _holds_anything(root, plan.target):
        yield (
            f"{root}/{plan.target} and {root}/image/{plan.target} are a second store with images "
            "or containers, which the engine does not see. Export what matters of it with an "
            "engine on that driver, then move both away"
        )


def _empty_store(site: Site, target: str) -> tuple[str, ...]:
    """Parts of a store that an engine once began and put nothing into."""
    if site.driver == target or _holds_anything(site.root, target):
        return ()
    return tuple(one for one in placement.new_parts(target) if Path(site.root, one).exists())


def _holds_anything(root: str, driver: str) -> bool:
    return bool(store.image_ids(root, driver) or store.containers(root, driver))


def _engine(info: dict[str, Any], plan: Plan) -> Iterator[str]:
    version = tuple(int(part) for part in plan.engine_version.split(".")[:2] if part.isdigit())
    if version and version < OLDEST_ENGINE:
        yield f"Docker {plan.engine_version} is too old: upgrade it to 1.13 or newer first"
    if (info.get("Swarm") or {}).get("LocalNodeState") not in (None, "", "inactive"):
        yield (
            "the host is a node of a swarm: drain it (docker node update --availability drain) "
            "and take it out (docker swarm leave) for the time of the migration"
        )


def _pool(site: Site) -> Iterator[str]:
    if site.pool is not None:
        health = poolview.cheap_figures(site.pool)["health"]
        if health != "ok":
            yield f"the thin pool {site.pool} is {health}: see dockerstorage.recover first"


def _objects(files: list[container_files.ContainerFile], force: bool) -> Iterator[str]:
    for one in files:
        if SWARM_TASK in one.labels:
            yield f"container {one.name} is a task of a swarm: drain this node first"
        if one.auto_remove and one.pid and not force:
            yield (
                f"container {one.name} was started with --rm: the engine removes it when it is "
                "stopped. Stop it yourself, or say force=True to lose it"
            )


def _same_pool(plan: Plan) -> Iterator[str]:
    if plan.pool is not None and new_pool(plan) == plan.pool:
        yield (
            f"the new store would lie in the pool of the old one, {plan.pool}: make another pool "
            "(state dockerstorage.thinpool) and say options=dm.thinpooldev=/dev/mapper/..."
        )


def _room(plan: Plan, needed: int) -> Iterator[str]:
    if plan.method == "bundle":
        needed *= 2  # the bundle of images, which goes as soon as they are loaded
    free = store.free_bytes(plan.root)
    if free < needed + RESERVE_BYTES:
        yield (
            f"{plan.root} has {human_bytes(free)} free, and the new store needs "
            f"{human_bytes(needed)} and a reserve of {human_bytes(RESERVE_BYTES)}: prune "
            "(dockerstorage.prune), or extend its file system"
        )


def refuse(prepared: Prepared) -> None:
    """Raise Refused with all that speaks against it."""
    if prepared.obstacles:
        raise Refused(
            f"this host cannot be moved to {prepared.plan.target} as it is; nothing was changed. "
            + " -- ".join(prepared.obstacles)
        )


def as_dict(prepared: Prepared) -> dict[str, Any]:
    """What ``migrate`` returns in test mode."""
    plan = prepared.plan
    online = prepared.layer_bytes / BYTES_PER_SECOND
    down = prepared.container_bytes / BYTES_PER_SECOND + SECONDS_TO_RESTART
    found: dict[str, Any] = {
        "test": True,
        "from": plan.source,
        "to": plan.target,
        "method": plan.method,
        "possible": not prepared.obstacles,
        "obstacles": list(prepared.obstacles),
        "notes": list(prepared.notes),
        "files": [one["path"] for one in plan.change["files"]],
        "layer_bytes": prepared.layer_bytes,
        "container_bytes": prepared.container_bytes,
        "free_bytes": prepared.free_bytes,
        "estimated_seconds": round(online + down + prepared.stop_seconds),
        "estimated_downtime_seconds": round(down + prepared.stop_seconds),
        "steps": [{"step": name, "what": what} for name, what in STEPS.items()],
    }
    return {**found, "summary": summary.migration_plan_lines(found)}
