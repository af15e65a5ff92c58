"""See what a plan for a declared storage driver needs; also of an engine that does not run."""

from __future__ import annotations

from pathlib import Path

from . import driverplan
from .adapters import configfiles, container_files, kernelfacts, pending_change, services, store
from .adapters.engine_import import ImportEngine
from .adapters.migration_journal import Journal
from .driverplan import Contents, Sight
from .engine_restart import Connect
from .errors import CommandFailed, Refused
from .gather import Site, read_inventory, read_site
from .poolview import DEFAULT_ROOT

LOOK_SECONDS = 30


def look(connect: Connect, data_root: str | None) -> Sight:
    """The host now; raises EngineUnreachable if the daemon runs and does not answer.

    data_root overrides the configured place of an engine that does not run.
    """
    configuration = configfiles.read()
    cut = pending_change.read()
    if cut is not None:
        then = driverplan.before(configuration, cut.change)
        configuration, cut = (configuration, None) if then is None else (then, cut)
    # Not asked if it does not run: the socket would start it, with the driver of its own choice.
    runs = _is_running()
    if runs:
        engine = connect(LOOK_SECONDS)
        if not engine.is_local:
            raise Refused("the engine runs on another host: call the minion there")
        info = engine.info()
        site, version = read_site(info), info["ServerVersion"]
        found, driver = contents(engine, site), site.driver or None
    else:
        root = data_root or configuration.data_root or DEFAULT_ROOT
        driver = _driver_on_disk(root, configuration.driver)
        site, version = Site(root, driver or "", None), configfiles.engine_version(configuration)
        found = contents_on_disk(root)
    hidden = store.hidden_store(site.root, driver or "")
    return Sight(
        configuration,
        site.root,
        driver,
        runs,
        found,
        kernelfacts.facts(site.root, version),
        Journal().read(),
        None if cut is None else cut.change,
        ""
        if hidden is None or not driver
        else f"{hidden.path} holds {hidden.images} images and {hidden.containers} containers that "
        "the engine does not see; see dockerstorage.report",
    )


def _is_running() -> bool:
    try:
        return services.daemon() is not None
    except CommandFailed:  # no systemd: nothing is known to run
        return False


def contents(engine: ImportEngine, site: Site) -> Contents:
    """What the engine has."""
    found = read_inventory(engine, site, with_cache=True)
    images = [name for one in found.images for name in one.tags or (one.id,)]
    return Contents(
        tuple(sorted(images)),
        tuple(sorted(one.name for one in found.containers)),
        tuple(sorted(one.name for one in found.volumes)),
        tuple(one.id for one in found.cache),
    )


def contents_on_disk(root: str) -> Contents:
    """What an engine that does not run has: images by their ids, of whatever storage driver."""
    images, containers, volumes = [], [], []
    for one in _roots(root):
        for folder in (one / "image").glob("*"):
            images += store.image_ids(str(one), folder.name)
        containers += [found.name for found in container_files.read_all(str(one))]
        volumes += [path.name for path in sorted((one / "volumes").glob("*")) if path.is_dir()]
    return Contents(tuple(images), tuple(containers), tuple(volumes))


def _driver_on_disk(root: str, configured: str | None) -> str | None:
    """Which driver an engine would start with that does not run; None if it never did."""
    used = next((found for one in _roots(root) if (found := store.latest_driver(str(one)))), None)
    return used and (configured or used)


def _roots(root: str) -> list[Path]:
    """With remapped users the engine keeps all below <root>/<uid>.<gid>."""
    return [Path(root), *sorted(Path(root).glob("[0-9]*.[0-9]*"))]
