"""What must be on disk before anything else is done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def sync_folder(folder: Path) -> None:
    """Wait until the names in a directory are on disk; fsync(2) of a file does not see to that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, mode: int) -> None:
    """A file appears under its name, or in place of an older one, when it is whole and on disk.

    If that cannot be done nothing is left behind.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        _write_new(new, data, mode)
        new.rename(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    sync_folder(path.parent)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    # Others may have leave to write to the folder: what they put there must not be written through.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def journal_line(what: Mapping[str, Any]) -> bytes:
    """A line of a journal: what is noted, and when."""
    return json.dumps({"at": time.time(), **what}).encode() + b"\n"


def add_line(path: Path, what: Mapping[str, Any], make: bool = False) -> None:
    """Write a line at the end of a journal; it is on disk when this returns.

    make: whether the file is made if it is not there, rather than FileNotFoundError raised.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        text = file.read()
        # What was cut off in the middle of a line was never acted upon.
        file.seek(text.rfind(b"\n") + 1)
        file.truncate()
        file.write(journal_line(what))
        file.flush()
        os.fsync(file.fileno())
