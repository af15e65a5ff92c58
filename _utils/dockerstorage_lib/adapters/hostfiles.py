"""Files of the host: Docker's configuration, mounts, sparse files."""

from __future__ import annotations

import glob
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Unparsable

DAEMON_CONFIG = Path("/etc/docker/daemon.json")
#: Where distributions and operators write the engine's flags, what counts most first.
FLAG_FILES = (
    *(
        f"{place}/systemd/system/docker.service{name}"
        for place in ("/etc", "/run", "/usr/lib", "/lib")
        for name in (".d/*.conf", "")
    ),
    "/etc/sysconfig/docker*",
    "/etc/default/docker",
    "/etc/conf.d/docker",
)


@dataclass(frozen=True)
class SparseFile:
    """A file of which only a part may have blocks."""

    path: str
    apparent_bytes: int
    allocated_bytes: int


def daemon_config(path: Path = DAEMON_CONFIG) -> dict[str, Any]:
    """The engine's configuration file; empty if there is none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise Unparsable(f"{path} ({error})", text[:80]) from None
    if not isinstance(found, dict):
        raise Unparsable(f"{path} (no object)", text[:80])
    return found


def engine_flags(patterns: Iterable[str] = FLAG_FILES) -> str:
    """The files that hold the engine's flags, without comments; empty if there are none."""
    paths = [path for pattern in patterns for path in sorted(glob.glob(pattern))]  # noqa: PTH207
    lines = (line for path in paths for line in _read(path).splitlines())
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:  # a directory, or gone
        return ""


def sparse_file(path: str) -> SparseFile | None:
    """Apparent and allocated size of a file; None if it is not there."""
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return None
    return SparseFile(path, stat.st_size, stat.st_blocks * 512)


def device_and_inode(path: str) -> str | None:
    """``MAJOR:MINOR-INODE`` of a directory, the middle of Docker's device names."""
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return None
    return f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}-{stat.st_ino}"


def mounts_by_device() -> dict[str, tuple[str, ...]]:
    """Mount points of every block device ("254:3"), in all mount namespaces."""
    found: dict[str, set[str]] = defaultdict(set)
    seen: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            namespace = os.readlink(process / "ns" / "mnt")  # noqa: PTH115
            if namespace in seen:
                continue
            text = (process / "mountinfo").read_text()
        except OSError:  # the process ended meanwhile
            continue
        seen.add(namespace)
        for device, point in parse_mountinfo(text):
            found[device].add(point)
    return {device: tuple(sorted(points)) for device, points in found.items()}


def parse_mountinfo(text: str) -> list[tuple[str, str]]:
    """Device numbers and mount points of a mountinfo file, proc(5)."""
    rows = (line.split() for line in text.splitlines())
    return [(row[2], _unescape(row[4])) for row in rows if len(row) > 4]


def _unescape(path: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        path = path.replace(code, character)
    return path
