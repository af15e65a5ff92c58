"""Where images lie: one directory per recipe hash, locks on it, and the removal of old ones."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

REPO = Path(__file__).resolve().parents[2]
LAB = Path(__file__).resolve().parent


def cache_root() -> Path:
    """The project's cache directory, made if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(base).expanduser() / "dockerstorage"
    root.mkdir(parents=True, exist_ok=True)
    return root


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """A short hash over texts and files, in the given order; a missing file counts as empty."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes() if part.exists() else b""
        data = part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if missing); waits for another holder."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def hold(directory: Path) -> IO[str]:
    """Mark `directory` as in use for as long as the returned file stays open."""
    path = directory / ".in-use"
    handle = path.open("a")
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.utime(path)  # when it was used last: see `remove_others`
    return handle


def is_held(directory: Path) -> bool:
    """Whether some process holds `directory`."""
    with (directory / ".in-use").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def remove_others(keep: Path, pattern: str) -> None:
    """Remove the siblings of `keep` that match `pattern` and that nobody uses.

    The one used last stays: going back and forth between two states of the tree costs no rebuild.
    """
    others = [path for path in keep.parent.glob(pattern) if path != keep and path.is_dir()]
    for other in sorted(others, key=_last_used, reverse=True)[1:]:
        if not is_held(other):
            shutil.rmtree(other, ignore_errors=True)


def _last_used(directory: Path) -> float:
    mark = directory / ".in-use"
    return (mark if mark.exists() else directory).stat().st_mtime
