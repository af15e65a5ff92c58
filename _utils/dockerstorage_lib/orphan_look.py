"""See a devicemapper store for its orphans: the files, the pool's devices, BuildKit's databases.

Nothing is passed over in silence: what cannot be read might name what else looks like an orphan,
and becomes one of the sight's doubts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import bolt, poolview
from .adapters import dmsetup, hostfiles, lvm, store
from .adapters.store import DRIVER, DeviceRecord
from .devmapper import ThinTable
from .errors import DockerstorageError, Refused
from .objects import chain_ids
from .orphan_sight import Layer, Mount, Sight, Transaction
from .stuck import DOCKERS
from .thinmap import PoolMap

_HEX = re.compile(r"[0-9a-f]{64}")
_REMOVING = re.compile(r"[0-9a-f]{64}-[0-9a-f]+-removing")
#: What dockerd writes a file under before it has its name.
_HALF_WRITTEN = (".tmp", ".dockerstorage")


def look(root: str, pool: str | None, pool_map: PoolMap, transaction_id: int,
         running: bool) -> Sight:  # fmt: skip
    """The store below a data root; pool: the pool's name if it is active.

    Raises Refused if pool and files are not of one another.
    """
    doubts: list[str] = []
    records = dict(_records(root, doubts))
    layers = dict(_layers(root, doubts))
    mounts = dict(_mounts(root, doubts))
    names = {*records, *mounts, *(chain.rpartition(":")[2] for chain in layers)}
    names |= {hash_ for mount in mounts.values() for hash_ in mount.hashes}
    containers = frozenset(path.name for path in store.entries(Path(root, "containers")))
    doubts += _foreign_volumes(pool)
    return Sight(
        pool=pool_map,
        records=records,
        layers=layers,
        removing=dict(_removing(root, doubts)),
        mounts=mounts,
        image_chains=frozenset(_image_chains(root, doubts)),
        containers=containers,
        dying=frozenset(_dying(root, containers - mounts.keys(), doubts)),
        buildkit=_named_by_buildkit(root, names, doubts),
        open_transaction=_transaction(root, transaction_id),
        in_use=_in_use(pool) if pool else {},
        # What an engine that does not run was doing it never ends.
        work=tuple(store.work_under_way(root, DRIVER)) if running else (),
        doubts=tuple(doubts),
    )


def _records(root: str, doubts: list[str]) -> Iterator[tuple[str, DeviceRecord]]:
    folder = Path(root, DRIVER, "metadata")
    for path in store.entries(folder):
        name = path.name
        if name.startswith(".") or name.endswith((".migrated", "-metadata")):
            continue
        try:
            record = store.device_record(root, name)
        except (DockerstorageError, OSError) as error:
            doubts.append(f"{path}: {error}")
            continue
        if record is not None:
            yield name, record


def _layers(root: str, doubts: list[str]) -> Iterator[tuple[str, Layer]]:
    for folder in store.entries(Path(root, "image", DRIVER, "layerdb", "sha256")):
        if _REMOVING.fullmatch(folder.name):
            continue
        chain = f"sha256:{folder.name}"
        try:
            hash_ = store.layer_hash(root, chain)
            parent = store.layer_parent(root, DRIVER, chain) or None
        except (DockerstorageError, OSError) as error:
            doubts.append(f"{folder}: {error}")
            continue
        if hash_ and _HEX.fullmatch(folder.name):
            yield chain, Layer(hash_, parent)
        else:
            doubts.append(f"{folder}: it is no layer, or does not tell its device")


def _removing(root: str, doubts: list[str]) -> Iterator[tuple[str, str]]:
    for folder in store.entries(Path(root, "image", DRIVER, "layerdb", "sha256")):
        if not _REMOVING.fullmatch(folder.name):
            continue
        try:
            yield folder.name, store.layer_hash(root, f"sha256:{folder.name}") or ""
        except (DockerstorageError, OSError) as error:
            doubts.append(f"{folder}: {error}")


def _mounts(root: str, doubts: list[str]) -> Iterator[tuple[str, Mount]]:
    for id_ in store.containers(root):
        try:
            hashes = store.container_hashes(root, id_)
            yield id_, Mount(hashes, store.container_parent(root, DRIVER, id_))
        except (DockerstorageError, OSError) as error:
            doubts.append(f"{store.mount_folder(root, DRIVER, id_)}: {error}")


def _image_chains(root: str, doubts: list[str]) -> Iterator[str]:
    for image_id in store.image_ids(root, DRIVER):
        name = image_id.partition(":")[2]
        if name.startswith(_HALF_WRITTEN):
            continue
        try:
            text = store.image_config(root, DRIVER, image_id) or b""
            if hashlib.sha256(text).hexdigest() != name:
                raise ValueError("it is not what its name says")
            yield from chain_ids(json.loads(text)["rootfs"].get("diff_ids") or ())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            doubts.append(f"configuration of image {image_id}: {error}")


def _dying(root: str, ids: frozenset[str], doubts: list[str]) -> Iterator[str]:
    """Containers that the engine had begun to remove, and those of other drivers."""
    for id_ in sorted(ids):
        try:
            found = json.loads(Path(root, "containers", id_, "config.v2.json").read_bytes())
            state = found["State"]
            if state.get("Dead") or state.get("RemovalInProgress") or found["Driver"] != DRIVER:
                yield id_
        except FileNotFoundError:
            yield id_  # an engine makes this folder after the layers, and writes that file last
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            doubts.append(f"container {id_}: {error}")


def _named_by_buildkit(root: str, names: set[str], doubts: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for path in store.entries(Path(root, "buildkit")):
        if path.suffix != ".db":
            continue
        try:
            data = path.read_bytes()
            snapshots = bolt.read_database(data)
        except (DockerstorageError, OSError) as error:
            doubts.append(f"{path}: {error}")
            continue
        # Its bytes, not only its keys: what it has removed just now counts as well, and no layout
        # of a later BuildKit is misread.
        found |= {name for name in names if name.removesuffix("-init").encode() in data}
        if path.name == "snapshots.db":
            doubts += _without_device(snapshots, names)
    return frozenset(found)


def _without_device(snapshots: bolt.Bucket, names: set[str]) -> Iterator[str]:
    """Snapshots that have a device of their own, and no file that tells which."""
    for key, bucket in snapshots.items():
        # By these names it knows layers of the engine's own.
        if not isinstance(bucket, dict) or b"chainid" in bucket or key.startswith(b"sha256:"):
            continue
        device = bucket.get(b"committed", key)
        name = device.decode("utf-8", "replace") if isinstance(device, bytes) else ""
        if name not in names:
            yield f"BuildKit's snapshot {name} has no file in {DRIVER}/metadata"


def _transaction(root: str, transaction_id: int) -> Transaction | None:
    """The one that is open; raises Refused if the files are of another pool."""
    opened = store.open_transaction_id(root)
    if opened is None or opened - transaction_id not in (0, 1):
        raise Refused(
            f"the pool is at transaction {transaction_id}, and {root}/{DRIVER}/metadata was "
            f"written for {'none' if opened is None else opened}: they are not of one another, and "
            "what looks like an orphan may be somebody's. Find the pool that belongs to the store"
        )
    found = store.open_transaction(root) if opened != transaction_id else None
    return Transaction(*found) if found else None


def _in_use(pool: str) -> Mapping[int, str]:
    """Why an active device of the pool must stay, by its id."""
    known = dmsetup.devices()
    points = hostfiles.mounts_by_device()
    found = {}
    for name, rows in dmsetup.tables("thin").items():
        table, info = (rows[0] if rows else None), known.get(name)
        if not isinstance(table, ThinTable) or info is None:
            continue
        if table.pool_device != known[pool].number:
            continue
        mounted = points.get(info.number, ())
        if mounted:
            found[table.device_id] = (
                f"it is mounted at {mounted[0]}: find out by whom (fuser -m), then unmount it"
            )
        elif info.open_count:
            found[table.device_id] = f"somebody has {name} open: see 'fuser /dev/mapper/{name}'"
        elif not DOCKERS.match(name):
            found[table.device_id] = f"it is active as {name}, which is not Docker's name for it"
    return found


def _foreign_volumes(pool: str | None) -> Iterator[str]:
    """LVM's own thin volumes are no orphans of Docker's, though no file of Docker names them."""
    volume = poolview.find_volume(pool) if pool else None
    if volume is None:
        return
    for one in lvm.volumes():
        if one.segment_type == "thin" and one.vg == volume.vg:
            yield f"LVM has a thin volume {one.vg}/{one.name}, which may lie in Docker's pool"
