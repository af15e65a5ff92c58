"""Look at a host's Docker storage: the engine, the pool, the files, and what could not be seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import findings, history, poolview, trend
from .adapters import configfiles, history_file, hostfiles, store
from .adapters.engine import Engine
from .adapters.migration_journal import Journal
from .devmapper import ThinPoolStatus
from .driversettings import DRIVER, Configuration
from .errors import DockerstorageError
from .gather import Site, read_site
from .migration import Progress
from .poolview import Pool


@dataclass
class Sight:
    """Everything that was seen of a host, and what was not, with the reason."""

    site: Site
    info: Mapping[str, Any] | None = None
    pool: Pool | None = None
    counts: dict[str, int] = field(default_factory=dict)
    hidden: store.HiddenStore | None = None
    #: That is under way, or waits for its commit.
    migration: Progress | None = None
    configuration: Configuration | None = None
    #: Of the pool; None if no history was kept.
    trend: trend.Trend | None = None
    unseen: list[tuple[str, str]] = field(default_factory=list)


def look(connect: Callable[[], Engine], now: float, data_root: str | None = None) -> Sight:
    """See what can be seen; never raises for what cannot.

    connect opens the engine; data_root overrides the configured place of a silent engine.
    """
    unseen: list[tuple[str, str]] = []
    info = counts = None
    try:
        engine = connect()
        info = engine.info()
        counts = _counts(engine, info)
    except DockerstorageError as error:
        unseen.append(("engine", str(error)))
    configuration = None
    try:
        configuration = configfiles.read()
    except DockerstorageError as error:
        unseen.append(("engine configuration", str(error)))
    driver = (configuration.driver if configuration else None) or ""
    site = read_site(info) if info else site_without_engine(data_root, unseen, driver)
    sight = Sight(site, info, counts=counts or {}, unseen=unseen, configuration=configuration)
    try:
        sight.migration = Journal().read()
        sight.hidden = store.hidden_store(site.root, site.driver)
        sight.pool = poolview.read_pool(site, unseen)
    except (DockerstorageError, OSError) as error:
        unseen.append(("pool", str(error)))
    sight.trend = _trend(sight.pool, now, unseen)
    return sight


def _trend(pool: Pool | None, now: float, unseen: list[tuple[str, str]]) -> trend.Trend | None:
    """Of what was kept of a pool, and of the pool as it is."""
    if pool is None:
        return None
    try:
        rows = history_file.load().get(pool.name)
    except (DockerstorageError, OSError) as error:
        unseen.append(("history", str(error)))
        return None
    if rows is None:
        return None
    if isinstance(pool.status, ThinPoolStatus):
        rows = (*rows, history.sample(pool.status, now))
    return trend.trend(rows, now)


def _counts(engine: Engine, info: Mapping[str, Any]) -> dict[str, int]:
    return {
        "containers": info["Containers"],
        "running": info["ContainersRunning"],
        "images": info["Images"],
        "volumes": len(engine.volumes()),
        "networks": len(engine.networks()),
    }


def site_without_engine(
    data_root: str | None, unseen: list[tuple[str, str]], driver: str = ""
) -> Site:
    """Where a silent engine's data is, from its configuration and from what lies there.

    driver is the one that its unit and files configure, if that is known.
    """
    config: Mapping[str, Any] = {}
    # What is wrong with the file is a finding of its own.
    with contextlib.suppress(DockerstorageError):
        config = hostfiles.daemon_config()
    root = poolview.configured_root(data_root, config, hostfiles.engine_flags())
    if not Path(root).is_dir():
        unseen.append(("data root", f"there is no directory {root}"))
        return Site(root, "", None)
    driver = driver or config.get("storage-driver") or store.latest_driver(root)
    if driver != store.DRIVER:
        return Site(root, driver, None)
    try:
        pool = poolview.find_pool_name(root)
    except DockerstorageError as error:
        unseen.append(("pool", str(error)))
        return Site(root, driver, None)
    if pool is None:
        unseen.append(
            (
                "pool",
                "no active thin pool is known as Docker's: the engine activates a loop-lvm "
                "pool when it starts",
            )
        )
    return Site(root, driver, pool)


def _configuration(found: Configuration | None) -> dict[str, Any] | None:
    """What is configured, as plain values."""
    if found is None:
        return None
    said = found.find(DRIVER)
    return {
        "driver": found.driver,
        "options": list(found.options),
        "file": said.place.path if said else None,
        "says": said.place.name if said else None,
        "unresolved": list(found.unresolved),
    }


def as_dict(sight: Sight) -> dict[str, Any]:
    """The report as plain values: what ``dockerstorage.report`` returns."""
    info = sight.info or {}
    found = {
        "engine": {
            "running": sight.info is not None,
            "version": info.get("ServerVersion"),
            "driver": sight.site.driver or None,
            "data_root": sight.site.root,
        },
        "pool": None if sight.pool is None else poolview.as_dict(sight.pool),
        "forecast": None if sight.trend is None else asdict(sight.trend),
        "counts": sight.counts or None,
        "configuration": _configuration(sight.configuration),
        "hidden_store": None if sight.hidden is None else asdict(sight.hidden),
        "warnings": [asdict(warning) for warning in findings.find_all(sight)],
        "unseen": [{"what": what, "why": why} for what, why in sight.unseen],
    }
    if sight.pool is None and sight.site.driver == store.DRIVER:
        files = poolview.loop_files(sight.site.root)
        found["loop_files"] = {name: asdict(file) for name, file in files.items()}
    return found
