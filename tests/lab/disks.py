"""The files behind a guest's block devices: root, data disks, and copies of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.uml import Drive

FIRST_DISK = 2  # after the root and the Salt image
COPY_TIMEOUT = 600


class Disks:
    """Root (copy-on-write over a shared image) and data disks, in a guest's directory."""

    def __init__(self, directory: Path, base: Path, salt: Path) -> None:
        self._directory, self._base, self._salt = directory, base, salt

    def add(self, size_bytes: int) -> tuple[int, Path]:
        """A new sparse disk; its number and its file."""
        number = FIRST_DISK + len(self._data())
        path = self._numbered(number)
        with path.open("wb") as image:
            image.truncate(size_bytes)
        return number, path

    def path(self, device: str) -> Path:
        """The file behind /dev/ubdX."""
        return self._numbered(ord(device[-1]) - ord("a"))

    def drives(self) -> list[Drive]:
        """All of them, in their order, as the kernel takes them."""
        root = Drive(f"{self._root()},{self._base}")
        salt = Drive(str(self._salt), "rc")  # read-only, shared by all guests
        return [root, salt, *(Drive(str(path)) for path in self._data())]

    def drop_root(self) -> None:
        """Forget what was written to the root."""
        self._root().unlink(missing_ok=True)

    def save(self, target: Path) -> None:
        """Copy them to a directory."""
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        _copy([self._root(), *self._data()], target)

    def load(self, source: Path) -> None:
        """Replace them by those of a directory made by `save`."""
        for path in (self._root(), *self._data()):
            path.unlink(missing_ok=True)
        _copy([source / "root.cow", *sorted(source.glob("disk-*.img"))], self._directory)

    def _root(self) -> Path:
        return self._directory / "root.cow"

    def _data(self) -> list[Path]:
        return sorted(self._directory.glob("disk-*.img"))

    def _numbered(self, number: int) -> Path:
        return self._directory / f"disk-{number:02}.img"


def device(number: int) -> str:
    """The name of a disk in the guest."""
    return f"/dev/ubd{chr(ord('a') + number)}"


def _copy(paths: Sequence[Path], target: Path) -> None:
    """Copies that keep the holes, shared with the original where the file system can."""
    argv = ["cp", "--sparse=auto", "--reflink=auto", "--", *map(str, paths), str(target)]
    subprocess.run(argv, check=True, timeout=COPY_TIMEOUT)
