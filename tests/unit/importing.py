"""Bundles and hosts made short, for the tests of the import's planning."""

from dockerstorage_lib.bundle import (
    ContainerRecord,
    FileRecord,
    ImageRecord,
    Manifest,
    NetworkRecord,
    VolumeRecord,
)
from dockerstorage_lib.gather import Site
from dockerstorage_lib.import_choice import Contents, choose
from dockerstorage_lib.import_journal import History
from dockerstorage_lib.import_options import read_options
from dockerstorage_lib.import_plan import plan_import
from dockerstorage_lib.import_world import World
from dockerstorage_lib.objects import Inventory

SITE = Site("/var/lib/docker", "overlay2", None)


def file(path, size=100):
    return FileRecord(path, size, "0" * 64, size, "0" * 64)


def image(name, *layers, parent="", tags=None):
    id_ = f"sha256:{name}"
    tags = (f"{name}:1",) if tags is None else tags
    return ImageRecord(id_, tags, parent, file(f"images/{name}.json"), layers)


def container(name, image="sha256:app", state="exited"):
    id_ = f"{name}-id".ljust(64, "0")
    document, changes = file(f"containers/{id_}.json"), file(f"containers/{id_}.tar.zst", 10)
    return ContainerRecord(id_, name, image, state, document, changes)


def volume(name, data=True):
    found = file(f"volumes/{name}.tar.zst", 1000) if data else None
    return VolumeRecord(name, file(f"volumes/{name}.json"), found)


def network(name):
    id_ = f"{name}-id".ljust(64, "0")
    return NetworkRecord(id_, name, file(f"networks/{id_}.json"))


def container_document(record, volumes=(), anonymous=(), networks=(), **host):
    """volumes: (name, destination) that are named; anonymous: the same for those that are not."""
    mounts = [
        {"Type": "volume", "Name": name, "Destination": at} for name, at in (*volumes, *anonymous)
    ]
    return {
        "Id": record.id,
        "Name": f"/{record.name}",
        "Image": record.image_id,
        "Created": "2026-01-01T00:00:00Z",
        "State": {"Status": record.state},
        "Config": {"Image": "app:1", "Volumes": {at: {} for _, at in anonymous}},
        "HostConfig": {"Binds": [f"{name}:{at}" for name, at in volumes], **host},
        "Mounts": mounts,
        "NetworkSettings": {"Networks": {name: {} for name in networks}},
    }


def network_document(record, subnet="10.1.0.0/16", **more):
    return {
        "Id": record.id,
        "Name": record.name,
        "Driver": "bridge",
        "Scope": "local",
        "IPAM": {"Driver": "default", "Config": [{"Subnet": subnet}]},
        **more,
    }


def volume_document(name, **more):
    mountpoint = f"/var/lib/docker/volumes/{name}/_data"
    return {"Name": name, "Driver": "local", "Mountpoint": mountpoint, **more}


def contents(documents, layers=(), **records):
    """documents: record to inspect document."""
    manifest = Manifest(
        id="a" * 32,
        created_at=0.0,
        host="old",
        engine_version="20.10",
        driver="devicemapper",
        layers={name: file(f"layers/{name}.tar.zst", size) for name, size in layers},
        **records,
    )
    return Contents(manifest, {record.document.path: one for record, one in documents})


def world(inventory=None, networks=(), volumes=(), marks=None, lines=(), **more):
    made = {
        "site": SITE,
        "inventory": inventory or Inventory(),
        "networks": tuple(networks),
        "volumes": {one["Name"]: one for one in volumes},
        "history": History(tuple(lines)),
        "marks": marks or {},
        "free_bytes": 1 << 40,
    }
    return World(**(made | more))


def plan(found, host, **options):
    chosen = read_options(**options)
    return plan_import(found, choose(found, chosen), chosen, host)


def actions(made):
    """Kind and name to what is done."""
    return {(one.kind, one.name): one.action for one in made.steps}


def why(made, kind, name):
    return next(one.why for one in made.steps if (one.kind, one.name) == (kind, name))
