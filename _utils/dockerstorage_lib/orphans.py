"""The orphans of a devicemapper store: what nothing uses and nothing removes. Pure functions.

Six kinds of left-overs of engines that were killed, of moved files and of work by hand; a device
or a file belongs to one orphan only. What might be somebody's is ``kept``, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .adapters.store import DRIVER
from .orphan_sight import BASE, Live, Sight, find_live, is_live, parents
from .thinmap import PoolMap, freed_blocks

LAYERDB = f"image/{DRIVER}/layerdb"
METADATA = f"{DRIVER}/metadata"
#: In the order of their removal: an engine does not start with a mount whose layers are gone.
CLASSES = (
    "unreferenced_mount",
    "unreferenced_layer",
    "removing",
    "deferred_delete",
    "unreferenced_device",
    "metadata_without_device",
    "device_without_metadata",
)


@dataclass(frozen=True)
class Orphan:
    """One left-over."""

    kind: str
    #: Chain id, container id, folder, name or id of a device: unique within its kind.
    name: str
    evidence: str
    #: Folder of layerdb, below the data root.
    folder: str | None = None
    #: Names of thin devices whose metadata files go with it.
    records: tuple[str, ...] = ()
    device_ids: tuple[int, ...] = ()
    #: Why it must not be touched; None if it may.
    kept: str | None = None
    #: What goes free in the pool with it, after those before it.
    freed_bytes: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    @property
    def paths(self) -> tuple[str, ...]:
        """What lies on disk of it, below the data root."""
        files = tuple(f"{METADATA}/{name}" for name in self.records)
        return ((self.folder,) if self.folder else ()) + files


def find(sight: Sight) -> list[Orphan]:
    """All orphans in the order of their removal, with what each frees."""
    live = find_live(sight)
    found = [_judged(one, sight, live) for one in _Search(sight, live).all()]
    found = _with_what_kept_ones_need(found, sight)
    return weigh(found, sight.pool)


def doubts(sight: Sight) -> list[str]:
    """Why nothing may be removed at all."""
    counts = Counter(one.device_id for one in sight.records.values())
    twice = sorted(number for number, count in counts.items() if count > 1)
    names = "several files of {}/{} name the device {}: find out which is right"
    return [*sight.doubts, *(names.format(DRIVER, "metadata", number) for number in twice)]


def weigh(found: Sequence[Orphan], pool: PoolMap) -> list[Orphan]:
    """Add what each frees; those that are kept are reckoned last, as if they went too."""
    block_bytes = pool.data_block_sectors * 512
    ordered = sorted(found, key=lambda one: one.kept is not None)
    going = [one.device_ids for one in ordered if one.kept is None]
    blocks = freed_blocks(pool, going)
    blocks += freed_blocks(pool, [one.device_ids for one in ordered])[len(going) :]
    sizes = {one.key: count * block_bytes for one, count in zip(ordered, blocks, strict=True)}
    return [replace(one, freed_bytes=sizes[one.key]) for one in found]


class _Search:
    """Goes through a store once and takes each device for the first that names it."""

    def __init__(self, sight: Sight, live: Live) -> None:
        self._sight, self._live = sight, live
        self._taken: set[str] = set()
        # A device that a live name has is never another's, whatever else names it.
        self._ids = {
            record.device_id for name, record in sight.records.items() if is_live(name, live)
        }

    def all(self) -> Iterator[Orphan]:
        yield from self._mounts()
        yield from self._layers()
        yield from self._removing()
        records = sorted(self._records(), key=lambda one: CLASSES.index(one.kind))
        yield from records
        yield from self._devices()

    def _mounts(self) -> Iterator[Orphan]:
        for id_, mount in sorted(self._sight.mounts.items()):
            if id_ not in self._live.mounts:
                why = f"there is no containers/{id_}, and BuildKit's databases do not name it"
                folder = f"{LAYERDB}/mounts/{id_}"
                yield self._orphan("unreferenced_mount", id_, why, folder, mount.hashes)

    def _layers(self) -> Iterator[Orphan]:
        # A layer is gone before the one that it lies upon.
        loose = self._sight.layers.keys() - self._live.layers
        depth = {chain: len(list(parents(self._sight, chain))) for chain in loose}
        for chain in sorted(loose, key=lambda one: (-depth[one], one)):
            why = (
                "no image and no container rests on it, no layer of theirs lies upon it, and "
                "BuildKit's databases do not name it"
            )
            folder = f"{LAYERDB}/{chain.replace(':', '/')}"
            hashes = (self._sight.layers[chain].hash,)
            yield self._orphan("unreferenced_layer", chain, why, folder, hashes)

    def _removing(self) -> Iterator[Orphan]:
        for name, hash_ in sorted(self._sight.removing.items()):
            why = "the engine had begun to remove this layer, and did not end it"
            folder = f"{LAYERDB}/sha256/{name}"
            yield self._orphan("removing", name, why, folder, (hash_,) if hash_ else ())

    def _records(self) -> Iterator[Orphan]:
        for name, record in sorted(self._sight.records.items()):
            live = is_live(name, self._live)
            there = record.device_id in self._sight.pool.devices
            if name in self._taken or (live and there and not record.deleted):
                continue
            if not there:
                kind = "metadata_without_device"
                why = f"the pool has no device {record.device_id}"
            elif record.deleted:
                kind, why = "deferred_delete", "its file says that it is deleted"
            else:
                kind = "unreferenced_device"
                why = "no layer, no container and no database of BuildKit names it"
            found = self._orphan(kind, name, why, None, (name,), force=True)
            yield replace(found, kept=_needed(name)) if live else found

    def _devices(self) -> Iterator[Orphan]:
        known = {one.device_id for one in self._sight.records.values()}
        for number in sorted(self._sight.pool.devices.keys() - known):
            why = f"no file of {METADATA} names the device {number} of the pool"
            yield Orphan("device_without_metadata", str(number), why, device_ids=(number,))

    def _orphan(
        self, kind: str, name: str, why: str, folder: str | None, hashes: Iterable[str],
        force: bool = False,
    ) -> Orphan:  # fmt: skip
        mine = tuple(
            one
            for one in dict.fromkeys(hashes)
            if one in self._sight.records and one not in self._taken
            and (force or not is_live(one, self._live))
        )  # fmt: skip
        self._taken.update(mine)
        numbers = dict.fromkeys(self._sight.records[one].device_id for one in mine)
        ids = tuple(n for n in numbers if n in self._sight.pool.devices and n not in self._ids)
        self._ids.update(ids)
        return Orphan(kind, name, why, folder, mine, ids)


def _needed(name: str) -> str:
    if name == BASE:
        return "every layer of the engine begins with the base device"
    return (
        "a layer, a container or BuildKit still names it: look whether that is whole, and remove "
        "it by the engine"
    )


def _judged(one: Orphan, sight: Sight, live: Live) -> Orphan:
    return one if one.kept else replace(one, kept=_why_kept(one, sight, live))


def _why_kept(one: Orphan, sight: Sight, live: Live) -> str | None:
    if sight.work:
        return f"the engine is at work, and may just be making it: {sight.work[0]}"
    used = next((sight.in_use[number] for number in one.device_ids if number in sight.in_use), None)
    if used:
        return used
    undone = sight.open_transaction
    if undone and (undone.hash in one.records or undone.device_id in one.device_ids):
        return "the engine was making or deleting it when it ended, and undoes that when it starts"
    if one.kind == "removing" and f"sha256:{one.name.partition('-')[0]}" in live.layers:
        return "an image or a container needs this layer, which is only half removed"
    nameless = [*live.lost]
    if one.kind == "device_without_metadata":
        nameless += [
            f"{name} is in use and has no file in {METADATA}"
            for name in sorted(live.hashes - sight.records.keys() - _not_devices(sight))
        ]
    if nameless and one.kind in ("device_without_metadata", "unreferenced_device"):
        return f"it may belong to what has lost its own: {nameless[0]}"
    return None


def _not_devices(sight: Sight) -> set[str]:
    """Names in BuildKit's databases that are no devices: of layers, or of what is long gone."""
    return set(sight.buildkit)


def _with_what_kept_ones_need(found: Sequence[Orphan], sight: Sight) -> list[Orphan]:
    """A layer stays if one that lies upon it stays."""
    needed: dict[str, str] = {}
    for one in found:
        if one.kept and one.kind == "unreferenced_mount":
            needed |= dict.fromkeys(parents(sight, sight.mounts[one.name].parent), one.name)
        elif one.kept and one.kind == "unreferenced_layer":
            needed |= dict.fromkeys(parents(sight, sight.layers[one.name].parent), one.name)
    return [
        replace(one, kept=f"{needed[one.name]} lies upon it, and is kept")
        if not one.kept and one.kind == "unreferenced_layer" and one.name in needed
        else one
        for one in found
    ]
