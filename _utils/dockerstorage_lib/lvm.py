"""What LVM says of its volumes, read from ``--reportformat json`` in bytes without suffix."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from .errors import Unparsable

T = TypeVar("T")

COLUMNS = (
    "vg_name,lv_name,lv_dm_path,lv_size,lv_metadata_size,chunk_size,lv_when_full,"
    "lv_health_status,lv_check_needed,seg_monitor,lv_profile,transaction_id,discards,zero,"
    "lv_active,vg_free,vg_extent_size,vg_missing_pv_count"
)
VG_COLUMNS = "vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count"
PV_COLUMNS = "pv_name,vg_name,pv_size,pv_free"
#: Volumes of any kind by name, and the spare that LVM keeps for repairs of pools' metadata.
LV_COLUMNS = "vg_name,lv_name,segtype,lv_size,lv_role"


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
    #: "passdown", "nopassdown" or "ignore"
    discards: str
    zero: bool
    active: bool
    vg_free_bytes: int
    vg_extent_bytes: int
    vg_missing_devices: int

    @property
    def full_name(self) -> str:
        """``vg/pool``, as LVM's commands take it."""
        return f"{self.vg}/{self.name}"


@dataclass(frozen=True)
class Autoextension:
    """When dmeventd extends a pool's data and metadata, and by how much; 100 means never."""

    threshold_percent: int
    percent: int


@dataclass(frozen=True)
class VolumeGroup:
    """A volume group."""

    name: str
    size_bytes: int
    free_bytes: int
    extent_bytes: int
    missing_devices: int


@dataclass(frozen=True)
class PhysicalVolume:
    """A physical volume; vg is empty if it belongs to none."""

    device: str
    vg: str
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Volume:
    """A logical volume of any kind, hidden ones too."""

    vg: str
    name: str
    segment_type: str
    size_bytes: int
    is_pool_spare: bool


def parse_pools(text: str) -> tuple[ThinPoolVolume, ...]:
    """Read the thin pools of an lvs report with COLUMNS."""
    return _rows(text, "lv", _pool)


def parse_groups(text: str) -> tuple[VolumeGroup, ...]:
    """Read a vgs report with VG_COLUMNS."""
    return _rows(text, "vg", _group)


def parse_devices(text: str) -> tuple[PhysicalVolume, ...]:
    """Read a pvs report with PV_COLUMNS."""
    return _rows(text, "pv", _device)


def parse_volumes(text: str) -> tuple[Volume, ...]:
    """Read an ``lvs -a`` report with LV_COLUMNS."""
    return _rows(text, "lv", _volume)


def _rows(text: str, kind: str, read: Callable[[Mapping[str, str]], T]) -> tuple[T, ...]:
    try:
        rows = json.loads(text)["report"][0][kind]
    except (ValueError, KeyError, IndexError, TypeError):
        raise Unparsable(f"{kind}s report", text[:200]) from None
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise Unparsable(f"{kind}s report ({error})", json.dumps(row)) from None
    return tuple(found)


def _pool(row: Mapping[str, str]) -> ThinPoolVolume:
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
        discards=row["discards"],
        zero=row["zero"] == "zero",
        active=row["lv_active"] == "active",
        vg_free_bytes=int(row["vg_free"]),
        vg_extent_bytes=int(row["vg_extent_size"]),
        vg_missing_devices=int(row["vg_missing_pv_count"]),
    )


def _group(row: Mapping[str, str]) -> VolumeGroup:
    return VolumeGroup(
        name=row["vg_name"],
        size_bytes=int(row["vg_size"]),
        free_bytes=int(row["vg_free"]),
        extent_bytes=int(row["vg_extent_size"]),
        missing_devices=int(row["vg_missing_pv_count"]),
    )


def _device(row: Mapping[str, str]) -> PhysicalVolume:
    return PhysicalVolume(row["pv_name"], row["vg_name"], int(row["pv_size"]), int(row["pv_free"]))


def _volume(row: Mapping[str, str]) -> Volume:
    return Volume(
        vg=row["vg_name"],
        name=row["lv_name"].strip("[]"),
        segment_type=row["segtype"],
        size_bytes=int(row["lv_size"]),
        is_pool_spare="spare" in row["lv_role"].split(","),
    )


def parse_settings(text: str) -> tuple[int, ...]:
    """Read lines of ``key=number`` as lvmconfig prints them."""
    return tuple(map(_setting, text.splitlines()))


def _setting(line: str) -> int:
    _, equals, value = line.strip().partition("=")
    if not equals or not value.isdigit():
        raise Unparsable("lvmconfig setting", line)
    return int(value)
