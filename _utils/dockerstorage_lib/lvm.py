"""What LVM says of a thin pool, read from ``lvs --reportformat json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Unparsable

COLUMNS = (
    "vg_name,lv_name,lv_dm_path,lv_size,lv_metadata_size,chunk_size,lv_when_full,"
    "lv_health_status,lv_check_needed,seg_monitor,lv_profile,transaction_id,discards,zero,"
    "vg_free,vg_extent_size,vg_missing_pv_count"
)


@dataclass(frozen=True)
class ThinPoolVolume:
    """A thin pool as LVM's metadata describes it."""

    vg: str
    name: str
    dm_name: str
    size_bytes: int
    metadata_bytes: int
    chunk_bytes: int
    #: "error" or "queue"
    when_full: str
    health: str
    check_needed: bool
    monitored: bool
    profile: str
    vg_free_bytes: int
    vg_extent_bytes: int
    vg_missing_devices: int


def parse_pools(text: str) -> tuple[ThinPoolVolume, ...]:
    """Read the thin pools of a report with COLUMNS, in bytes without suffix."""
    try:
        rows = json.loads(text)["report"][0]["lv"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise Unparsable("lvs report", text[:200]) from None
    return tuple(map(_pool, rows))


def _pool(row: Mapping[str, str]) -> ThinPoolVolume:
    try:
        return ThinPoolVolume(
            vg=row["vg_name"],
            name=row["lv_name"],
            dm_name=row["lv_dm_path"].rpartition("/")[2],
            size_bytes=int(row["lv_size"]),
            metadata_bytes=int(row["lv_metadata_size"]),
            chunk_bytes=int(row["chunk_size"]),
            when_full=row["lv_when_full"],
            health=row["lv_health_status"],
            check_needed=row["lv_check_needed"] == "check needed",
            monitored=row["seg_monitor"] == "monitored",
            profile=row["lv_profile"],
            vg_free_bytes=int(row["vg_free"]),
            vg_extent_bytes=int(row["vg_extent_size"]),
            vg_missing_devices=int(row["vg_missing_pv_count"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Unparsable(f"lvs report ({error})", json.dumps(row)) from None


def parse_setting(text: str) -> int:
    """Read ``key=number`` as lvmconfig prints it."""
    _, equals, value = text.strip().partition("=")
    if not equals or not value.isdigit():
        raise Unparsable("lvmconfig setting", text)
    return int(value)
