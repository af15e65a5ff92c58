"""One thin pool as an operator sees it: kernel, LVM and files put together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import devmapper
from .adapters import dmsetup, hostfiles, lvm, store
from .devmapper import METADATA_BLOCK_BYTES, FailedTarget, ThinPoolStatus, ThinPoolTable
from .errors import DockerstorageError
from .gather import Site
from .levels import level
from .lvm import Autoextension, ThinPoolVolume

DEFAULT_ROOT = "/var/lib/docker"


@dataclass(frozen=True)
class Pool:
    """Docker's thin pool at one moment."""

    name: str
    #: "loop-lvm", "direct-lvm" or "managed direct-lvm"
    kind: str
    status: ThinPoolStatus | FailedTarget
    table: ThinPoolTable
    volume: ThinPoolVolume | None = None
    autoextension: Autoextension | None = None
    #: The sparse files of loop-lvm, "data" and "metadata"; empty for any other kind.
    loop_files: Mapping[str, hostfiles.SparseFile] = field(default_factory=dict)

    @property
    def health(self) -> str:
        return self.status.health


def configured_root(data_root: str | None, config: Mapping[str, Any], flags: str = "") -> str:
    """The data root as given, as configured in daemon.json or by flags, or Docker's default."""
    flag = re.search(r"(?:--data-root|--graph|[\s\"']-g)[= ]([^\s\"',]+)", flags)
    configured = config.get("data-root") or config.get("graph") or (flag and flag[1])
    return data_root or configured or DEFAULT_ROOT


def configured_pools(config: Mapping[str, Any], flags: str) -> list[str]:
    """Device-mapper names of the thin pools that daemon.json or flags name."""
    text = "\n".join([*map(str, config.get("storage-opts") or ()), flags])
    return [path.rpartition("/")[2] for path in re.findall(r"dm\.thinpooldev=([^\s\"',]+)", text)]


def find_pool_name(data_root: str | None = None) -> str | None:
    """The active pool of Docker, without asking the engine; None if none is found."""
    names = pool_names(data_root)
    active = dmsetup.status("thin-pool") if names else {}
    return next((name for name in names if name in active), None)


def pool_names(data_root: str | None = None) -> list[str]:
    """What Docker's pool may be called, active or not, by its configuration and its store."""
    config, flags = hostfiles.daemon_config(), hostfiles.engine_flags()
    root = configured_root(data_root, config, flags)
    names = []
    middle = hostfiles.device_and_inode(f"{root}/{store.DRIVER}")
    if middle is not None:
        names.append(f"docker-{middle}-pool")
    names += configured_pools(config, flags)
    if store.managed_device(root):
        names.append("docker-thinpool")
    return names


def read_pool(site: Site, unseen: list[tuple[str, str]]) -> Pool | None:
    """See Docker's pool; what cannot be seen is added to unseen with the reason."""
    if site.pool is None:
        return None
    status, table = dmsetup.pool_status(site.pool), dmsetup.pool_table(site.pool)
    files = loop_files(site.root)
    if files:
        return Pool(site.pool, "loop-lvm", status, table, loop_files=files)
    kind = "managed direct-lvm" if store.managed_device(site.root) else "direct-lvm"
    try:
        volume = find_volume(site.pool)
        extension = lvm.autoextension(volume.profile) if volume else None
    except DockerstorageError as error:
        unseen.append(("volume group", str(error)))
        volume, extension = None, None
    return Pool(site.pool, kind, status, table, volume, extension)


def find_volume(pool: str, timeout_seconds: float = lvm.TIMEOUT_SECONDS) -> ThinPoolVolume | None:
    """LVM's own view of a pool, by its device-mapper name; None if it is not LVM's."""
    name = devmapper.lvm_name(pool)
    volumes = lvm.thin_pools(timeout_seconds)
    return next((volume for volume in volumes if volume.dm_name == name), None)


def figures(status: ThinPoolStatus | FailedTarget, table: ThinPoolTable) -> dict[str, Any]:
    """The cheap figures of a pool as plain values, sizes in bytes."""
    if isinstance(status, FailedTarget):
        return {"health": status.health, "level": "emergency", "data": None, "metadata": None}
    return {
        "health": status.health,
        "level": level(status.fullest_percent),
        "mode": status.mode,
        "needs_check": status.needs_check,
        "when_full": status.when_full or table.when_full,
        "writes_failed": writes_failed(status, table),
        "data": {
            "used_bytes": status.used_data_blocks * table.data_block_bytes,
            "total_bytes": status.total_data_blocks * table.data_block_bytes,
            "percent": status.data_percent,
        },
        "metadata": {
            "used_bytes": status.used_metadata_blocks * METADATA_BLOCK_BYTES,
            "total_bytes": status.total_metadata_blocks * METADATA_BLOCK_BYTES,
            "percent": status.metadata_percent,
        },
        "block_bytes": table.data_block_bytes,
        "low_water_blocks": table.low_water_blocks,
        "transaction_id": status.transaction_id,
        "metadata_snapshot_held": status.held_metadata_root is not None,
    }


def writes_failed(status: ThinPoolStatus, table: ThinPoolTable) -> bool:
    """Whether writes waited for room for so long that the kernel has failed them.

    After ``no_space_timeout`` dm-thin turns a pool that queues into one that fails, until it is
    loaded anew, as by an extension; its table still has what was asked for.
    """
    return (status.when_full, table.when_full) == ("error", "queue")


def cheap_figures(name: str) -> dict[str, Any]:
    """What the kernel alone tells of a pool; raises BadInput if the device is none."""
    return {"name": name, **figures(dmsetup.pool_status(name), dmsetup.pool_table(name))}


def as_dict(pool: Pool) -> dict[str, Any]:
    """All that is known of a pool as plain values."""
    found: dict[str, Any] = {"name": pool.name, "kind": pool.kind}
    found |= figures(pool.status, pool.table)
    if pool.volume is not None:
        found["vg"] = {
            "name": pool.volume.vg,
            "free_bytes": pool.volume.vg_free_bytes,
            "missing_devices": pool.volume.vg_missing_devices,
        }
        found["monitored"] = pool.volume.monitored
        if pool.autoextension is not None:
            found["autoextend_threshold"] = pool.autoextension.threshold_percent
            found["autoextend_percent"] = pool.autoextension.percent
    if pool.loop_files:
        found["loop_files"] = {name: asdict(file) for name, file in pool.loop_files.items()}
    return found


def loop_files(root: str) -> dict[str, hostfiles.SparseFile]:
    """The sparse files of a loop-lvm pool; empty if the store has none."""
    folder = f"{root}/{store.DRIVER}/{store.DRIVER}"
    files = {name: hostfiles.sparse_file(f"{folder}/{name}") for name in ("data", "metadata")}
    return {name: file for name, file in files.items() if file is not None}
