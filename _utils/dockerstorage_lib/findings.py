"""What is wrong or dangerous about a host's Docker storage, and the way out: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from .devmapper import ThinPoolStatus
from .driverconflicts import find_conflicts
from .gather import driver_status
from .levels import level
from .poolview import Pool, writes_failed

if TYPE_CHECKING:
    from .report import Sight


@dataclass(frozen=True)
class Finding:
    """Something that the operator should know, and the way out."""

    code: str
    text: str
    remedy: str


HALF = 50.0
HEALTH = {
    "failed": Finding(
        "pool_failed",
        "The kernel gave the thin pool up: it can be neither read nor written.",
        "Mend the disk below, then run dockerstorage.recover: it repairs the metadata and keeps "
        "the old. Prune cannot help.",
    ),
    "needs_check": Finding(
        "pool_needs_check",
        "The pool's metadata must be checked before it can be written again.",
        "Run dockerstorage.recover (test=True first): it takes the pool offline, repairs the "
        "metadata and keeps the old. Prune cannot help.",
    ),
    "read_only": Finding(
        "pool_read_only",
        "The pool is read-only, mostly because its metadata is full.",
        "Extend the metadata (lvextend --poolmetadatasize). Prune cannot help.",
    ),
    "out_of_data_space": Finding(
        "pool_out_of_data_space",
        "The pool's data is full: writes wait or fail.",
        "Extend the pool (lvextend) or prune (dockerstorage.prune) at once.",
    ),
}


def find_all(sight: Sight) -> list[Finding]:
    """All that was seen to be wrong, the worst first."""
    found: list[Finding] = []
    if sight.pool is not None:
        found += _health(sight.pool)
    found += _engine(sight)
    if sight.configuration is not None:
        running = sight.site.driver if sight.info is not None else ""
        found += [Finding(*astuple(one)) for one in find_conflicts(sight.configuration, running)]
    if sight.pool is not None:
        found += _setup(sight.pool)
        found += _driver_options(driver_status(sight.info or {}))
    return found


def _health(pool: Pool) -> Iterator[Finding]:
    if pool.health in HEALTH:
        yield HEALTH[pool.health]
    if not isinstance(pool.status, ThinPoolStatus):
        return
    if writes_failed(pool.status, pool.table):
        yield Finding(
            "pool_writes_failed",
            "Writes waited for room for too long: the kernel has failed them, and when the pool is "
            "full again fails others at once.",
            "Extend the pool; then look at what the containers wrote last, and restart those "
            "whose file system has stopped.",
        )
    for name, percent in (
        ("data", pool.status.data_percent),
        ("metadata", pool.status.metadata_percent),
    ):
        if level(percent) != "ok":
            yield Finding(
                f"pool_{name}_{level(percent)}",
                f"The pool's {name} is at {percent:g} %; Docker creates nothing above 90 %.",
                "Prune (dockerstorage.prune) or extend the pool.",
            )
    # An empty pool's metadata is always fuller than its data; it matters when it fills up.
    if pool.status.metadata_percent > max(pool.status.data_percent, HALF):
        yield Finding(
            "metadata_fuller_than_data",
            f"Metadata ({pool.status.metadata_percent:g} %) is nearer to full than data "
            f"({pool.status.data_percent:g} %), and full metadata is the worse failure.",
            "Watch both; extend metadata first (lvextend --poolmetadatasize).",
        )
    if pool.status.held_metadata_root is not None:
        yield Finding(
            "metadata_snapshot_held",
            "A metadata snapshot of the pool is held: nothing that is deleted becomes free.",
            f"If no tool reads it: dmsetup message {pool.name} 0 release_metadata_snap",
        )


def _engine(sight: Sight) -> Iterator[Finding]:
    if sight.migration is not None:
        plan = sight.migration.plan
        yield Finding(
            "migration_open",
            f"The migration from {plan.source} to {plan.target} is not over: "
            f"{sight.migration.outcome or 'it was cut'}.",
            "See dockerstorage.migration. Prune nothing until it is committed or rolled back.",
        )
    elif sight.hidden is not None:
        yield Finding(
            "hidden_store",
            f"A devicemapper store with {sight.hidden.images} images and "
            f"{sight.hidden.containers} containers lies in {sight.hidden.path}, and the engine, "
            f"now on {sight.site.driver or 'no driver'}, does not see it.",
            "Prune nothing: volumes and networks of those containers look unused. Take all out of "
            "the store with dockerstorage.rescue, or go back to Docker 24 or older.",
        )
    if sight.info is None and any(what == "engine" for what, _ in sight.unseen):
        yield Finding(
            "engine_silent",
            "The Docker engine does not answer.",
            "See 'systemctl status docker' and 'journalctl -u docker'. If it hangs on its pool: "
            "dockerstorage.recover test=True.",
        )


def _setup(pool: Pool) -> Iterator[Finding]:
    if pool.kind == "loop-lvm":
        yield Finding(
            "loop_lvm",
            "The pool lives in sparse loop files: slow, and removed data does not return to the "
            "file system for sure.",
            "Move to overlay2, or to an LVM thin pool (direct-lvm).",
        )
    if pool.volume is None:
        return
    extension = pool.autoextension
    if not pool.volume.monitored or extension is None or extension.threshold_percent >= 100:
        yield Finding(
            "no_autoextension",
            "LVM does not extend the pool when it fills up.",
            f"Set thin_pool_autoextend_threshold below 100 in a profile of "
            f"{pool.volume.vg}/{pool.volume.name} and turn monitoring on "
            f"(lvchange --monitor y {pool.volume.vg}/{pool.volume.name}).",
        )
    elif pool.table.low_water_blocks == 0:
        yield Finding(
            "low_water_zero",
            "LVM should extend the pool, but the kernel's low-water mark is 0: no event comes.",
            f"lvchange --refresh {pool.volume.vg}/{pool.volume.name}",
        )
    if pool.volume.vg_missing_devices:
        yield Finding(
            "vg_devices_missing",
            f"{pool.volume.vg_missing_devices} devices of {pool.volume.vg} are missing.",
            "Bring the disks back before anything else.",
        )


def _driver_options(status: Mapping[str, Any]) -> Iterator[Finding]:
    for name, code in (
        ("Deferred Removal Enabled", "deferred_removal_off"),
        ("Deferred Deletion Enabled", "deferred_deletion_off"),
        ("Udev Sync Supported", "udev_sync_off"),
    ):
        if status.get(name) == "false":
            yield Finding(code, *_OPTION_TEXTS[code])


_OPTION_TEXTS = {
    "deferred_removal_off": (
        "Deferred removal is off: a busy device makes stop and rm fail and leaves devices behind.",
        "Add dm.use_deferred_removal=true to storage-opts and restart Docker.",
    ),
    "deferred_deletion_off": (
        "Deferred deletion is off: removing a container whose device is busy fails.",
        "Add dm.use_deferred_deletion=true to storage-opts and restart Docker.",
    ),
    "udev_sync_off": (
        "This engine does not wait for udev: devices may vanish under it.",
        "Use an engine that is linked with libdevmapper dynamically.",
    ),
}
