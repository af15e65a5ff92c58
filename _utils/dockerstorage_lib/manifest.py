"""``manifest.json`` ↔ its values. Pure functions; what is read may have been made to do harm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace

from .bundle import (
    FORMAT,
    MANIFEST,
    VERSION,
    ContainerRecord,
    FileRecord,
    ImageRecord,
    Manifest,
    NetworkRecord,
    NotTaken,
    VolumeRecord,
    is_packed,
)
from .errors import Damaged
from .strictjson import SOME_TEXT, StrictObject, once, one_line, read_object

_HEX = "[0-9a-f]{64}"
_DIGEST = re.compile(_HEX)
#: Of an image or a layer.
_CONTENT_ID = re.compile(f"sha256:{_HEX}")
_BUNDLE_ID = re.compile("[0-9a-f]{32}")
#: As Docker restricts names of containers and volumes; short enough for a file's name.
_NAME = re.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,239}")
#: 64 hex digits, or Swarm's 25.
_NETWORK_ID = re.compile("[0-9a-z]{12,64}")
_WORD = re.compile("[a-z]{1,32}")
_LOG = r"containers/{}\.log\.(?:0|[1-9]\d*)\.zst"


def manifest_text(manifest: Manifest) -> str:
    """The text of ``manifest.json``; raises Damaged if it could not be read again."""
    # Reasons are what others said: errors of several lines, say.
    not_taken = tuple(replace(one, why=one_line(one.why)) for one in manifest.not_taken)
    fields = asdict(replace(manifest, not_taken=not_taken))
    text = json.dumps({"format": FORMAT, "version": VERSION, **fields}, indent=1) + "\n"
    read_manifest(text)
    return text


def read_manifest(text: str) -> Manifest:
    """Read ``manifest.json``.

    Raises Damaged, naming object and field, for whatever is not what ``manifest_text`` writes: an
    unknown version or field, a name twice, a path that is not the one of the layout, ...
    """
    top = read_object(text, MANIFEST)
    if top.take("format") != FORMAT:
        top.complain("format", "it is not a bundle's")
    version = top.take("version")
    if type(version) is not int or version != VERSION:
        top.complain(
            "version", f"{version!r:.40} is unknown to this release, which reads {VERSION}"
        )
    manifest = Manifest(
        id=top.text("id", _BUNDLE_ID),
        created_at=top.time("created_at"),
        host=top.text("host"),
        engine_version=top.text("engine_version"),
        driver=top.text("driver"),
        images=tuple(map(_image, top.objects("images"))),
        layers=_layers(top.inner("layers")),
        containers=tuple(map(_container, top.objects("containers"))),
        volumes=tuple(map(_volume, top.objects("volumes"))),
        networks=tuple(map(_network, top.objects("networks"))),
        not_taken=tuple(map(_not_taken, top.objects("not_taken"))),
    )
    top.end()
    _check_whole(manifest)
    return manifest


def files(manifest: Manifest) -> Iterator[tuple[str, FileRecord]]:
    """Every file of a bundle but the manifest, with its object as an operator knows it."""
    for image in manifest.images:
        yield f"image {image.tags[0] if image.tags else image.id}", image.config
    for diff_id, layer in manifest.layers.items():
        yield f"layer {diff_id}", layer
    for network in manifest.networks:
        yield f"network {network.name}", network.document
    for volume in manifest.volumes:
        yield f"volume {volume.name}", volume.document
        if volume.data is not None:
            yield f"volume {volume.name}", volume.data
    for container in manifest.containers:
        for file in (container.document, container.changes, *container.logs):
            yield f"container {container.name}", file


def _image(one: StrictObject) -> ImageRecord:
    id_ = one.named("id", _CONTENT_ID, "image")
    digest = id_.removeprefix("sha256:")
    record = ImageRecord(
        id=id_,
        tags=one.texts("tags", SOME_TEXT),
        parent_id=one.text("parent_id", re.compile(f"|{_CONTENT_ID.pattern}")),
        config=_file(one.inner("config"), f"images/{digest}.json"),
        layers=one.texts("layers", _CONTENT_ID),
    )
    if record.config.sha256 != digest:
        one.complain("config", "its digest is not the image's id")
    one.end()
    return record


def _layers(all_: StrictObject) -> dict[str, FileRecord]:
    layers = {}
    for diff_id in all_.fields():
        if not _CONTENT_ID.fullmatch(diff_id):
            all_.complain(diff_id, "it is no diff id")
        digest = diff_id.removeprefix("sha256:")
        layers[diff_id] = _file(all_.inner(diff_id), f"layers/{digest}.tar.zst")
        if layers[diff_id].plain_sha256 != digest:
            all_.complain(diff_id, "the digest of its content is not its diff id")
    return layers


def _container(one: StrictObject) -> ContainerRecord:
    id_ = one.named("id", _DIGEST, "container")
    record = ContainerRecord(
        id=id_,
        name=one.text("name", _NAME),
        image_id=one.text("image_id", _CONTENT_ID),
        state=one.text("state", _WORD),
        document=_file(one.inner("document"), f"containers/{id_}.json"),
        changes=_file(one.inner("changes"), f"containers/{id_}.tar.zst"),
        logs=tuple(_file(log, re.compile(_LOG.format(id_))) for log in one.objects("logs")),
    )
    one.end()
    return record


def _volume(one: StrictObject) -> VolumeRecord:
    name = one.named("name", _NAME, "volume")
    data = None
    if one.take("data", keep=True) is None:
        one.take("data")
    else:
        data = _file(one.inner("data"), f"volumes/{name}.tar.zst")
    record = VolumeRecord(name, _file(one.inner("document"), f"volumes/{name}.json"), data)
    one.end()
    return record


def _network(one: StrictObject) -> NetworkRecord:
    id_ = one.named("id", _NETWORK_ID, "network")
    name = one.text("name", SOME_TEXT)
    record = NetworkRecord(id_, name, _file(one.inner("document"), f"networks/{id_}.json"))
    one.end()
    return record


def _not_taken(one: StrictObject) -> NotTaken:
    record = NotTaken(*(one.text(field) for field in ("kind", "id", "name", "why")))
    one.end()
    return record


def _file(one: StrictObject, path: str | re.Pattern[str]) -> FileRecord:
    record = FileRecord(
        path=one.text("path", re.compile(re.escape(path)) if isinstance(path, str) else path),
        bytes=one.count("bytes"),
        sha256=one.text("sha256", _DIGEST),
        plain_bytes=one.count("plain_bytes"),
        plain_sha256=one.text("plain_sha256", _DIGEST),
    )
    one.end()
    plain = (record.plain_bytes, record.plain_sha256)
    if not is_packed(record.path) and (record.bytes, record.sha256) != plain:
        one.complain("plain_bytes", "it is not packed, but its content is said to be another")
    return record


def _check_whole(manifest: Manifest) -> None:
    """What must hold between the objects."""
    images = manifest.images
    once(MANIFEST, "image", (one.id for one in images))
    once(MANIFEST, "tag", (tag for one in images for tag in one.tags))
    once(MANIFEST, "container", (one.id for one in manifest.containers))
    once(MANIFEST, "container's name", (one.name for one in manifest.containers))
    once(MANIFEST, "volume", (one.name for one in manifest.volumes))
    once(MANIFEST, "network", (one.id for one in manifest.networks))
    once(MANIFEST, "file", (file.path for _, file in files(manifest)))
    parents = {one.id: one.parent_id for one in images}
    cleared: set[str] = set()
    for image in parents:
        line: set[str] = set()
        while image in parents and image not in cleared:
            if image in line:
                raise Damaged(MANIFEST, f"image {image}: it is its own ancestor")
            line.add(image)
            image = parents[image]
        cleared |= line
