"""An export from the first look to the bundle's name: check, write, rename, tell."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import export, export_journal, summary
from .adapters import store
from .adapters.durable import sync_folder
from .adapters.engine_export import ExportEngine
from .bundle import MANIFEST, read_path
from .errors import BadInput, Refused
from .export_options import Options
from .export_plan import ExportPlan
from .jobs import Job

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


def partial_path(dest: Path) -> Path:
    """Where a bundle is written before it has its name; resumed from there."""
    return dest.with_name(f".{dest.name}.partial")


def read_dest(dest: str, replace: bool) -> Path:
    """Check where the bundle is to go; raises BadInput or Refused."""
    path = read_path("dest", dest)
    if not path.parent.is_dir():
        raise BadInput(f"dest: there is no directory {path.parent}; make it first")
    if path.exists() and not (replace and (path / MANIFEST).is_file()):
        how = "it is no bundle" if replace else "name another place, or say replace=True"
        raise Refused(f"{path} exists already: {how}")
    return path


def check_place(dest: Path, plan: ExportPlan, inside: bool, check_room: bool) -> None:
    """Refuse a place below the data root, and one with too little room."""
    root = Path(plan.site.root).resolve()
    if not inside and root in (dest.parent.resolve() / dest.name).parents:
        raise Refused(
            f"{dest} lies below the engine's data root {root}, which the bundle is to outlive: "
            "name another place, or say inside_data_root=True"
        )
    partial = partial_path(dest)
    there = sum(path.stat().st_size for path in partial.rglob("*")) if partial.is_dir() else 0
    free = store.free_bytes(str(dest.parent)) + there
    if check_room and free < plan.total_bytes:
        raise Refused(
            f"{dest.parent} has {summary.human_bytes(free)} free, and the bundle may need "
            f"{summary.human_bytes(plan.total_bytes)} if nothing can be compressed: make room, "
            "name another place, or say check_room=False (a full disk ends the export; the next "
            "one goes on from there)"
        )


def carry_out(
    plan: ExportPlan,
    engine: ExportEngine,
    dest: Path,
    options: Options,
    job: Job,
    clock: Callable[[], float],
    cold: export.Cold | None = None,
) -> dict[str, Any]:
    """Write the bundle and give it its name; the result as plain values.

    cold: as of ``export.carry_out``.
    """
    partial = partial_path(dest)
    job.total_bytes = plan.total_bytes
    try:
        outcome = export.carry_out(plan, engine, partial, options, job, clock, cold)
    except OSError as error:
        raise Refused(
            f"{partial}: {error.strerror}; what is written stays there, and the next export to "
            f"{dest} goes on from it"
        ) from None
    _take_name(partial, dest)
    return as_dict(plan, dest, outcome)


def _take_name(partial: Path, dest: Path) -> None:
    """The bundle appears whole, and takes the place of an old one."""
    (partial / export_journal.NAME).unlink()
    sync_folder(partial)
    if dest.exists():
        _exchange(partial, dest)
        sync_folder(dest.parent)
        shutil.rmtree(partial)
    else:
        partial.rename(dest)
    sync_folder(dest.parent)


def _exchange(one: Path, other: Path) -> None:
    """Swap two names in one step, renameat2(2)."""
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if _libc.renameat2(*names) != 0:
        number = ctypes.get_errno()
        raise Refused(
            f"{other} cannot be replaced in one step ({os.strerror(number)}): move it away. The "
            f"new bundle is whole in {one}"
        )


def as_dict(plan: ExportPlan, dest: Path, outcome: export.Outcome | None) -> dict[str, Any]:
    """An export as plain values; without an outcome it was planned only."""
    chosen = plan.inventory
    result: dict[str, Any] = {
        "test": outcome is None,
        "bundle": str(dest),
        "estimated_bytes": plan.total_bytes,
        "free_bytes": store.free_bytes(str(dest.parent)),
        "images": [one.name for one in chosen.images],
        "containers": [one.name for one in chosen.containers],
        "volumes": [one.name for one in chosen.volumes],
        "networks": [one.name for one in chosen.networks],
        "not_taken": [asdict(one) for one in plan.not_taken],
        "complete": True,
    }
    if outcome is not None:
        found = outcome.manifest
        files = [path for path in dest.rglob("*") if path.is_file()]
        result |= {
            "id": found.id,
            "bytes": sum(path.stat().st_size for path in files),
            "plain_bytes": _plain_bytes(found),
            "reused": outcome.reused,
            "paused_seconds": dict(outcome.paused_seconds),
            "not_taken": [asdict(one) for one in found.not_taken],
            "complete": not outcome.failed,
        }
    result["summary"] = summary.export_lines(result)
    return result


def _plain_bytes(found: export.Manifest) -> int:
    data = [one.data for one in found.volumes if one.data]
    records = [*found.layers.values(), *data, *(one.changes for one in found.containers)]
    return sum(one.plain_bytes for one in records)
