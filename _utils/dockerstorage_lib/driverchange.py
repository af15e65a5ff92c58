"""Plan another storage driver: one place that says it, all other files as they were. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import driveroptions
from .driverconfig import read
from .driveredit import DROP_IN, Editor
from .driversettings import (
    DRIVER,
    DRIVER_VARIABLE,
    NO_UNIT,
    OPTIONS,
    Configuration,
    given_twice,
)
from .errors import Refused


@dataclass(frozen=True)
class FileChange:
    """A file's whole content before and after; None where there is no such file."""

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Change:
    """All edits that give the engine a storage driver; nothing to do if there are no files."""

    driver: str
    options: tuple[str, ...]
    files: tuple[FileChange, ...]
    #: Sentences about what is done.
    notes: tuple[str, ...] = ()

    @property
    def reloads_systemd(self) -> bool:
        """Whether systemd must read its units again."""
        return any("/systemd/" in one.path for one in self.files)


def as_dict(change: Change) -> dict[str, Any]:
    """Plain values, for a journal."""
    files = [
        {"path": one.path, "before": _shown(one.before), "after": _shown(one.after)}
        for one in change.files
    ]
    return {
        "driver": change.driver,
        "options": list(change.options),
        "files": files,
        "notes": list(change.notes),
    }


def from_dict(found: Mapping[str, Any]) -> Change:
    """A change from a journal."""
    files = tuple(
        FileChange(one["path"], _bytes(one["before"]), _bytes(one["after"]))
        for one in found["files"]
    )
    return Change(found["driver"], tuple(found["options"]), files, tuple(found["notes"]))


def _shown(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def plan_change(
    configuration: Configuration,
    driver: str,
    options: Sequence[str] | None = None,
    unit_is_to_come: bool = False,
) -> Change:
    """Plan that driver and those options stand in one place, and nowhere else.

    The place is the flag that rules now, if it is in a file of /etc; else daemon.json. Without
    options those that the driver takes are kept. unit_is_to_come: Docker is not installed yet, and
    daemon.json all that will count. Raises BadInput for a driver or option that dockerd does not
    know, Refused for a configuration that is not understood.
    """
    wanted = driveroptions.check_driver(driver)
    if options is None:
        kept = driveroptions.kept(wanted, configuration.options)
    else:
        kept = driveroptions.check_options(wanted, options)
    known = (NO_UNIT,) if unit_is_to_come else ()
    if configuration.unresolved not in ((), known):
        raise Refused(
            f"the storage driver is not changed, since a part of the engine's configuration is not "
            f"understood: {'; '.join(configuration.unresolved)}. Set driver and options there by "
            f"hand, or make it a plain 'ExecStart=… dockerd …' and daemon.json"
        )
    editor = Editor(configuration)
    if not _is_so(configuration, wanted, kept):
        editor.write(wanted, kept)
        editor.set_up(wanted)
    files = tuple(
        FileChange(path, _bytes(configuration.files.get(path)), _bytes(text))
        for path, text in editor.changed().items()
    )
    change = Change(wanted, kept, files, tuple(editor.notes))
    _check(configuration, change)
    return change


def _is_so(configuration: Configuration, driver: str, options: tuple[str, ...]) -> bool:
    said = [one for one in configuration.settings if one.name in (DRIVER, OPTIONS)]
    twice = {DRIVER, OPTIONS} & dict(given_twice(configuration)).keys()
    alone = sum(one.name == DRIVER for one in said) == 1
    setup = configuration.setup
    agrees = setup is None or setup.value in ("", driver)
    return alone and agrees and not twice and _storage(configuration) == (driver, options)


def _storage(configuration: Configuration) -> tuple[str | None, tuple[str, ...]]:
    return configuration.driver, configuration.options


def changed(configuration: Configuration, change: Change) -> Configuration:
    """The configuration as it will be."""
    texts = {**configuration.files, **{one.path: _shown(one.after) for one in change.files}}
    units = list(configuration.units)
    if any(one.path == DROP_IN for one in change.files) and DROP_IN not in units:
        units.append(DROP_IN)
    return read(texts.get, units, configuration.manager)


def _check(configuration: Configuration, change: Change) -> None:
    """Read the result as dockerd and systemd will: just what was wanted may have changed."""
    after = changed(configuration, change)
    expected = (change.driver, change.options, configuration.unresolved, _others(configuration))
    found = (*_storage(after), after.unresolved, _others(after))
    storage_twice = {DRIVER, OPTIONS} & dict(given_twice(after)).keys()
    if found != expected or storage_twice or sum(o.name == DRIVER for o in after.settings) != 1:
        paths = ", ".join(one.path for one in change.files) or "the configuration"
        raise Refused(
            f"{paths} cannot be changed safely: something in it is written in a way that would "
            f"lose its meaning. Set the storage driver by hand there"
        )


def _others(configuration: Configuration) -> list[tuple[str, str, str]]:
    """All settings but the storage driver and its options, the program, all other variables."""
    settings = [("program", configuration.program or "", "")]
    settings += [
        (one.name, one.value, one.place.path if one.place.kind == "json" else "")
        for one in configuration.settings
        if one.name not in (DRIVER, OPTIONS)
    ]
    used = {word.place.name for word in configuration.command}
    variables = [
        (name, one.value.value, "variable")
        for name, one in sorted(configuration.variables.items())
        if name not in used and name != DRIVER_VARIABLE
    ]
    return settings + [row for row in variables if row[1]]


def planned(configuration: Configuration, change: Change) -> tuple[str, ...]:
    """The command line that dockerd will be started with."""
    return tuple(word.value for word in changed(configuration, change).command)
