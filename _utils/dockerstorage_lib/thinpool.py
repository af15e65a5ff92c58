"""An LVM thin pool for Docker as it is declared: what is to be done to a host. Pure functions.

Follows lvmthin(7), and Docker's manual for direct-lvm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .declaration import Declaration
from .errors import BadInput, Refused
from .growth import MAX_METADATA_BYTES
from .lvm import Autoextension, ThinPoolVolume, VolumeGroup
from .sizes import Share

MIB = 1 << 20
#: Docker's manual: a chunk of 512 KiB, and extension above 80 % by 20 %.
DEFAULT_CHUNK_BYTES = 512 << 10
DEFAULT_AUTOEXTENSION = Autoextension(80, 20)
DEFAULT_EXTENT_BYTES = 4 * MIB


@dataclass(frozen=True)
class Present:
    """What there is of it."""

    group: VolumeGroup | None
    pool: ThinPoolVolume | None
    #: Names of logical volumes of the group that are no thin pools.
    other_volumes: tuple[str, ...]
    #: Declared devices that are checked and not in the group yet, with their bytes.
    new_devices: Mapping[str, int]
    autoextension: Autoextension | None = None
    #: Of the kernel; None for a pool that is not active.
    low_water_blocks: int | None = None
    spare_bytes: int = 0


@dataclass(frozen=True)
class Step:
    """One change, as an operator reads it, and the command for it."""

    key: str
    old: Any
    new: Any
    command: tuple[str, ...]
    #: Name and text of a profile that is written before the command runs.
    profile: tuple[str, str] | None = None


def plan_thinpool(declared: Declaration, present: Present) -> tuple[Step, ...]:
    """Steps towards the declaration, in order; none if it is met.

    Raises Refused, with nothing done, for what cannot be: to shrink, to change the chunk size.
    A pool that somebody else made is taken as it is, but for what is declared.
    """
    steps = list(_group_steps(declared, present))
    if present.pool is None:
        if declared.name in present.other_volumes:
            raise Refused(
                f"{declared.full_name} is a logical volume, and no thin pool: choose another name"
            )
        steps.append(_creation(declared, present))
        if declared.when_full == "error":  # not known to lvcreate
            steps.append(_when_full("queue", "error", declared.full_name))
        return tuple(steps)
    _refuse_unchangeable(declared, present.pool)
    if not present.pool.active:
        steps.append(_step("active", False, True, "lvchange", "-ay", declared.full_name))
    return (
        *steps,
        *_growth_steps(declared, present, present.pool),
        *_property_steps(declared, present.pool),
        *_monitoring_steps(declared, present, present.pool),
    )


def _group_steps(declared: Declaration, present: Present) -> Iterator[Step]:
    new = tuple(present.new_devices)
    if present.group is None:
        if not new:
            raise Refused(
                f"there is no volume group {declared.vg}: declare devices to make it from"
            )
        yield _step("vg", None, declared.vg, "vgcreate", "-q", "-y", "-ff", declared.vg, *new)
        return
    if present.group.missing_devices:
        raise Refused(
            f"{present.group.missing_devices} devices of the volume group {declared.vg} are "
            "missing: bring the disks back first"
        )
    for device in new:
        command = ("vgextend", "-q", "-y", "-ff", declared.vg, device)
        yield _step(f"device {device}", None, declared.vg, *command)


def _room(declared: Declaration, present: Present) -> tuple[int, int, int]:
    """Bytes of an extent, of the group, and free in it, new devices counted."""
    group = present.group
    extent = group.extent_bytes if group else DEFAULT_EXTENT_BYTES
    # A physical volume keeps its first MiB.
    added = sum((size - MIB) // extent * extent for size in present.new_devices.values())
    size, free = (group.size_bytes, group.free_bytes) if group else (0, 0)
    return extent, size + added, free + added


def _creation(declared: Declaration, present: Present) -> Step:
    if declared.size is None:
        raise BadInput(f"size: {declared.full_name} does not exist, and a new pool needs a size")
    extent, group_bytes, free = _room(declared, present)
    metadata = _up(declared.metadata_bytes or _usual_metadata(declared.size, group_bytes), extent)
    # LVM keeps a spare as large as the largest metadata of the group, to repair into.
    left = free - metadata - max(metadata - present.spare_bytes, 0)
    size = _whole(declared.size, group_bytes, free, left, extent)
    if size > left or size < extent:
        raise Refused(
            f"the volume group {declared.vg} has {free} bytes free: {max(size, extent) - left} "
            f"bytes are missing for {declared.full_name} of {size} bytes and its metadata of "
            f"{metadata} with its spare"
        )
    chunk = declared.chunk_bytes or DEFAULT_CHUNK_BYTES
    zero = "y" if declared.zero else "n"
    command = ["lvcreate", "-q", "-y", "--type", "thin-pool", "-n", declared.name]
    command += ["-L", f"{size}b", "--poolmetadatasize", f"{metadata}b", "-c", f"{chunk}b"]
    command += ["-Z", zero, "--discards", declared.discards or "passdown"]
    wanted = _wanted_autoextension(declared, None)
    profile = None
    if declared.monitor:
        profile = (profile_name(declared), profile_text(wanted))
        # Given at creation the profile reaches the kernel's low-water mark at once.
        command += ["--monitor", "y", "--metadataprofile", profile[0]]
    new = {"size_bytes": size, "metadata_bytes": metadata, "chunk_bytes": chunk}
    return Step(f"pool {declared.full_name}", None, new, (*command, declared.vg), profile)


def _refuse_unchangeable(declared: Declaration, pool: ThinPoolVolume) -> None:
    for what, wanted, found in (
        ("chunk_size", declared.chunk_bytes, pool.chunk_bytes),
        ("discards", declared.discards, pool.discards),
    ):
        # LVM switches between passing discards down and not on a live pool; the rest is fixed.
        fixed = what == "chunk_size" or "ignore" in (wanted, found)
        if wanted is not None and wanted != found and fixed:
            raise Refused(
                f"{what} of {pool.full_name} is {found} and cannot become {wanted} on a pool that "
                "lives: leave it out, or make another pool"
            )


def _growth_steps(declared: Declaration, present: Present, pool: ThinPoolVolume) -> Iterator[Step]:
    extent, group_bytes, free = _room(declared, present)
    if declared.metadata_bytes is not None:
        size = _up(declared.metadata_bytes, extent)
        _refuse_shrinking("metadata_size", size, pool.metadata_bytes, pool)
        if size > pool.metadata_bytes:
            cost = size - pool.metadata_bytes + max(size - present.spare_bytes, 0)
            _refuse_shortage(cost, free, pool)
            free -= cost
            words = ("--poolmetadatasize", f"{size}b", pool.full_name)
            yield _step("metadata_bytes", pool.metadata_bytes, size, "lvextend", "-qy", *words)
    if declared.size is not None:
        most = free + pool.size_bytes
        size = _whole(declared.size, group_bytes, most, most, extent)
        if not isinstance(declared.size, Share) or declared.size.of == "VG":
            _refuse_shrinking("size", size, pool.size_bytes, pool)
        if size > pool.size_bytes:
            _refuse_shortage(size - pool.size_bytes, free, pool)
            words = ("--size", f"{size}b", pool.full_name)
            yield _step("size_bytes", pool.size_bytes, size, "lvextend", "-qy", *words)


def _property_steps(declared: Declaration, pool: ThinPoolVolume) -> Iterator[Step]:
    name = pool.full_name
    if declared.when_full is not None and declared.when_full != pool.when_full:
        yield _when_full(pool.when_full, declared.when_full, name)
    if declared.zero not in (None, pool.zero):
        word = "y" if declared.zero else "n"
        yield _step("zero", pool.zero, declared.zero, "lvchange", "-q", "-Z", word, name)
    if declared.discards not in (None, pool.discards):
        command = ("lvchange", "-q", "--discards", str(declared.discards), name)
        yield _step("discards", pool.discards, declared.discards, *command)


def _when_full(old: str, new: str, name: str) -> Step:
    word = "y" if new == "error" else "n"
    return _step("when_full", old, new, "lvchange", "-q", "--errorwhenfull", word, name)


def _monitoring_steps(
    declared: Declaration, present: Present, pool: ThinPoolVolume
) -> Iterator[Step]:
    name = pool.full_name
    if not declared.monitor:
        if pool.monitored:
            yield _step("monitor", True, False, "lvchange", "-q", "--monitor", "n", name)
        return
    wanted = _wanted_autoextension(declared, present.autoextension)
    if wanted != present.autoextension:
        profile = profile_name(declared)
        yield Step(
            "autoextension",
            _readable(present.autoextension),
            _readable(wanted),
            ("lvchange", "-q", "--metadataprofile", profile, name),
            (profile, profile_text(wanted)),
        )
    if not pool.monitored:
        yield _step("monitor", False, True, "lvchange", "-q", "--monitor", "y", name)
    # A profile set on an active pool reaches the kernel only by a refresh: until then the
    # low-water mark is 0, no event comes, and nothing is ever extended. At 100 % it stays 0.
    deaf = present.low_water_blocks == 0 and wanted.threshold_percent < 100
    if pool.active and (deaf or wanted != present.autoextension):
        yield _step(
            "low_water_mark", present.low_water_blocks, "set", "lvchange", "--refresh", name
        )


def _wanted_autoextension(declared: Declaration, found: Autoextension | None) -> Autoextension:
    """As declared; else as it is, unless that means never."""
    base = found if found and found.threshold_percent < 100 else DEFAULT_AUTOEXTENSION
    return Autoextension(
        declared.threshold if declared.threshold is not None else base.threshold_percent,
        declared.percent if declared.percent is not None else base.percent,
    )


def profile_name(declared: Declaration) -> str:
    """The profile that this project writes for a pool."""
    return f"dockerstorage-{declared.vg}-{declared.name}"


def profile_text(wanted: Autoextension) -> str:
    """A metadata profile, lvm.conf(5); dmeventd extends metadata by the same rule."""
    return (
        "# Written by Salt (dockerstorage.thinpool).\n"
        "activation {\n"
        f"\tthin_pool_autoextend_threshold={wanted.threshold_percent}\n"
        f"\tthin_pool_autoextend_percent={wanted.percent}\n"
        "}\n"
    )


def _readable(found: Autoextension | None) -> str | None:
    if found is None or found.threshold_percent >= 100:
        return None
    return f"above {found.threshold_percent} % by {found.percent} %"


def _step(key: str, old: Any, new: Any, *command: str) -> Step:
    return Step(key, old, new, command)


def _usual_metadata(size: int | Share, group_bytes: int) -> int:
    """One hundredth, as Docker's manual has it, which is plenty for chunks of 512 KiB."""
    whole = group_bytes if isinstance(size, Share) else size
    return min(max(whole // 100, 16 * MIB), MAX_METADATA_BYTES)


def _whole(size: int | Share, group_bytes: int, free: int, most: int, extent: int) -> int:
    """Bytes of a declared size, in whole extents; a share never takes more than there is."""
    if isinstance(size, int):
        return _up(size, extent)
    whole = group_bytes if size.of == "VG" else free
    return min(int(whole * size.percent / 100), most) // extent * extent


def _refuse_shrinking(argument: str, wanted: int, found: int, pool: ThinPoolVolume) -> None:
    if wanted < found:
        raise Refused(
            f"{argument}: {pool.full_name} has {found} bytes and would have to shrink to {wanted}, "
            "which LVM cannot do with a thin pool: declare at least what there is"
        )


def _refuse_shortage(wanted: int, free: int, pool: ThinPoolVolume) -> None:
    if wanted > free:
        raise Refused(
            f"the volume group {pool.vg} has {free} bytes free: {wanted - free} bytes are missing "
            f"to extend {pool.full_name}; declare another device"
        )


def _up(size: int, extent: int) -> int:
    return -(-size // extent) * extent
