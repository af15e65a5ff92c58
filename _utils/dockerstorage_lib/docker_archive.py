"""Images as the stream that the engine's load takes, some at a time. Pure functions.

The form is that of ``docker save`` (moby's ``image/tarexport``): each image's configuration, byte
for byte, so that its id stays what it was; the layers that the engine lacks; ``manifest.json``. An
image's parent is believed only if it comes in the same stream: its configuration is sent again,
without layers. Tags are not in it: load would move those that exist without asking.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, BinaryIO

from .bundle import FileRecord, ImageRecord
from .objects import chain_ids

#: Images are loaded together until their layers come to this: the engine unpacks a whole stream
#: into its data root before it looks at it.
BATCH_BYTES = 256 << 20
CHUNK_BYTES = 1 << 20

Opener = Callable[[FileRecord], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Batch:
    """Images that are loaded together."""

    images: tuple[ImageRecord, ...]
    #: Parents that are here already and come along, so that the link to them is made.
    parents: tuple[ImageRecord, ...]
    #: Diff ids of the layers that the engine lacks.
    layers: tuple[str, ...]
    layer_bytes: int


def batches(
    wanted: Sequence[ImageRecord],
    known: Mapping[str, ImageRecord],
    layers: Mapping[str, FileRecord],
    chains: Collection[str],
) -> list[Batch]:
    """How to load images, parents first.

    known: images of the bundle by id; chains: chain ids of the layers that the engine has.
    """
    found: list[Batch] = []
    waiting, here = _parents_first(wanted), set(chains)
    while waiting:
        images: list[ImageRecord] = []
        needed: dict[str, None] = {}
        size = 0
        while waiting and (not images or size < BATCH_BYTES):
            image = waiting.pop(0)
            images.append(image)
            new = _missing(image, here)
            size += sum(layers[one].plain_bytes for one in new if one not in needed)
            needed |= dict.fromkeys(new)
            here.update(chain_ids(image.layers))
        ids = {image.id for image in images}
        links = {one.parent_id for one in images if one.parent_id} - ids
        parents = [known[one] for one in sorted(links) if one in known]
        found.append(Batch(tuple(images), tuple(parents), tuple(needed), size))
    return found


def _missing(image: ImageRecord, chains: Collection[str]) -> list[str]:
    pairs = zip(image.layers, chain_ids(image.layers), strict=True)
    return [diff_id for diff_id, chain in pairs if chain not in chains]


def _parents_first(images: Sequence[ImageRecord]) -> list[ImageRecord]:
    by_id = {image.id: image for image in images}
    found: dict[str, ImageRecord] = {}
    for image in images:
        line = []
        one: ImageRecord | None = image
        while one is not None and one.id not in found and one not in line:
            line.append(one)
            one = by_id.get(one.parent_id)
        found |= {one.id: one for one in reversed(line)}
    return list(found.values())


def valid_parent(config: Mapping[str, Any], parent: Mapping[str, Any]) -> bool:
    """Whether load believes a parent: its history, and one step more; else it fails in the end."""
    mine, theirs = config.get("history") or [], parent.get("history") or []
    if not mine and not theirs:
        return True
    return len(mine) == len(theirs) + 1 and mine[: len(theirs)] == theirs


def stream(
    batch: Batch,
    configs: Mapping[str, bytes],
    layers: Mapping[str, FileRecord],
    open_layer: Opener,
    linked: Collection[tuple[str, str]],
) -> Iterator[bytes]:
    """The tar stream of a batch; linked: image and parent where the link is to be made."""
    manifest = []
    for image in (*batch.images, *batch.parents):
        name = f"{_hex(image.id)}.json"
        entry = {
            "Config": name,
            "RepoTags": None,
            "Layers": [f"{_hex(one)}/layer.tar" for one in image.layers],
        }
        if (image.id, image.parent_id) in linked:
            entry["Parent"] = image.parent_id
        manifest.append(entry)
        yield from _member(name, configs[image.id])
    for diff_id in batch.layers:
        record = layers[diff_id]
        yield _header(f"{_hex(diff_id)}/layer.tar", record.plain_bytes)
        with open_layer(record) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        yield _padding(record.plain_bytes)
    yield from _member("manifest.json", json.dumps(manifest).encode())
    yield bytes(2 * tarfile.BLOCKSIZE)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data
    yield _padding(len(data))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.GNU_FORMAT)  # which has room for sizes beyond 8 GiB


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
