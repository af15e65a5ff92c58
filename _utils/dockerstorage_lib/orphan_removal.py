"""Remove orphans of a devicemapper store whose engine is stopped: names first, blocks last."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .adapters import dmsetup
from .adapters.durable import sync_folder
from .adapters.records import Record
from .adapters.store import DRIVER, entries
from .errors import BrokenOff, CommandFailed, DockerstorageError, Incoherent, Refused
from .orphans import LAYERDB, METADATA, Orphan

#: Where a folder of layerdb lies from the moment on at which it is none any more.
ASIDE = "dockerstorage-orphan-"


def keep(root: str, found: Sequence[Orphan], record: Record) -> None:
    """Copy every file that is to go into the record; raises Refused if that cannot be."""
    try:
        for path in (Path(root, one) for orphan in found for one in orphan.paths):
            for file in (path, *path.rglob("*")) if path.is_dir() else (path,):
                if file.is_file() and not file.is_symlink():
                    record.keep(file, Path(root))
    except OSError as error:
        raise Refused(f"what would be removed cannot be kept in {record.folder}: {error}") from None


def remove(
    root: str, pool: str, found: Sequence[Orphan], record: Record, tell: Callable[[Orphan], None]
) -> None:
    """Remove them in the order given; raises BrokenOff. A repeat of the whole goes on from there.

    A name goes before what it names: a file that names a device which is gone would name the next
    one that gets its number.
    """
    done: list[str] = []
    clear_aside(root)
    for orphan in found:
        tell(orphan)
        try:
            _remove(root, pool, orphan, record)
        except (DockerstorageError, OSError) as error:
            raise BrokenOff("removal of orphans", f"{orphan.name}: {error}", done) from None
        done.append(f"{orphan.kind} {orphan.name}")


def clear_aside(root: str) -> None:
    """Remove what a removal that was cut had taken out of layerdb."""
    for path in entries(Path(root, LAYERDB, "tmp")):
        if path.name.startswith(ASIDE):
            shutil.rmtree(path)


def _remove(root: str, pool: str, orphan: Orphan, record: Record) -> None:
    if orphan.folder is not None:
        record.note(act="remove folder", path=orphan.folder)
        _remove_folder(root, Path(root, orphan.folder))
    for name in orphan.records:
        record.note(act="remove file", path=f"{METADATA}/{name}")
        _remove_record(root, name)
    for number in orphan.device_ids:
        record.note(act="delete device", device_id=number)
        delete_device(pool, number)


def _remove_folder(root: str, folder: Path) -> None:
    """It goes as a whole: half of one would be no orphan, but damage."""
    aside = Path(root, LAYERDB, "tmp", f"{ASIDE}{folder.name}")
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    folder.rename(aside)
    sync_folder(folder.parent)
    shutil.rmtree(aside)


def _remove_record(root: str, name: str) -> None:
    path = Path(root, METADATA, name)
    path.unlink(missing_ok=True)
    sync_folder(path.parent)
    with suppress(OSError):
        Path(root, DRIVER, "mnt", name).rmdir()  # if it is there and empty


def delete_device(pool: str, number: int) -> None:
    """Delete a thin device, which must not be active; raises CommandFailed, Incoherent."""
    try:
        dmsetup.message(pool, 0, f"delete {number}")
    except CommandFailed as error:
        if "No data available" not in error.stderr:
            raise
        raise Incoherent(f"thin device {number}", "in the pool", "none") from None
