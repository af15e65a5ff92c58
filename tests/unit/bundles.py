"""Bundles for the tests: a whole one on disk, and its manifest."""

import hashlib
import json

from dockerstorage_lib.adapters import packed
from dockerstorage_lib.bundle import (
    MANIFEST,
    ContainerRecord,
    FileRecord,
    ImageRecord,
    Manifest,
    NetworkRecord,
    NotTaken,
    VolumeRecord,
)
from dockerstorage_lib.manifest import manifest_text
from tests.unit.trees import tar_of

CONTAINER = "c" * 64
NETWORK = "e" * 64
LAYER = b"what Docker wrote, byte for byte" * 1000


def pack(root, path, data):
    with packed.Packer(root, path) as packer:
        packer.write(data)
        return packer.finish()


def write_bundle(root, scratch, document=None):
    """A bundle with one object of each kind, from directories in ``scratch``."""
    root.mkdir(mode=0o700)
    diff_id = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode()
    image = hashlib.sha256(config).hexdigest()
    data = scratch / "data"
    (data / "folder").mkdir(parents=True)
    (data / "folder" / "file").write_bytes(bytes(range(256)) * 100)
    (data / "link").symlink_to("folder/file")
    document = {
        "Id": CONTAINER,
        "Mounts": [{"Type": "volume", "Name": "data"}, {"Type": "bind", "Source": "/x"}],
        "NetworkSettings": {"Networks": {"front": {"NetworkID": NETWORK}, "bridge": {}}},
        "HostConfig": {"NetworkMode": "front"},
    } | (document or {})
    manifest = Manifest(
        id="1" * 32,
        created_at=1.5e9,
        host="host-1",
        engine_version="24.0.9",
        driver="devicemapper",
        images=(
            ImageRecord(
                f"sha256:{image}",
                ("app:1",),
                "",
                pack(root, f"images/{image}.json", config),
                (diff_id,),
            ),
        ),
        layers={diff_id: pack(root, f"layers/{diff_id[7:]}.tar.zst", LAYER)},
        containers=(
            ContainerRecord(
                CONTAINER,
                "web",
                f"sha256:{image}",
                "running",
                pack(root, f"containers/{CONTAINER}.json", json.dumps(document).encode()),
                pack(root, f"containers/{CONTAINER}.tar.zst", tar_of(data, whiteouts="remove")),
                (pack(root, f"containers/{CONTAINER}.log.0.zst", b"a line\n"),),
            ),
        ),
        volumes=(
            VolumeRecord(
                "data",
                pack(root, "volumes/data.json", b'{"Name": "data"}'),
                pack(root, "volumes/data.tar.zst", tar_of(data)),
            ),
            VolumeRecord("nfs", pack(root, "volumes/nfs.json", b'{"Name": "nfs"}'), None),
        ),
        networks=(
            NetworkRecord(
                NETWORK,
                "front",
                pack(root, f"networks/{NETWORK}.json", json.dumps({"Id": NETWORK}).encode()),
            ),
        ),
        not_taken=(NotTaken("volume", "remote", "remote", "its driver is 'rexray'"),),
    )
    (root / MANIFEST).write_text(manifest_text(manifest))
    return manifest


def record(path, plain_digest="0" * 64):
    """What a manifest may say of a file."""
    if path.endswith(".zst"):
        return FileRecord(path, 10, "f" * 64, 20, plain_digest)
    return FileRecord(path, 20, plain_digest, 20, plain_digest)
