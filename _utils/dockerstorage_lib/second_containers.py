"""Containers of the old store as placeholders in the new one, filled with what they changed.

How far a placeholder is stands in its name, which the second engine keeps: the container's id, and
a word behind it as soon as something is written to its layer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .adapters import mounts, tree
from .adapters.base import Chosen
from .adapters.changes import Changes, chosen_changes, container_changes
from .adapters.durable import sync_folder
from .adapters.engine_import import ImportEngine
from .adapters.pump import pump
from .errors import Incoherent
from .gather import Site
from .jobs import Job
from .treetar import read_tar

BEGUN, FILLED = ".begun", ".filled"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Filled:
    """What was written into a placeholder's layer."""

    #: Of the canonical tars of all that was read from the source; ``filled_digest`` gives the same.
    sha256: str
    bytes: int
    #: Path and reason of what no layer can hold, as sockets.
    left_out: list[tuple[str, str]] = field(default_factory=list)


def make_container(
    second: ImportEngine,
    container_id: str,
    image_id: str,
    storage_opt: Mapping[str, str] | None = None,
) -> str:
    """A placeholder that nothing was written to yet; its id. One that was is made anew.

    storage_opt: of the container, if the new driver takes it ("size" on devicemapper).
    """
    found = second.document("container", container_id)
    if found is not None and found["Image"] == image_id:
        return str(found["Id"])
    for name in (container_id, container_id + BEGUN, container_id + FILLED):
        if second.document("container", name) is not None:
            second.discard(name)
    request = {
        "Image": image_id,
        # It never runs; but the engine wants a command, and would make the image's directory.
        "Cmd": ["none"],
        "WorkingDir": "/",
        "NetworkDisabled": True,
        "HostConfig": {"NetworkMode": "none", "StorageOpt": dict(storage_opt or {}) or None},
    }
    return second.create_container(container_id, request)


def fill_container(
    second: ImportEngine,
    source: Site,
    container_id: str,
    target: Site,
    placeholder_id: str,
    job: Job,
) -> Filled:
    """Write a stopped container's own changes into its placeholder; the old engine need not run.

    placeholder_id: as ``make_container`` gave it. Within ``mounts.run_private``. Raises Refused for
    a storage driver whose layers cannot be read; OSError if the target does not take it all.
    """
    second.rename(placeholder_id, container_id + BEGUN)
    reader = _Reader(f"container {container_id}", job)

    def write(changes: Changes, init: bool) -> None:
        with mounts.container_tree(target, placeholder_id, write=True, init=init) as layer:
            reader.copy(changes, layer)

    with container_changes(source, container_id) as (made, own):
        write(made, init=True)
        if target.driver != "overlay2":
            # Its own layer began as a copy of the other.
            digest, reader.digest = reader.digest.copy(), hashlib.sha256()
            write(made, init=False)
            reader.digest = digest
        write(own, init=False)
    second.rename(placeholder_id, container_id + FILLED)
    return Filled(reader.digest.hexdigest(), reader.bytes, reader.left_out)


def filled_digest(source: Site, container_id: str, target: Site, placeholder_id: str) -> str:
    """The digest of what the target's layer holds now of all that the source tells of.

    It is that of ``Filled`` if everything is there as it was. Of the source no content is read.
    Within ``mounts.run_private``.
    """
    with container_changes(source, container_id) as (made, own):
        chosen = [_chosen(one) for one in (made, own)]
    digest = hashlib.sha256()
    for init, wanted in zip((True, False), chosen, strict=True):
        with chosen_changes(target, placeholder_id, wanted, init=init) as changes:
            changes.write_tar(digest.update, _ignore)
    return digest.hexdigest()


def _chosen(changes: Changes) -> Chosen:
    return Chosen(entry.path for entry in changes.entries())


def _ignore(path: str, why: str) -> None:
    """The source's reader has told of it."""


class _Reader:
    """Copies layers through tars, and keeps the digest of these."""

    def __init__(self, what: str, job: Job) -> None:
        self._what, self._job = what, job
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.left_out: list[tuple[str, str]] = []
        job.turn_to(what)

    def copy(self, changes: Changes, layer: mounts.LayerTree) -> None:
        """Write entries into a layer."""

        def write_all(write: Callable[[bytes], object]) -> None:
            changes.write_tar(write, self._note)

        def read(stream: BinaryIO) -> None:
            counted = _Counted(stream, self._take)
            entries = read_tar(counted, self._what, whiteouts=True)  # type: ignore[arg-type]
            tree.restore(entries, layer.path, layer.whiteouts)
            while counted.read(CHUNK_BYTES):
                pass

        pump(write_all, read)

    def _take(self, data: bytes) -> None:
        self.digest.update(data)
        self.bytes += len(data)
        self._job.advance(len(data))

    def _note(self, path: str, why: str) -> None:
        self.left_out.append((path, why))


class _Counted:
    """A stream that hands on what was read of it."""

    def __init__(self, stream: BinaryIO, take: Callable[[bytes], None]) -> None:
        self._stream, self._take = stream, take

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._take(data)
        return data


def name_layers(root: Path, driver: str) -> dict[str, str]:
    """In the store of an engine that is stopped, name the placeholders' layers like containers.

    root: with remapped users the second engine's ``DockerRootDir``. Placeholder's id by container
    id. May be called again. Raises Incoherent for a placeholder that is not filled.
    """
    folder = root / "image" / driver / "layerdb" / "mounts"
    found = {}
    for path in sorted((root / "containers").glob("*/config.v2.json")):
        document = json.loads(path.read_bytes())
        name, placeholder = str(document["Name"]).lstrip("/"), str(document["ID"])
        container_id = name.removesuffix(FILLED)
        if container_id == name:
            raise Incoherent(f"layer of container {name[:64]}", "to be filled", "it is not")
        if (folder / placeholder).exists():
            (folder / placeholder).rename(folder / container_id)
        if not (folder / container_id).exists():
            raise Incoherent(f"layer of container {container_id}", f"in {folder}", "nothing")
        found[container_id] = placeholder
    if folder.exists():
        sync_folder(folder)
    return found
