"""Bring a declared storage driver about where that hides nothing; put back what does not start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from . import driverplan, driversight, engine_restart
from .adapters import configfiles, pending_change, services
from .adapters.pending_change import Pending
from .adapters.records import Record
from .driveroptions import check_driver, check_options
from .driverplan import CONFIGURE, MIGRATE, Contents, Plan, Sight
from .engine_restart import Connect
from .errors import DockerstorageError, Incoherent, Refused
from .gather import read_site
from .migrate import alone


def planned(
    connect: Connect, data_root: str | None, driver: object, options: list[str] | None
) -> dict[str, Any]:
    """What would be done."""
    sight, plan = _prepare(connect, data_root, driver, options)
    # A pool that is declared as well is not there yet when states are only tested.
    absent = [f"there is no device {path} yet" for path in _absent(plan)]
    return driverplan.as_dict(plan, sight.contents, absent, test=True)


def run(
    connect: Connect, data_root: str | None, driver: object, options: list[str] | None
) -> dict[str, Any]:
    """Do it; raises Refused, with the host as it was, where that cannot be or did not do."""
    with alone():
        sight, plan = _prepare(connect, data_root, driver, options)
        if plan.action == MIGRATE:
            raise Refused(plan.why)
        if plan.action == CONFIGURE:
            _carry_out(plan, sight, connect)
        return driverplan.as_dict(plan, sight.contents, [], test=False)


def _prepare(
    connect: Connect, data_root: str | None, driver: object, options: list[str] | None
) -> tuple[Sight, Plan]:
    """Look and plan; nothing is changed."""
    name = check_driver(driver)
    check_options(name, options or ())
    sight = driversight.look(connect, data_root)
    plan = driverplan.plan(sight, driver, options)
    if plan.action == CONFIGURE and sight.configuration.program is not None:
        configfiles.validate(sight.configuration, plan.change)
    return sight, plan


def _absent(plan: Plan) -> list[str]:
    return [path for path in driverplan.devices(plan.change.options) if not Path(path).exists()]


def _carry_out(plan: Plan, sight: Sight, connect: Connect) -> None:
    absent = _absent(plan)
    if absent:
        raise Refused(
            f"there is no device {absent[0]}, which the options name: make it first "
            "(dockerstorage.thinpool), or correct the name"
        )
    record = Record("driver", time.time())
    record.note(change=[one.path for one in plan.change.files], restart=plan.restart)
    if plan.restart:
        _restart(plan, sight, connect, record)
    else:
        configfiles.apply(plan.change, record.folder)


def _restart(plan: Plan, sight: Sight, connect: Connect, record: Record) -> None:
    ran = _running(sight, connect)
    if sight.cut is not None:
        configfiles.undo(sight.cut)
    pending_change.write(Pending(plan.change, ran))
    try:
        engine_restart.end(sight.root)
        if plan.other_store:
            _check_empty(sight.root)
        configfiles.apply(plan.change, record.folder)
        engine_restart.start(connect, plan.change.driver)
        if sight.runs and not plan.other_store:
            _check_all_there(connect, sight.contents)
        _run_again(connect, ran)
    except (DockerstorageError, OSError) as error:
        why = str(error)
        record.note(failure=why)
        _put_back(plan, sight, connect, ran, why, record)
    pending_change.remove()


def _running(sight: Sight, connect: Connect) -> tuple[dict[str, Any], ...]:
    """Containers that run; raises Refused for what a restart would break, or remove."""
    cut = pending_change.read() if sight.cut is not None else None
    if services.daemon() is None:
        return cut.ran if cut is not None else ()
    found = {one["id"]: one for one in (cut.ran if cut is not None else ())}
    engine = connect(driversight.LOOK_SECONDS)
    for one in engine_restart.running(engine, sight.root, sight.driver or ""):
        found[one["id"]] = one
    return tuple(sorted(found.values(), key=lambda one: str(one["started_at"])))


def _put_back(
    plan: Plan,
    sight: Sight,
    connect: Connect,
    ran: tuple[dict[str, Any], ...],
    why: str,
    record: Record,
) -> None:
    """The configuration of before, and the engine on it; raises Refused, always."""
    try:
        engine_restart.end(sight.root)
        configfiles.undo(plan.change)
        engine_restart.start(connect, sight.driver)
        _run_again(connect, ran)
    except (DockerstorageError, OSError) as error:
        raise Refused(
            f"{why}. The engine does not come back with the configuration of before, either: "
            f"{error}. Copies of its files are in {record.folder}"
        ) from None
    pending_change.remove()
    raise Refused(f"the configuration was put back, and the engine runs as before: {why}")


def _check_empty(root: str) -> None:
    """Nobody was able to make anything since the look; now nobody can."""
    found = driversight.contents_on_disk(root)
    if found:
        raise Refused(f"meanwhile something came to exist: {found}")


def _check_all_there(connect: Connect, before: Contents) -> None:
    engine = connect(driversight.LOOK_SECONDS)
    missing = before.without(driversight.contents(engine, read_site(engine.info())))
    if missing:
        raise Incoherent("the engine's objects", "all there", f"without {missing}")


def _run_again(connect: Connect, ran: tuple[dict[str, Any], ...]) -> None:
    """Start what ran; raises Incoherent."""
    failed = engine_restart.run_again(connect(driversight.LOOK_SECONDS), ran) if ran else []
    if failed:
        raise Incoherent("containers that ran", "started again", ", ".join(failed))
