"""What this host's kernel, its file systems and its programs offer to storage drivers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .. import drivers
from .shell import SYSTEM_PATH

#: It is there as long as udevd runs.
_UDEV_CONTROL = Path("/run/udev/control")


def facts(data_root: str, engine_version: str | None) -> drivers.Facts:
    """See what the host offers; data_root need not be there yet."""
    release = os.uname().release
    return drivers.Facts(
        release,
        drivers.distribution_of(_text(Path("/etc/os-release"))),
        _kernel_parts(release),
        frozenset(name for name in drivers.TOOLS if shutil.which(name, path=SYSTEM_PATH)),
        _UDEV_CONTROL.exists(),
        _file_system(data_root),
        engine_version,
    )


def _kernel_parts(release: str) -> frozenset[str]:
    lists = Path("/lib/modules") / release
    names = drivers.module_names(_text(lists / "modules.builtin"), _text(lists / "modules.dep"))
    # What is loaded may have been removed from the disk by an update of the kernel.
    names |= {line.split()[-1] for line in _text(Path("/proc/filesystems")).splitlines()}
    found = {name for name in drivers.KERNEL_PARTS if name in names}
    loaded = {name for name in drivers.KERNEL_PARTS if (Path("/sys/module") / name).is_dir()}
    return frozenset(found | loaded)


def _file_system(data_root: str) -> drivers.FileSystem:
    path = Path(os.path.realpath(data_root))
    while not path.is_dir():
        path = path.parent
    kind, source = drivers.file_system_of(_text(Path("/proc/self/mountinfo")), str(path))
    return drivers.FileSystem(data_root, kind, source, _d_type(path))


def _d_type(folder: Path) -> bool | None:
    """Whether entries of directories have a type; None if that cannot be tried.

    A file is removed after its entry was read: only an entry that carries the type itself can
    then still tell it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".dockerstorage-", dir=folder) as trial:
            file = Path(trial) / "file"
            file.touch()
            with os.scandir(trial) as entries:
                (entry,) = entries
            file.unlink()
            return entry.is_file(follow_symlinks=False)
    except OSError:  # full, or read-only
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
