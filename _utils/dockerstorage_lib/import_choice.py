"""Which objects of a bundle an import takes: what was chosen, and what that needs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import recreate
from .bundle import ContainerRecord, ImageRecord, Manifest, NetworkRecord, VolumeRecord
from .errors import BadInput, Refused
from .import_options import Options, Pattern, valid_name
from .objects import Container, read_container
from .policy import repository
from .prune import finder

Document = Mapping[str, Any]
Record = ContainerRecord | ImageRecord | NetworkRecord | VolumeRecord


@dataclass(frozen=True)
class Contents:
    """A bundle's manifest, and the inspect documents in it by their paths."""

    manifest: Manifest
    documents: Mapping[str, Document]

    def document(self, record: ContainerRecord | NetworkRecord | VolumeRecord) -> Document:
        return self.documents[record.document.path]

    def container(self, record: ContainerRecord) -> Container:
        """What a container needs, as a value."""
        return read_container(self.document(record))


@dataclass(frozen=True)
class Need:
    """Something that a container of the bundle needs and the bundle does not have."""

    container_id: str
    #: "image", "network", "volume" or "container"
    kind: str
    name: str


@dataclass(frozen=True)
class Choice:
    """What is imported. Containers: those that others need come first."""

    images: tuple[ImageRecord, ...]
    networks: tuple[NetworkRecord, ...]
    volumes: tuple[VolumeRecord, ...]
    containers: tuple[ContainerRecord, ...]
    #: (kind, id) to the sentence that says why it was chosen.
    why: Mapping[tuple[str, str], str]
    needs: tuple[Need, ...]


def kind_of(record: Record) -> str:
    names = {ImageRecord: "image", NetworkRecord: "network", VolumeRecord: "volume"}
    return names.get(type(record), "container")


def id_of(record: Record) -> str:
    return record.name if isinstance(record, VolumeRecord) else record.id


def name_of(record: Record) -> str:
    """The name of an object; of an image its first tag, or the short form of its id."""
    if isinstance(record, ImageRecord):
        return record.tags[0] if record.tags else record.id.removeprefix("sha256:")[:12]
    return record.name


def _names(record: Record) -> Iterable[str]:
    if isinstance(record, ImageRecord):
        return (*record.tags, *map(repository, record.tags))
    return (record.name,)


def _means(pattern: Pattern, record: Record) -> bool:
    return pattern.matches(kind_of(record), id_of(record), _names(record))


def all_records(manifest: Manifest) -> list[Record]:
    return [*manifest.images, *manifest.networks, *manifest.volumes, *manifest.containers]


def choose(contents: Contents, options: Options) -> Choice:
    """The objects that are imported; raises BadInput for a pattern or name without an object."""
    manifest = contents.manifest
    why: dict[tuple[str, str], str] = {}
    for record in all_records(manifest):
        if not options.only or any(_means(one, record) for one in options.only):
            why[kind_of(record), id_of(record)] = "chosen" if options.only else "in the bundle"
    needs = _add_needed(contents, why)
    _refuse_unmatched(manifest, options)
    taken = [one for one in all_records(manifest) if (kind_of(one), id_of(one)) in why]
    _refuse_bad_names(taken, options)
    return Choice(
        images=tuple(one for one in taken if isinstance(one, ImageRecord)),
        networks=tuple(one for one in taken if isinstance(one, NetworkRecord)),
        volumes=tuple(one for one in taken if isinstance(one, VolumeRecord)),
        containers=needed_first(
            [one for one in taken if isinstance(one, ContainerRecord)], contents
        ),
        why=why,
        needs=tuple(needs),
    )


def _add_needed(contents: Contents, why: dict[tuple[str, str], str]) -> list[Need]:
    """Add what chosen objects need; return what the bundle lacks of it."""
    manifest = contents.manifest
    missing: list[Need] = []
    find_network, find_container = finder(manifest.networks), finder(manifest.containers)
    volumes = {one.name for one in manifest.volumes}
    images = {one.id: one for one in manifest.images}
    waiting = [one for one in manifest.containers if ("container", one.id) in why]
    while waiting:
        record = waiting.pop(0)
        seen, reason = contents.container(record), f"needed by container {record.name}"
        wanted: list[tuple[str, str, str | None]] = [
            ("image", record.image_id, record.image_id if record.image_id in images else None)
        ]
        wanted += [("volume", name, name if name in volumes else None) for name in seen.volumes]
        for name in _network_names(contents.document(record)):
            network = find_network(name)
            wanted.append(("network", name, network.id if network else None))
        for name in seen.needs:
            other = find_container(name)
            wanted.append(("container", name, other.id if other else None))
            if other is not None and ("container", other.id) not in why:
                waiting.append(other)
        missing += [Need(record.id, kind, name) for kind, name, id_ in wanted if id_ is None]
        for kind, _, id_ in wanted:
            if id_ is not None:
                why.setdefault((kind, id_), reason)
    _add_parents(images, why)
    return missing


def _network_names(document: Document) -> list[str]:
    ends = (document.get("NetworkSettings") or {}).get("Networks") or {}
    mode = str((document.get("HostConfig") or {}).get("NetworkMode") or "")
    names = dict.fromkeys([*ends, *([] if mode.startswith("container:") else [mode])])
    return [name for name in names if name not in recreate.BUILT_IN]


def _add_parents(images: Mapping[str, ImageRecord], why: dict[tuple[str, str], str]) -> None:
    for kind, id_ in list(why):
        child = images.get(id_) if kind == "image" else None
        while child is not None and child.parent_id in images:
            why.setdefault(("image", child.parent_id), f"parent of image {name_of(child)}")
            child = images[child.parent_id]


def needed_first(records: list[ContainerRecord], contents: Contents
                  ) -> tuple[ContainerRecord, ...]:  # fmt: skip
    """In the bundle's order, but for what others need; containers in a circle as they come."""
    find = finder(records)
    found: dict[str, ContainerRecord] = {}
    opened: set[str] = set()
    stack = [(record, False) for record in reversed(records)]
    while stack:
        record, ready = stack.pop()
        if ready:
            found[record.id] = record
        elif record.id not in opened:
            opened.add(record.id)
            stack.append((record, True))
            needed = map(find, contents.container(record).needs)
            stack += [(one, False) for one in needed if one is not None]
    return tuple(found.values())


def _refuse_unmatched(manifest: Manifest, options: Options) -> None:
    records = all_records(manifest)
    for pattern in options.only:
        if not any(_means(pattern, one) for one in records):
            raise BadInput(f"only: the bundle has nothing called {str(pattern)!r}")
    for kind, old in options.rename or {}:
        named = [one for one in records if kind in (None, kind_of(one))]
        names = {
            name
            for one in named
            for name in (one.tags if isinstance(one, ImageRecord) else (one.name,))
        }
        if old not in names:
            raise BadInput(f"rename: the bundle has no {kind or 'object'} called {old!r}")


def new_names(record: Record, options: Options) -> tuple[str, ...]:
    """What an object is called on this host: an image by its tags."""
    names = record.tags if isinstance(record, ImageRecord) else (record.name,)
    return tuple(options.new_name(kind_of(record), name) for name in names)


def _refuse_bad_names(records: list[Record], options: Options) -> None:
    seen: dict[tuple[str, str], str] = {}
    for record in records:
        kind = kind_of(record)
        for name in new_names(record, options):
            if not valid_name(kind, name):
                raise Refused(f"{kind} {name!r}: the engine takes no such name; rename it")
            other = seen.setdefault((kind, name), id_of(record))
            if other != id_of(record):
                raise BadInput(f"rename: two objects of kind {kind} would be called {name!r}")
