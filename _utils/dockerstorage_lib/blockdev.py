"""Whether a block device is free to be given to LVM: pure functions."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Unparsable


@dataclass(frozen=True)
class BlockDevice:
    """A disk or partition, and what speaks against taking it."""

    path: str
    size_bytes: int
    #: Types of what wipefs(8) found: "ext4", "LVM2_member", "dos", "gpt", ...
    signatures: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    #: Names of devices that are built on it.
    holders: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    #: The kernel has it in use, for whatever.
    busy: bool = False


def parse_signatures(text: str) -> tuple[str, ...]:
    """Read ``wipefs --parsable``: rows of offset, uuid, label and type, wipefs(8)."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split(",")
        # A label may hold a comma; offset and type are the outer cells.
        if len(cells) < 4 or not cells[0].startswith("0x"):
            raise Unparsable("wipefs row", line)
        found.append(cells[-1])
    return tuple(found)


def why_not(device: BlockDevice, vg_of_device: str | None, vg: str, forced: bool) -> str | None:
    """Why a device is not to be taken for a volume group; None if it may be.

    vg_of_device: the group whose physical volume it is ("" for one in no group, None for no
    physical volume). forced: the operator named it to be overwritten; what is in use withstands.
    """
    if vg_of_device == vg:
        return None
    if device.mounts:
        return f"it is mounted on {', '.join(device.mounts)}"
    if device.holders:
        return f"{', '.join(device.holders)} is built on it"
    if device.busy:
        return "the kernel has it in use"
    if forced:
        return None
    if vg_of_device:
        return f"it belongs to the volume group {vg_of_device}"
    foreign = [one for one in device.signatures if one != "LVM2_member" or vg_of_device is None]
    if foreign or device.partitions:
        what = [*foreign, *device.partitions]
        return f"it holds {', '.join(what)}"
    return None
