"""Plan how a declared storage driver comes about, with nothing lost from sight. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from . import drivers, migration
from .driverchange import Change, changed, plan_change
from .driveroptions import kept
from .driversettings import Configuration
from .errors import Refused
from .migration import Progress

NOTHING, CONFIGURE, MIGRATE = "nothing", "configure", "migrate"
#: Options of a store's making. With another value the engine would look at another store, grow
#: this one, refuse to start, or pass over the option in silence.
OF_THE_STORE = frozenset(
    """
    dm.thinpooldev dm.datadev dm.metadatadev dm.blocksize dm.loopdatasize dm.loopmetadatasize
    dm.fs dm.mkfsarg dm.directlvm_device dm.thinp_percent dm.thinp_metapercent
    dm.thinp_autoextend_threshold dm.thinp_autoextend_percent zfs.fsname
    """.split()
)
#: Those that name a device, with or without this in front.
DEVICES, MAPPER = ("dm.thinpooldev", "dm.datadev", "dm.metadatadev"), "/dev/mapper/"
#: containerd's image store calls overlay2 by another name.
_ALSO = {"overlay2": ("overlay2", "overlayfs")}
_NAMED = 10


@dataclass(frozen=True)
class Contents:
    """What an engine on another driver would not see, or would leave without an owner: names."""

    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    cache_records: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def __str__(self) -> str:
        told = ((one.name, getattr(self, one.name)) for one in fields(self))
        return ", ".join(_counted(kind, names) for kind, names in told if names)

    def without(self, other: Contents) -> Contents:
        """What is here and not there."""
        left = {
            one.name: tuple(set(getattr(self, one.name)) - set(getattr(other, one.name)))
            for one in fields(self)
        }
        return Contents(**left)


@dataclass(frozen=True)
class Sight:
    """A host as the plan needs it."""

    #: Of the files; if a change was cut, as it was before that.
    configuration: Configuration
    root: str
    #: That serves; of an engine that does not run, the one that its store is of, None without any.
    driver: str | None
    #: Whether it serves now.
    runs: bool
    contents: Contents
    facts: drivers.Facts
    migration: Progress | None = None
    #: A change whose restart was not lived to see.
    cut: Change | None = None
    #: Images and containers of a devicemapper store that the engine does not see.
    hidden: str = ""

    @property
    def is_to_run(self) -> bool:
        """Whether it serves, or did until a change that was cut."""
        return self.runs or self.cut is not None


@dataclass(frozen=True)
class Plan:
    """What is to be done, and why."""

    change: Change
    action: str
    #: What there is: driver and options.
    driver: str | None
    options: tuple[str, ...]
    restart: bool
    #: Whether what the engine holds now would be out of its sight.
    other_store: bool
    why: str
    notes: tuple[str, ...] = ()


def plan(sight: Sight, driver: object, options: list[str] | None) -> Plan:
    """What brings driver and options about; raises BadInput for those, Refused for what is amiss.

    Without options those that the driver takes are kept.
    """
    under_way = sight.migration
    if under_way is not None and under_way.outcome is None:
        raise Refused(
            f"the migration from {under_way.plan.source} to {under_way.plan.target} was cut, and "
            "must end first: dockerstorage.migrate resume=True goes on, rollback=True goes back"
        )
    # With no daemon and no store there is no Docker, or there never was.
    is_new = not sight.is_to_run and sight.driver is None
    change = plan_change(sight.configuration, str(driver), options, unit_is_to_come=is_new)
    if under_way is not None and change.files:
        raise Refused(
            "the configuration is not changed while a migration waits for its end, or there would "
            "be no way back: dockerstorage.commit first, or dockerstorage.migrate rollback=True"
        )
    current = kept(sight.driver or "", sight.configuration.options)
    same = sight.driver is None or is_same(sight.driver, change.driver)
    old, new = _mapping(current), _mapping(change.options)
    differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    of_store = [key for key in differing if key in OF_THE_STORE] if sight.driver else []
    other_store = not same or bool(of_store)
    if other_store or sight.driver is None:
        _check_host(sight.facts, change)
    restart = sight.is_to_run and (other_store or bool(differing) or sight.cut is not None)
    action = CONFIGURE if change.files or restart else NOTHING
    if other_store and sight.contents:
        action = MIGRATE
    found = Plan(
        change,
        action,
        sight.driver,
        current,
        restart,
        other_store,
        "",
        tuple(_notes(sight, change)),
    )
    return replace(found, why=_why(found, sight, [] if not same else of_store))


def is_same(found: str, wanted: str) -> bool:
    """Whether what the engine calls its driver is the wanted one."""
    return found in _ALSO.get(wanted, (wanted,))


def before(configuration: Configuration, cut: Change) -> Configuration | None:
    """The configuration as it was before a change that was cut.

    None if somebody has edited it since: then what is there counts.
    """
    swapped = []
    for one in cut.files:
        text = configuration.files.get(one.path)
        now = None if text is None else text.encode("utf-8", "surrogateescape")
        if now not in (one.before, one.after):
            return None
        swapped.append(type(one)(one.path, now, one.before))
    return changed(configuration, Change(cut.driver, cut.options, tuple(swapped)))


def devices(options: Iterable[str]) -> list[str]:
    """Paths of the devices that options name."""
    pairs = (option.partition("=") for option in options)
    named = [value for key, _, value in pairs if key.lower() in DEVICES]
    return [value if value.startswith("/") else MAPPER + value for value in named]


def as_dict(found: Plan, contents: Contents, more: list[str], test: bool) -> dict[str, Any]:
    """What ``dockerstorage.set_driver`` returns; more: further notes."""
    change = found.change
    files = [one.path for one in change.files]
    notes = [*found.notes, *more]
    return {
        "test": test,
        "action": found.action,
        "driver": change.driver,
        "options": list(change.options),
        "from": {"driver": found.driver, "options": list(found.options)},
        "files": files,
        "restart": found.restart,
        "contents": {kind: list(names) for kind, names in asdict(contents).items()},
        "notes": notes,
        "why": found.why,
        "summary": [found.why, *(f"~ {one}" for one in notes)],
    }


def _mapping(options: Iterable[str]) -> dict[str, list[str]]:
    """Values by key; some options may be given several times."""
    found: dict[str, list[str]] = {}
    for option in options:
        key, _, value = option.partition("=")
        key = key.lower()
        found.setdefault(key, []).append(value.removeprefix(MAPPER) if key in DEVICES else value)
    return found


def _check_host(facts: drivers.Facts, change: Change) -> None:
    verdict = next(one for one in drivers.judge(facts)[0] if one.name == change.driver)
    # With it zfs may lie anywhere.
    if not verdict.supported and "zfs.fsname" not in _mapping(change.options):
        raise Refused(f"this host cannot run {change.driver}: {'; '.join(verdict.why_not)}")


def _notes(sight: Sight, change: Change) -> Iterable[str]:
    if sight.cut is not None:
        yield "a change that was cut before the engine ran with it is taken back first"
    if change.files:
        yield from change.notes
    if not sight.is_to_run:
        yield "the engine does not run, and is not started"
    found = sight.migration
    if found is not None and found.outcome == migration.SWITCHED:
        yield (
            f"the migration from {found.plan.source} waits for its commit: dockerstorage.commit "
            "removes the old store, dockerstorage.migrate rollback=True goes back to it"
        )
    elif found is not None:
        yield "the new store of a migration that was given up is left: dockerstorage.commit"
    if sight.hidden:
        yield sight.hidden


def _why(found: Plan, sight: Sight, of_store: list[str]) -> str:
    wanted = found.change.driver
    shown = f"{wanted} ({', '.join(found.change.options)})" if found.change.options else wanted
    if found.action == NOTHING:
        return f"The storage driver is {shown}, as declared."
    if found.action == CONFIGURE:
        files = ", ".join(one.path for one in found.change.files)
        parts = [f"{shown} is written to {files}"] if files else []
        parts += [f"the engine is restarted with {wanted}"] if found.restart else []
        sentence = ", and ".join(parts)
        return sentence[0].upper() + sentence[1:] + "."
    target = f"{wanted} with another {' and '.join(of_store)}" if of_store else wanted
    return (
        f"Nothing is changed, since an engine on {target} would not see what is here on "
        f"{sight.driver}: {sight.contents}. Move it along: 'migrate: True' in the state, or "
        f"dockerstorage.migrate {wanted} (test=True first). Or remove what is not needed."
    )


def _counted(kind: str, names: tuple[str, ...]) -> str:
    word = {"cache_records": "records of the build cache"}.get(kind, kind)
    if kind == "cache_records":
        return f"{len(names)} {word}"
    word = word.removesuffix("s") if len(names) == 1 else word
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {word} ({', '.join(names[:_NAMED])}{more})"
