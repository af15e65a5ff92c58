"""What is seen of a devicemapper store to tell its orphans, and what of it is in use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .adapters.store import DeviceRecord
from .thinmap import PoolMap

BASE = "base"


@dataclass(frozen=True)
class Layer:
    """A folder of ``layerdb/sha256``."""

    #: Name of its thin device (``cache-id``).
    hash: str
    #: Chain id of the layer below; None for the lowest.
    parent: str | None = None


@dataclass(frozen=True)
class Mount:
    """A folder of ``layerdb/mounts``."""

    #: Names of the thin devices of its RW and its init layer.
    hashes: tuple[str, ...]
    #: Chain id of the layer that it lies upon.
    parent: str | None = None


@dataclass(frozen=True)
class Transaction:
    """What the engine was doing with a device when it ended; it undoes that when it starts."""

    hash: str
    device_id: int


@dataclass(frozen=True)
class Sight:
    """A store and its pool at one moment."""

    pool: PoolMap
    #: By the device's name.
    records: Mapping[str, DeviceRecord] = field(default_factory=dict)
    #: By chain id.
    layers: Mapping[str, Layer] = field(default_factory=dict)
    #: Device name, empty if it is not told, by folder name (``<hex>-<random>-removing``).
    removing: Mapping[str, str] = field(default_factory=dict)
    #: By container id.
    mounts: Mapping[str, Mount] = field(default_factory=dict)
    #: Of all images, every layer of each.
    image_chains: frozenset[str] = frozenset()
    #: Ids with a folder of their own in ``containers``.
    containers: frozenset[str] = frozenset()
    #: Those of them whose removal the engine had begun: their layers may be gone already.
    dying: frozenset[str] = frozenset()
    #: Names of devices, layers (in hex) and mounts that BuildKit's databases contain.
    buildkit: frozenset[str] = frozenset()
    open_transaction: Transaction | None = None
    #: Why an active device must stay, by its id.
    in_use: Mapping[int, str] = field(default_factory=dict)
    #: What a running engine is doing with layers just now.
    work: tuple[str, ...] = ()
    #: What could not be read, or cannot be: it might name what else looks like an orphan.
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Live:
    """What is in use."""

    layers: frozenset[str]
    mounts: frozenset[str]
    #: Names of devices.
    hashes: frozenset[str]
    #: What ought to be there and is not: a device that nothing names may be its.
    lost: tuple[str, ...]


def find_live(sight: Sight) -> Live:
    """What an image, a container, BuildKit or the engine itself needs."""
    mounts = frozenset(
        id_
        for id_, mount in sight.mounts.items()
        if id_ in sight.containers or {id_, *mount.hashes} & sight.buildkit
    )
    roots = set(sight.image_chains)
    roots |= {parent for one in mounts if (parent := sight.mounts[one].parent)}
    roots |= {chain for chain in sight.layers if chain.rpartition(":")[2] in sight.buildkit}
    layers = frozenset(_with_parents(sight, roots))
    hashes = {BASE, *sight.buildkit}
    hashes |= {sight.layers[chain].hash for chain in layers if chain in sight.layers}
    hashes |= {hash_ for one in mounts for hash_ in sight.mounts[one].hashes}
    return Live(layers, mounts, frozenset(hashes), tuple(_lost(sight, layers)))


def is_live(name: str, live: Live) -> bool:
    """Whether a device's name is in use, or is that of the init layer of one that is."""
    return name in live.hashes or name.removesuffix("-init") in live.hashes


def parents(sight: Sight, chain: str | None) -> Iterator[str]:
    """A layer and all below it, the uppermost first."""
    seen: set[str] = set()
    while chain and chain not in seen:
        seen.add(chain)
        yield chain
        layer = sight.layers.get(chain)
        chain = layer.parent if layer else None


def _with_parents(sight: Sight, chains: Iterable[str]) -> Iterator[str]:
    for chain in chains:
        yield from parents(sight, chain)


def _lost(sight: Sight, layers: frozenset[str]) -> Iterator[str]:
    for chain in sorted(layers - sight.layers.keys()):
        yield f"layer {chain}, which an image or a container needs, is not in layerdb"
    for id_ in sorted(sight.containers - sight.dying - sight.mounts.keys()):
        yield f"container {id_} has no layers in layerdb/mounts"
