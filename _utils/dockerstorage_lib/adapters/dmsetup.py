"""Device mapper, through dmsetup(8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .. import devmapper
from ..errors import BadInput, CommandFailed, CommandTimedOut
from . import shell

T = TypeVar("T")

TIMEOUT_SECONDS = 20


def devices() -> dict[str, devmapper.DeviceInfo]:
    """Every device-mapper device by name."""
    text = _dmsetup(
        "info",
        "-c",
        "--noheadings",
        "--separator",
        devmapper.INFO_SEPARATOR,
        "-o",
        devmapper.INFO_COLUMNS,
    )
    return {info.name: info for info in devmapper.parse_info(text)}


def status(target: str | None = None) -> dict[str, list[devmapper.Status]]:
    """Status of every device, or of those with a target of the kind named ("thin-pool")."""
    # --noflush: a plain status commits the pool's metadata, and blocks when that cannot be done.
    return devmapper.parse_listing(
        _dmsetup("status", "--noflush", *_target(target)), devmapper.parse_status
    )


def tables(target: str | None = None) -> dict[str, list[devmapper.Table]]:
    """Table of every device, or of those with a target of the kind named."""
    return devmapper.parse_listing(_dmsetup("table", *_target(target)), devmapper.parse_table)


def device_status(name: str) -> list[devmapper.Status]:
    """Status of one device, a value for each of its targets; raises CommandFailed if absent."""
    return _lines(_dmsetup("status", "--noflush", name), devmapper.parse_status)


def device_table(name: str) -> list[devmapper.Table]:
    """Table of one device, a value for each of its targets; raises CommandFailed if absent."""
    return _lines(_dmsetup("table", name), devmapper.parse_table)


def pool_status(name: str) -> devmapper.ThinPoolStatus | devmapper.FailedTarget:
    """Status of a thin pool, by its device's name or LVM's; raises BadInput if there is none."""
    for status in device_status(_pool_device(name)):
        if isinstance(status, (devmapper.ThinPoolStatus, devmapper.FailedTarget)):
            return status
    raise _no_pool(name)


def pool_table(name: str) -> devmapper.ThinPoolTable:
    """Table of a thin pool, by its device's name or LVM's; raises BadInput if there is none."""
    for table in device_table(_pool_device(name)):
        if isinstance(table, devmapper.ThinPoolTable):
            return table
    raise _no_pool(name)


def active_pool(name: str) -> str | None:
    """The device of a thin pool that LVM calls so; None if it is not active."""
    active = status("thin-pool")
    return next((one for one in devmapper.pool_devices(name) if one in active), None)


def commit_pool(name: str) -> None:
    """Have a pool write down what it has changed; raises CommandFailed."""
    # Without --noflush a status does just that.
    _dmsetup("status", name)


def dependencies(name: str) -> tuple[str, ...]:
    """Device numbers ("254:3") that a device's table uses."""
    return devmapper.parse_deps(_dmsetup("deps", name))


def message(name: str, sector: int, text: str) -> str:
    """Send a message to the target at a sector and return its answer, mostly empty."""
    return _dmsetup("message", name, str(sector), text).strip()


def create(name: str, table: str) -> None:
    """Make a device of a table; raises CommandFailed."""
    _dmsetup("create", name, "--table", table)


def remove(name: str) -> None:
    """Remove a device that nobody has open (the kernel sees to that); raises CommandFailed."""
    # --retry: udev may have it open for a moment.
    _dmsetup("remove", "--retry", name)


def remove_later(name: str) -> None:
    """Remove a device as soon as its last user closes it; raises CommandFailed."""
    _dmsetup("remove", "--deferred", name)


def wait_event(name: str, event_number: int, timeout_seconds: float) -> bool:
    """Wait until a device's event number passes the one given; False when time ran out."""
    argv = ["dmsetup", "wait", "--noflush", name, str(event_number)]
    try:
        done = shell.run(argv, timeout_seconds)
    except CommandTimedOut:
        return False
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
    return True


def _pool_device(name: str) -> str:
    known = devices()
    for one in devmapper.pool_devices(name):
        if one in known:
            return one
    raise BadInput(f"there is no device-mapper device {name!r}; see 'dmsetup ls'")


def _no_pool(name: str) -> BadInput:
    return BadInput(f"{name} is no thin pool; see 'dmsetup ls --target thin-pool'")


def _dmsetup(*arguments: str) -> str:
    return shell.output(["dmsetup", *arguments], TIMEOUT_SECONDS)


def _target(target: str | None) -> list[str]:
    return [] if target is None else ["--target", target]


def _lines(text: str, parse: Callable[[str], T]) -> list[T]:
    return [parse(line) for line in text.splitlines() if line.strip()]
