"""Extend a thin pool from its volume group, or with a new disk: look, plan, act, look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import devmapper, poolview
from .adapters import blockdev, dmsetup, lvm
from .blockdev import why_not
from .devmapper import ThinPoolStatus
from .errors import BadInput, Incoherent, Refused
from .growth import Growth, bytes_to_percent, plan_growth
from .lvm import ThinPoolVolume
from .policy import read_percent
from .sizes import Share, read_size

#: What LVM keeps of a new physical volume for itself: metadata and alignment.
PV_OVERHEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Extension:
    """A planned extension: disks to take first, then the growth."""

    pool: ThinPoolVolume
    devices: tuple[str, ...]
    growth: Growth

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        taken = tuple(take_device(self.pool.vg, one) for one in self.devices)
        return (*taken, self.growth.command) if self.growth.grow_bytes else taken


def read_amount(size: int | str | None, to_percent: float | None) -> int | Share | float:
    """Bytes (int), a Share, or a percent (float); raises BadInput unless one is given."""
    if size is not None and to_percent is None:
        amount = read_size(size, "size")
        if isinstance(amount, Share) and amount.of != "FREE":
            raise BadInput(f"size: {size!r}: extend adds; give a share of what is free (100%FREE)")
        return amount
    if to_percent is None or size is not None:
        raise BadInput("size, to_percent: give one of the two")
    percent = read_percent(to_percent, "to_percent")
    if percent < 1:
        raise BadInput(f"to_percent: {to_percent!r} is less than 1")
    return percent


def read_part(part: str) -> str:
    """Check that it is one of a pool's two parts."""
    if part not in ("data", "metadata"):
        raise BadInput(f"part: {part!r} is neither 'data' nor 'metadata'")
    return part


def find_volume(name: str) -> ThinPoolVolume:
    """The thin pool of a device-mapper name or of ``vg/pool``; raises BadInput if LVM has none."""
    for volume in lvm.thin_pools():
        if volume.dm_name == devmapper.lvm_name(name) or volume.full_name == name:
            return volume
    raise BadInput(
        f"{name} is no thin pool of LVM, which alone can extend one (the pool of loop-lvm lives in "
        "files); see 'lvs'"
    )


def plan_extension(
    volume: ThinPoolVolume,
    part: str,
    amount: int | Share | float,
    devices: Sequence[str] = (),
    forced: Sequence[str] = (),
) -> Extension:
    """Plan to grow data or metadata by bytes (int), by a Share, or to a fill in percent (float).

    A size in bytes is all or nothing: Refused if it cannot be had. A percent and a share take what
    is left. devices are given to the volume group first.
    """
    status = dmsetup.pool_status(volume.dm_name)
    if not isinstance(status, ThinPoolStatus) or status.needs_check:
        raise Refused(
            f"the pool {volume.full_name} is {status.health}: it must be repaired first, see "
            "dockerstorage.recover"
        )
    new = check_devices(volume.vg, devices, forced)
    extent = volume.vg_extent_bytes
    added = sum(
        (blockdev.look(one).size_bytes - PV_OVERHEAD_BYTES) // extent * extent for one in new
    )
    free = volume.vg_free_bytes + added
    spare = spare_bytes(volume.vg)
    wanted = _wanted(volume, status, part, amount, free)
    growth = plan_growth(volume, part, wanted, free, spare)
    if isinstance(amount, int) and growth.missing_bytes:
        raise Refused(
            f"the volume group {volume.vg} has {free} bytes free: {growth.missing_bytes} bytes are "
            f"missing to extend the {part} of {volume.full_name} by {amount}. Give it a disk "
            "(device=/dev/...), or take what is left (size=100%FREE)"
        )
    return Extension(volume, new, growth)


def apply_extension(extension: Extension) -> None:
    """Carry it out; raises CommandFailed, or Incoherent if the pool did not grow as planned."""
    for command in extension.commands:
        lvm.change(command)
    before, growth = extension.pool, extension.growth
    now = find_volume(before.full_name)
    sizes = {"data": now.size_bytes, "metadata": now.metadata_bytes}
    was = {"data": before.size_bytes, "metadata": before.metadata_bytes}
    expected = was[growth.part] + growth.grow_bytes
    if sizes[growth.part] < expected:
        raise Incoherent(f"{growth.part} of {before.full_name}", expected, sizes[growth.part])


def as_dict(extension: Extension, before: dict[str, Any], test: bool) -> dict[str, Any]:
    """An extension as plain values, with the pool's figures before and after."""
    growth = extension.growth
    return {
        "test": test,
        "pool": extension.pool.dm_name,
        "part": growth.part,
        "grow_bytes": growth.grow_bytes,
        "missing_bytes": growth.missing_bytes,
        "devices": list(extension.devices),
        "commands": [" ".join(command) for command in extension.commands],
        "before": before,
        "after": before if test else poolview.cheap_figures(extension.pool.dm_name),
    }


def check_devices(vg: str, devices: Sequence[str], forced: Sequence[str]) -> tuple[str, ...]:
    """Those devices that are not in the group yet; raises Refused if one must not be taken."""
    owners = {one.device: one.vg for one in lvm.physical_volumes()}
    new = []
    for path in dict.fromkeys(devices):
        device = blockdev.look(path)
        why = why_not(device, owners.get(path), vg, path in forced)
        if why is not None:
            raise Refused(
                f"{path} is not taken for the volume group {vg}: {why}. If nothing on it is "
                f"needed, empty it (wipefs -a {path}) or name it in force_devices"
            )
        if owners.get(path) != vg:
            new.append(path)
    return tuple(new)


def take_device(vg: str, device: str) -> tuple[str, ...]:
    """The command that gives a checked device to a group; it overwrites what lies on it."""
    return ("vgextend", "-q", "-y", "-ff", vg, device)


def untaken(devices: Sequence[str]) -> list[str]:
    """Those devices that are in no volume group."""
    if not devices:
        return []
    owners = {one.device: one.vg for one in lvm.physical_volumes()}
    return [one for one in devices if not owners.get(one)]


def spare_bytes(vg: str) -> int:
    """Size of the spare that a group keeps for repairs of metadata; 0 if there is none."""
    return max((v.size_bytes for v in lvm.volumes() if v.vg == vg and v.is_pool_spare), default=0)


def _wanted(
    volume: ThinPoolVolume,
    status: ThinPoolStatus,
    part: str,
    amount: int | Share | float,
    free_bytes: int,
) -> int:
    if isinstance(amount, int):
        return amount
    if isinstance(amount, Share):
        extents = int(free_bytes * amount.percent / 100) // volume.vg_extent_bytes
        return max(extents, 1) * volume.vg_extent_bytes
    table = dmsetup.pool_table(volume.dm_name)
    figures = poolview.figures(status, table)[part]
    return bytes_to_percent(figures["used_bytes"], figures["total_bytes"], amount)
