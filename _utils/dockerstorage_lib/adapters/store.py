"""Docker's store on disk, read-only: layers, thin devices and what belongs to whom.

``root`` is the engine's data root. The files are those that Docker 1.10 to 24 write:

    devicemapper/metadata/<hash>                      a thin device: device_id, size (bytes), ...
    devicemapper/devicemapper/{data,metadata}         the sparse files of loop-lvm
    image/<driver>/layerdb/sha256/<chain>/cache-id    the hash of a layer's device
    image/<driver>/layerdb/sha256/<chain>/size        bytes of the layer's files
    image/<driver>/layerdb/mounts/<container>/{mount-id,init-id}     those of a container
    image/<driver>/layerdb/sha256/<chain>/tar-split.json.gz   the layer's tar without the contents
    image/<driver>/imagedb/content/sha256/<id>        an image's configuration
    buildkit/{snapshots,metadata_v2}.db               BuildKit's snapshots and cache records
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import bolt
from ..errors import Unparsable

DRIVER = "devicemapper"
THIN_MAGIC = 27022010
NEEDS_CHECK_FLAG = 1


@dataclass(frozen=True)
class DeviceRecord:
    """A file of ``devicemapper/metadata``: what Docker knows of one thin device."""

    hash: str
    device_id: int
    size_bytes: int
    transaction_id: int
    deleted: bool


@dataclass(frozen=True)
class HiddenStore:
    """A devicemapper store that the running engine does not look at."""

    path: str
    images: int
    containers: int


def image_facts(root: str, driver: str, image_id: str) -> tuple[tuple[str, ...], float] | None:
    """Diff ids of an image and when it came or was last tagged; None if it is not on disk."""
    content = Path(root, "image", driver, "imagedb", "content", *image_id.split(":"))
    try:
        diff_ids = tuple(json.loads(content.read_bytes())["rootfs"].get("diff_ids") or ())
        times = [content.stat().st_mtime]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unparsable("image configuration", str(content)) from None
    tagged = Path(root, "image", driver, "imagedb", "metadata", *image_id.split(":"), "lastUpdated")
    if tagged.exists():
        times.append(tagged.stat().st_mtime)
    return diff_ids, max(times)


def device_records(root: str) -> dict[str, DeviceRecord]:
    """Every thin device that Docker knows, by the hash that names it; the base is ``base``."""
    found = {}
    for path in entries(Path(root, DRIVER, "metadata")):
        if path.name.startswith(".") or path.name.endswith(".migrated"):
            continue
        if path.name in ("deviceset-metadata", "transaction-metadata"):
            continue
        record = device_record(root, path.name)
        if record is not None:
            found[path.name] = record
    return found


def device_record(root: str, hash_: str) -> DeviceRecord | None:
    """One thin device that Docker knows; None if it is not there."""
    text = _text(Path(root, DRIVER, "metadata", hash_))
    if text is None:
        return None
    try:
        found = json.loads(text)
        return DeviceRecord(
            hash_,
            int(found["device_id"]),
            int(found["size"]),
            int(found["transaction_id"]),
            bool(found.get("deleted")),
        )
    except (ValueError, KeyError, TypeError):
        raise Unparsable(f"metadata of device {hash_}", text) from None


def open_transaction_id(root: str) -> int | None:
    """The transaction that Docker opened last: the pool's own, or the next one; None if unknown."""
    text = _text(Path(root, DRIVER, "metadata", "transaction-metadata"))
    try:
        return None if text is None else int(json.loads(text)["open_transaction_id"])
    except (ValueError, KeyError, TypeError):
        raise Unparsable("transaction-metadata", str(text)) from None


def open_transaction(root: str) -> tuple[str, int] | None:
    """Name and id of the device of the transaction that Docker opened last; None if unknown."""
    text = _text(Path(root, DRIVER, "metadata", "transaction-metadata"))
    try:
        found = {} if text is None else json.loads(text)
        return (str(found["device_hash"]), int(found["device_id"])) if found else None
    except (ValueError, KeyError, TypeError):
        raise Unparsable("transaction-metadata", str(text)) from None


def layer_hash(root: str, chain_id: str, driver: str = DRIVER) -> str | None:
    """The device hash of a layer (``cache-id``); for other drivers the name of its directory."""
    return _text(layer_folder(root, driver, chain_id) / "cache-id")


def layer_size(root: str, driver: str, chain_id: str) -> int | None:
    """Bytes of a layer's files as the engine recorded them; None if it is not known."""
    try:
        return int(_text(layer_folder(root, driver, chain_id) / "size") or "")
    except (ValueError, Unparsable):
        return None


def image_config(root: str, driver: str, image_id: str) -> bytes | None:
    """An image's configuration, byte for byte; None if it is not on disk."""
    try:
        return Path(root, "image", driver, "imagedb", "content", *image_id.split(":")).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def image_parent(root: str, driver: str, image_id: str) -> str | None:
    """Id of the image that an image was built on here; None if it was not."""
    folder = Path(root, "image", driver, "imagedb", "metadata", *image_id.split(":"))
    return _text(folder / "parent")


def tar_split(root: str, driver: str, chain_id: str) -> Path:
    """The file from which a layer's tar stream is put together again."""
    return layer_folder(root, driver, chain_id) / "tar-split.json.gz"


def layer_folder(root: str, driver: str, chain_id: str) -> Path:
    """Where the engine keeps what it knows of a layer."""
    return Path(root, "image", driver, "layerdb", *chain_id.split(":"))


def layer_parent(root: str, driver: str, chain_id: str) -> str | None:
    """Chain id of the layer below; None if it is the lowest."""
    return _text(layer_folder(root, driver, chain_id) / "parent")


def layer_diff_id(root: str, driver: str, chain_id: str) -> str | None:
    """Digest of a layer's tar stream; None if the layer is not on disk."""
    return _text(layer_folder(root, driver, chain_id) / "diff")


def image_ids(root: str, driver: str) -> list[str]:
    """Ids of all images, untagged and intermediate ones too."""
    folder = Path(root, "image", driver, "imagedb", "content", "sha256")
    return [f"sha256:{path.name}" for path in entries(folder)]


def container_parent(root: str, driver: str, container_id: str) -> str | None:
    """Chain id of the layer that a container lies upon; None for an image without layers."""
    return _text(mount_folder(root, driver, container_id) / "parent") or None


def mount_folder(root: str, driver: str, container_id: str) -> Path:
    """Where the engine keeps what it knows of a container's layers."""
    return Path(root, "image", driver, "layerdb", "mounts", container_id)


def layers(root: str) -> dict[str, str]:
    """Device hash of every layer by its chain id."""
    found = {}
    for folder in entries(Path(root, "image", DRIVER, "layerdb", "sha256")):
        hash_ = _text(folder / "cache-id")
        if hash_ is not None and "-" not in folder.name:  # "<chain>-<random>-removing"
            found[f"sha256:{folder.name}"] = hash_
    return found


def container_hashes(root: str, container_id: str, driver: str = DRIVER) -> tuple[str, ...]:
    """Device hashes of a container: its RW layer, then its init layer."""
    folder = mount_folder(root, driver, container_id)
    found = (_text(folder / "mount-id"), _text(folder / "init-id"))
    return tuple(hash_ for hash_ in found if hash_)


def container_made_ns(root: str, container_id: str, driver: str) -> int:
    """When a container's layers were made, before anything could change in them (epoch, ns)."""
    return (mount_folder(root, driver, container_id) / "mount-id").stat().st_mtime_ns


def lower_links(root: str, hash_: str) -> list[str]:
    """On overlay2: what a layer lies on, the uppermost first, as links below the driver's place."""
    return (_text(Path(root, "overlay2", hash_, "lower")) or "").split(":")


def containers(root: str, driver: str = DRIVER) -> list[str]:
    """Ids of the containers that have layers in the store."""
    return [p.name for p in entries(Path(root, "image", driver, "layerdb", "mounts"))]


#: What the engine has below its data root for as long as it works on images; a daemon that starts
#: clears its ``tmp``.
_WORK = {
    "tmp/docker-builder*": "an image is being built",
    "buildkit/executor/*/config.json": "an image is being built",
    "tmp/docker-import-*": "images are being loaded",
    "tmp/docker-export-*": "images are being saved",
    "tmp/GetImageBlob*": "an image is being pulled",
    "image/{driver}/layerdb/tmp/write-set-*": "an image's layer is being registered",
}


def work_under_way(root: str, driver: str) -> list[str]:
    """Sentences for what the engine is doing with images just now."""
    found = [
        f"{what}: wait for its end, or end it"
        for pattern, what in _WORK.items()
        if any(Path(root).glob(pattern.format(driver=driver)))
    ]
    return list(dict.fromkeys(found))


def hidden_store(root: str, driver: str) -> HiddenStore | None:
    """A devicemapper store with content under a data root that another driver serves."""
    if driver == DRIVER:
        return None
    images = image_ids(root, DRIVER)
    mounted = containers(root)
    if not images and not mounted:
        return None
    return HiddenStore(str(Path(root, DRIVER)), len(images), len(mounted))


def latest_driver(root: str) -> str:
    """The graph driver that was used last under a data root; empty if none is known."""
    folders = [p for p in entries(Path(root, "image")) if p.is_dir()]
    return max(folders, key=lambda p: p.stat().st_mtime).name if folders else ""


def buildkit_snapshots(root: str) -> bolt.Bucket:
    """BuildKit's database of snapshots; empty if BuildKit was never used."""
    return _database(Path(root, "buildkit", "snapshots.db"))


def buildkit_records(root: str) -> bolt.Bucket:
    """BuildKit's database of cache records; empty if BuildKit was never used."""
    newer = _database(Path(root, "buildkit", "metadata_v2.db"))  # since Docker 20.10
    return newer or _database(Path(root, "buildkit", "metadata.db"))


def _database(path: Path) -> bolt.Bucket:
    try:
        return bolt.read_database(path.read_bytes())
    except FileNotFoundError:
        return {}


def managed_device(root: str) -> str | None:
    """The block device from which Docker made the thin pool by itself (managed direct-lvm)."""
    text = _text(Path(root, DRIVER, "setup-config.json"))
    if text is None:
        return None
    try:
        found = {key.lower(): value for key, value in json.loads(text).items()}
    except (ValueError, AttributeError):
        raise Unparsable("setup-config.json", text) from None
    return found.get("device") or None


def loop_metadata_needs_check(root: str) -> bool:
    """Whether the metadata file of loop-lvm carries dm-thin's mark for a check, pool active or not.

    The superblock of drivers/md/dm-thin-metadata.c: checksum, flags, block number, uuid, magic.
    """
    try:
        with Path(root, DRIVER, DRIVER, "metadata").open("rb") as file:
            _, flags, _, _, magic = struct.unpack("<IIQ16sQ", file.read(40))
    except (OSError, struct.error):
        return False
    return bool(magic == THIN_MAGIC and flags & NEEDS_CHECK_FLAG)


def free_bytes(root: str) -> int:
    """Bytes that root may still write to the file system of the data root."""
    stat = os.statvfs(root)
    return stat.f_bavail * stat.f_frsize


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise Unparsable(path.name, str(path)) from None


def entries(folder: Path) -> Iterator[Path]:
    """What lies in a directory, in order; nothing if it is not there."""
    try:
        yield from sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
