"""A store of overlay2 in the making, in a folder beside the engine's own.

    overlay2/<id>/diff        the files of one layer; a deleted name is a character device 0:0
    overlay2/<id>/link        a short name for it, with which mount options stay short
    overlay2/<id>/lower       the short names of all layers below, the nearest first
    overlay2/<id>/work        for the kernel; only where there are layers below, as ``merged``
    overlay2/<id>/committed   something lies above it
    overlay2/l/<short name>   a link to ``../<id>/diff``
    image/overlay2/layerdb    what the engine knows of the layers, a folder each

As the engine's driver makes them (github.com/moby/moby, ``daemon/graphdriver/overlay2``). Layers
keep the ids that they have in the old store, so that its records serve as they are.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from ..errors import Refused

DRIVER = "overlay2"
#: As the driver has it, for the mount options of the deepest layer to fit into a page.
MAX_DEPTH = 128
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LINK_LENGTH = 26


class OverlayStore:
    """A store below a folder; owner: uid and gid of the containers' root."""

    def __init__(self, folder: Path, owner: tuple[int, int]) -> None:
        self._owner = owner
        self.layers = folder / DRIVER
        self.image = folder / "image" / DRIVER
        self.layerdb = self.image / "layerdb"
        for path in (self.layerdb / "sha256", self.layerdb / "mounts"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder(self.layers)
        self._folder(self.layers / "l")

    def add(self, id_: str, below: str | None, fill: Callable[[Path], None]) -> None:
        """Make a layer above another one, and have its directory filled.

        What is there of it from a run that was cut goes first.
        """
        self.remove(id_)
        folder = self.layers / id_
        self._folder(folder)
        link = "".join(secrets.choice(_ALPHABET) for _ in range(_LINK_LENGTH))
        self._write(folder / "link", link)
        (self.layers / "l" / link).symlink_to(f"../{id_}/diff")
        if below is not None:
            self._write(folder / "lower", self._lower(below))
            self._folder(folder / "work", 0o700, self._owner)
            self._folder(folder / "merged", 0o700, self._owner)
            self._write(self.layers / below / "committed", "", 0o600)
        self._folder(folder / "diff", 0o755, self._owner)
        fill(folder / "diff")

    def remove(self, id_: str) -> None:
        """Remove a layer, whole or not."""
        folder = self.layers / id_
        try:
            link = (folder / "link").read_text()
        except FileNotFoundError:
            link = ""
        if link:
            (self.layers / "l" / link).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)

    def diff(self, id_: str) -> Path:
        """The directory with a layer's own files."""
        return self.layers / id_ / "diff"

    def _lower(self, below: str) -> str:
        folder = self.layers / below
        names = [f"l/{(folder / 'link').read_text()}"]
        with contextlib.suppress(FileNotFoundError):
            names += (folder / "lower").read_text().split(":")
        if len(names) > MAX_DEPTH:
            raise Refused(f"layer {below} is the {len(names)}th: overlay2 takes {MAX_DEPTH}")
        return ":".join(names)

    def _folder(self, path: Path, mode: int = 0o710, owner: tuple[int, int] | None = None) -> None:
        path.mkdir(exist_ok=True)
        # The containers' root must get through, with user namespaces too.
        os.chown(path, *(owner or (0, self._owner[1])))
        path.chmod(mode)

    def _write(self, path: Path, text: str, mode: int = 0o644) -> None:
        path.write_text(text)
        path.chmod(mode)
