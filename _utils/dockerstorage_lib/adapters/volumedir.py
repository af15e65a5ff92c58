"""Writes into the engine's data root: a volume's directory, the logs of a container.

    volumes/<name>/_data                      the volume, as containers see it
    volumes/<name>/_data.dockerstorage-new    data that is being written; takes _data's place whole
    volumes/<name>/_data.dockerstorage-old    what was in its place, for the moment of the exchange
    volumes/<name>/dockerstorage-import       which import made it, and whether it is whole

The engine looks at ``_data`` and ``opts.json`` alone, and removes all of it with the volume.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import Refused
from .durable import sync_folder

DATA = "_data"
NEW = "_data.dockerstorage-new"
OLD = "_data.dockerstorage-old"
MARK = "dockerstorage-import"
PLACEHOLDER = ".dockerstorage-import"
CHUNK_BYTES = 1 << 20


def folder(root: str, name: str, mountpoint: str) -> Path:
    """A volume's directory; raises Refused if its data is not where the local driver has it."""
    data, place = Path(mountpoint), Path(root, "volumes").resolve()
    path = data.parent
    if (path.name, data.name) != (name, DATA) or path.parent.resolve() != place or _linked(path):
        raise Refused(f"volume {name}: its data lies in {mountpoint}, not below {place}")
    return path


def _linked(path: Path) -> bool:
    return path.is_symlink() or (path / DATA).is_symlink()


def read_mark(path: Path, bundle_id: str) -> str:
    """What an import of that bundle left: "begun", "done", or nothing."""
    try:
        found = json.loads((path / MARK).read_text())
        return str(found["state"]) if found["bundle"] == bundle_id else ""
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return ""


def write_mark(path: Path, bundle_id: str, state: str) -> None:
    """Say on disk how far an import is with a volume."""
    new = path / f"{MARK}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps({"bundle": bundle_id, "state": state}))
        file.flush()
        os.fsync(file.fileno())
    new.rename(path / MARK)
    sync_folder(path)


def is_empty(path: Path) -> bool:
    """Whether a volume has no data."""
    try:
        return all(one.name == PLACEHOLDER for one in (path / DATA).iterdir())
    except FileNotFoundError:
        return True


@contextmanager
def kept_empty(path: Path) -> Iterator[None]:
    """Within it the engine takes an empty volume for one with data, and copies nothing into it.

    When a container is made, the engine fills empty volumes with what the image has at their place.
    """
    data = path / DATA
    before, placeholder = data.stat(), data / PLACEHOLDER
    placeholder.touch()
    try:
        yield
    finally:
        placeholder.unlink(missing_ok=True)
        os.utime(data, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_data(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new directory and put it in the place of a volume's data in one step.

    fill waits until what it wrote is on disk. Whatever happens, the volume has its old data or all
    of the new.
    """
    new, old, data = path / NEW, path / OLD, path / DATA
    if data.is_mount():
        raise Refused(f"{data} is a mount point: unmount it, or fill that volume by hand")
    if old.exists() and not data.exists():
        old.rename(data)
    for left in (new, old):
        if left.exists():
            shutil.rmtree(left)
    new.mkdir(mode=0o700)
    fill(new)
    data.rename(old)
    new.rename(data)
    sync_folder(path)
    shutil.rmtree(old)


def write_logs(root: str, container_id: str, logs: Iterable[BinaryIO]) -> None:
    """Put a container's logs, the oldest first, where the json-file driver looks for them."""
    path = Path(root, "containers", container_id)
    streams = list(logs)
    for number, stream in enumerate(reversed(streams)):
        head = stream.read(CHUNK_BYTES)
        # Rotated files are compressed if the container's options say so.
        packed = ".gz" if head.startswith(b"\x1f\x8b") else ""
        name = f"{container_id}-json.log" + (f".{number}{packed}" if number else "")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path / name, flags, 0o640), "wb") as file:
            while head:
                file.write(head)
                head = stream.read(CHUNK_BYTES)
