"""The bundle: what ``manifest.json`` says, as values. Pure functions.

A bundle is a directory:

    manifest.json                 what is in it, with the digest of every other file
    images/<hex>.json             an image's configuration, byte for byte (its sha256 is its id)
    layers/<hex>.tar.zst          a layer by its diff id, once, whichever images have it
    containers/<id>.json          the engine's inspect document
    containers/<id>.tar.zst       what the container changed: an OCI layer, with whiteouts
    containers/<id>.log.<n>.zst   its logs, the oldest first
    volumes/<name>.json, .tar.zst
    networks/<id>.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import BadInput

FORMAT = "dockerstorage bundle"
VERSION = 1
MANIFEST = "manifest.json"
#: How many times as much as it has bytes a file may hold. The packer keeps below it by itself.
MAX_RATIO = 1000.0
#: Below this much content no ratio is suspicious.
SMALL_BYTES = 2**30


@dataclass(frozen=True)
class FileRecord:
    """A file of the bundle. ``.zst`` files are compressed; for others plain is the same."""

    #: Below the bundle, with "/".
    path: str
    bytes: int
    #: Of the file as it lies there, and of what it holds; 64 hex digits.
    sha256: str
    plain_bytes: int
    plain_sha256: str


@dataclass(frozen=True)
class ImageRecord:
    id: str
    tags: tuple[str, ...]
    #: Empty if it has none, or its parent is not in the bundle.
    parent_id: str
    config: FileRecord
    #: Diff ids, the lowest first; keys of the manifest's layers.
    layers: tuple[str, ...]


@dataclass(frozen=True)
class ContainerRecord:
    id: str
    name: str
    image_id: str
    #: "running", "paused", "exited", "created", ...
    state: str
    document: FileRecord
    changes: FileRecord
    logs: tuple[FileRecord, ...] = ()


@dataclass(frozen=True)
class VolumeRecord:
    name: str
    document: FileRecord
    #: None if its data lies elsewhere (a mount with options, as for NFS).
    data: FileRecord | None


@dataclass(frozen=True)
class NetworkRecord:
    id: str
    name: str
    document: FileRecord


@dataclass(frozen=True)
class NotTaken:
    """Something that was wanted and is not in the bundle, or not whole."""

    kind: str
    id: str
    name: str
    why: str


@dataclass(frozen=True)
class Manifest:
    #: 32 hex digits, made when the export began.
    id: str
    #: Seconds since the epoch when it was finished.
    created_at: float
    host: str
    engine_version: str
    driver: str
    images: tuple[ImageRecord, ...] = ()
    layers: Mapping[str, FileRecord] = field(default_factory=dict)
    containers: tuple[ContainerRecord, ...] = ()
    volumes: tuple[VolumeRecord, ...] = ()
    networks: tuple[NetworkRecord, ...] = ()
    not_taken: tuple[NotTaken, ...] = ()


def is_packed(path: str) -> bool:
    """Whether a file of a bundle is compressed."""
    return path.endswith(".zst")


def read_path(argument: str, text: str) -> Path:
    """Read the path of a bundle; raises BadInput, naming the argument."""
    if not isinstance(text, str) or not text.startswith("/") or ".." in text.split("/"):
        raise BadInput(f"{argument}: {text!r} is no absolute path of a directory")
    return Path(text)
