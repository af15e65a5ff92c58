"""The options of storage drivers that dockerd knows; an unknown one keeps it from starting."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .errors import BadInput

_DM = """
    basesize loopdatasize loopmetadatasize fs mkfsarg mountopt datadev metadatadev thinpooldev
    blkdiscard blocksize override_udev_sync_check use_deferred_removal use_deferred_deletion
    min_free_space xfs_nospace_max_retries libdm_log_level directlvm_device directlvm_device_force
    thinp_percent thinp_metapercent thinp_autoextend_threshold thinp_autoextend_percent
"""
#: By driver: what ``--storage-opt`` takes.
KNOWN: dict[str, frozenset[str]] = {
    "devicemapper": frozenset(f"dm.{name}" for name in _DM.split()),
    "overlay2": frozenset({"overlay2.override_kernel_check", "overlay2.size"}),
    "btrfs": frozenset({"btrfs.min_space"}),
    "zfs": frozenset({"zfs.fsname"}),
    "vfs": frozenset({"size", "vfs.xattrs"}),
    "overlay": frozenset(),
    "aufs": frozenset(),
    "fuse-overlayfs": frozenset(),
}
_ALL = sorted(name for names in KNOWN.values() for name in names)


def check_driver(driver: object, argument: str = "driver") -> str:
    """A driver's name; raises BadInput, naming argument and the nearest one, if none has it."""
    if isinstance(driver, str) and driver in KNOWN:
        return driver
    near = difflib.get_close_matches(str(driver), KNOWN, 1)
    hint = f" (the nearest is {near[0]})" if near else ""
    known = ", ".join(KNOWN)
    raise BadInput(f"{argument}: there is no storage driver {driver!r}{hint}; known: {known}")


def check_options(driver: str, options: Iterable[object]) -> tuple[str, ...]:
    """Options as ``key=value``; raises BadInput for one that the driver would refuse."""
    found = []
    for option in options:
        if not isinstance(option, str) or "=" not in option or not option.isprintable():
            raise BadInput(f"options: {option!r} is not of the form key=value")
        why = refusal(driver, option)
        if why:
            raise BadInput(f"options: {why}")
        found.append(option)
    return tuple(found)


def refusal(driver: str, option: str) -> str:
    """Why a driver would not take an option; empty if it would, or if the driver is unknown."""
    key = option.partition("=")[0].lower()
    if driver not in KNOWN or key in KNOWN[driver]:
        return ""
    owner = next((name for name, keys in KNOWN.items() if key in keys), None)
    if owner:
        return f"{key} is an option of {owner}, and {driver} refuses it"
    near = difflib.get_close_matches(key, sorted(KNOWN[driver]) or _ALL, 1, 0.5)
    hint = f"; the nearest that it knows is {near[0]}" if near and KNOWN[driver] else ""
    return f"{driver} has no option {key}{hint}"


def kept(driver: str, options: Iterable[str]) -> tuple[str, ...]:
    """Those of the options that a driver takes."""
    return tuple(option for option in options if not refusal(driver, option))
