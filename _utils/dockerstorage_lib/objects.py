"""Docker's objects as values: what the planner reasons about and a recheck compares."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from . import bolt
from .errors import Unparsable

#: States in which a container's processes exist; all others are candidates for removal.
ALIVE = frozenset({"running", "paused", "restarting", "removing"})
#: The last is swarm's, and often made by hand with settings of its own before a host joins.
PREDEFINED_NETWORKS = frozenset({"bridge", "host", "none", "docker_gwbridge"})
ANONYMOUS_LABEL = "com.docker.volume.anonymous"  # set by Docker 23 and later

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Container:
    id: str
    name: str
    image_id: str
    #: The name it was created from; it may by now point to another image.
    image_name: str
    state: str
    #: When it was created, started or finished, whatever came last (seconds since the epoch).
    used_at: float
    labels: Labels
    volumes: tuple[str, ...] = ()
    #: Ids and names of the networks it is attached to, or will be when it starts.
    networks: tuple[str, ...] = ()
    #: Ids or names of other containers that it cannot start without.
    needs: tuple[str, ...] = ()

    kind = "container"

    @property
    def rests_on(self) -> tuple[str, ...]:
        return self.needs


@dataclass(frozen=True)
class Image:
    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    parent_id: str
    created_at: float
    #: When it came to this host or was last tagged here (seconds since the epoch).
    used_at: float
    labels: Labels
    #: Digests of its layers, the lowest first.
    diff_ids: tuple[str, ...] = ()

    kind = "image"

    @property
    def rests_on(self) -> tuple[str, ...]:
        return (self.parent_id,)

    @property
    def name(self) -> str:
        """Its first tag, or the short form of its id."""
        return self.tags[0] if self.tags else self.id.removeprefix("sha256:")[:12]


@dataclass(frozen=True)
class Volume:
    name: str
    driver: str
    used_at: float
    labels: Labels
    #: Mount options, as for NFS: the data then lies elsewhere.
    has_options: bool = False

    kind = "volume"
    rests_on = ()

    @property
    def id(self) -> str:
        return self.name

    @property
    def anonymous(self) -> bool:
        return ANONYMOUS_LABEL in self.labels or bool(re.fullmatch("[0-9a-f]{64}", self.name))


@dataclass(frozen=True)
class Network:
    id: str
    name: str
    scope: str
    used_at: float
    labels: Labels
    #: Running containers and services that are attached now.
    endpoints: tuple[str, ...] = ()
    ingress: bool = False
    #: It only holds settings for swarm networks to take.
    config_only: bool = False

    kind = "network"
    rests_on = ()


@dataclass(frozen=True)
class CacheRecord:
    """A record of BuildKit's build cache. It carries no labels."""

    id: str
    name: str
    rests_on: tuple[str, ...]
    in_use: bool
    shared: bool
    size_bytes: int
    used_at: float
    #: Chain id of the layer that it holds; empty if it has a thin device of its own, named by id.
    chain_id: str = ""

    kind = "build_cache"


Object = Container | Image | Volume | Network | CacheRecord


@dataclass(frozen=True)
class Inventory:
    """Everything that the engine holds, at one moment."""

    containers: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    cache: tuple[CacheRecord, ...] = ()


def chain_ids(diff_ids: Iterable[str]) -> Iterator[str]:
    """Chain ids of a stack of layers, the lowest first.

    See the OCI image specification, "Layer ChainID".
    """
    chain = ""
    for diff_id in diff_ids:
        if chain:
            digest = hashlib.sha256(f"{chain} {diff_id}".encode())
            chain = f"sha256:{digest.hexdigest()}"
        else:
            chain = diff_id
        yield chain


def read_container(found: Mapping[str, Any]) -> Container:
    """Read the engine's inspect document of a container."""
    state, config, host = found["State"], found["Config"], found["HostConfig"]
    attached = (found.get("NetworkSettings") or {}).get("Networks") or {}
    networks = set(attached) | {end.get("NetworkID") for end in attached.values() if end}
    times = (found["Created"], state.get("StartedAt"), state.get("FinishedAt"))
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        image_id=found["Image"],
        image_name=config["Image"],
        state=state["Status"],
        used_at=max(map(read_time, times)),
        labels=dict(config.get("Labels") or {}),
        volumes=tuple(sorted(filter(None, map(_volume_name, found.get("Mounts") or ())))),
        networks=tuple(sorted(network for network in networks if network)),
        needs=tuple(sorted(_needs(host))),
    )


def _volume_name(mount: Mapping[str, Any]) -> str:
    """The volume that a container mounts, by its name or by the path of its content; empty if none.

    The engine itself does not count the latter as a use.
    """
    if mount["Type"] == "volume":
        return str(mount["Name"])
    inside = re.search(r"/volumes/([^/]+)/_data(?:/|$)", mount.get("Source") or "")
    return inside[1] if inside else ""


def _needs(host: Mapping[str, Any]) -> set[str]:
    """Other containers named by a host configuration: shared namespaces, volumes, links."""
    modes = (host.get(key) or "" for key in ("NetworkMode", "IpcMode", "PidMode"))
    shared = {mode.partition(":")[2] for mode in modes if mode.startswith("container:")}
    volumes_from = {source.partition(":")[0] for source in host.get("VolumesFrom") or ()}
    links = {link.partition(":")[0].lstrip("/") for link in host.get("Links") or ()}
    return shared | volumes_from | links


def read_image(listed: Mapping[str, Any], used_at: float, diff_ids: Iterable[str]) -> Image:
    """Read an image from the engine's list; what the list lacks comes from elsewhere."""
    return Image(
        id=listed["Id"],
        tags=real_names(listed.get("RepoTags")),
        digests=real_names(listed.get("RepoDigests")),
        parent_id=listed.get("ParentId") or "",
        created_at=float(max(listed["Created"], 0)),
        used_at=used_at,
        labels=dict(listed.get("Labels") or {}),
        diff_ids=tuple(diff_ids),
    )


def real_names(names: Iterable[str] | None) -> tuple[str, ...]:
    """The tags or digests of an image, each once, without the engine's ``<none>`` stand-ins."""
    return tuple(
        sorted(
            {
                name
                for name in names or ()
                if not name.endswith(":<none>") and not name.startswith("<none>@")
            }
        )
    )


def read_volume(found: Mapping[str, Any]) -> Volume:
    """Read the engine's inspect document of a volume."""
    return Volume(
        name=found["Name"],
        driver=found["Driver"],
        used_at=read_time(found.get("CreatedAt")),
        labels=dict(found.get("Labels") or {}),
        has_options=bool(found.get("Options")),
    )


def read_network(found: Mapping[str, Any]) -> Network:
    """Read the engine's inspect document of a network."""
    return Network(
        id=found["Id"],
        name=found["Name"],
        scope=found["Scope"],
        used_at=read_time(found.get("Created")),
        labels=dict(found.get("Labels") or {}),
        endpoints=tuple(sorted(found.get("Containers") or ())),
        ingress=bool(found.get("Ingress")),
        config_only=bool(found.get("ConfigOnly")),
    )


def held_chains(thing: Object) -> tuple[str, ...]:
    """Chain ids of the layers that cannot go before an image or cache record does."""
    if isinstance(thing, Image):
        return tuple(chain_ids(thing.diff_ids))
    if isinstance(thing, CacheRecord) and thing.chain_id:
        return (thing.chain_id,)
    return ()


def read_snapshots(database: bolt.Bucket) -> dict[str, str]:
    """Chain id of each snapshot of BuildKit; empty for one with a device of its own."""
    return {
        key.decode(): _plain(bucket.get(b"chainid")) if isinstance(bucket, dict) else ""
        for key, bucket in database.items()
    }


def _plain(value: bytes | bolt.Bucket | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def read_cache_record(found: Mapping[str, Any], snapshots: Mapping[str, str]) -> CacheRecord:
    """Read one record of the engine's disk usage document ("BuildCache")."""
    # " Parents", with a blank, is what Docker 23 to 27 send (its JSON tag has a slip).
    parents = found.get("Parents") or found.get(" Parents") or [found.get("Parent")]
    times = (found["CreatedAt"], found.get("LastUsedAt"))
    return CacheRecord(
        id=found["ID"],
        name=found.get("Description") or found.get("Type") or "",
        rests_on=tuple(filter(None, parents)),
        in_use=bool(found["InUse"]),
        shared=bool(found["Shared"]),
        size_bytes=int(found["Size"]),
        used_at=max(map(read_time, times)),
        chain_id=snapshots.get(found["ID"], ""),
    )


def read_stored_records(
    database: bolt.Bucket, snapshots: Mapping[str, str]
) -> Iterator[CacheRecord]:
    """Read the records of BuildKit's own database, as it would list them.

    Whether one is in use is known to the engine alone, which then refuses to remove it.
    """
    records = database.get(b"_main")
    for key, bucket in records.items() if isinstance(records, dict) else ():
        if not isinstance(bucket, dict):
            continue
        texts = {name.decode(): text for name, text in bucket.items() if isinstance(text, bytes)}
        values = {name: json.loads(text)["value"] for name, text in texts.items() if text}
        if values.get("cache.equalMutable") or values.get("cache.deleted"):
            continue  # the other name of a record that is listed itself; one that is going
        id_, parent = key.decode(), values.get("cache.parent")
        times = (values.get("cache.createdAt") or 0, values.get("cache.lastUsedAt") or 0)
        yield CacheRecord(
            id=id_,
            name=values.get("cache.description") or "",
            rests_on=(parent,) if parent else (),
            in_use=False,
            shared=False,
            size_bytes=max(int(values.get("snapshot.size") or 0), 0),
            used_at=max(times) / 1e9,
            chain_id=snapshots.get(id_, ""),
        )


def read_time(text: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time of Go; 0 for none and for Go's zero time."""
    if not text:
        return 0.0
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?\s?(Z|[+-]\d\d:?\d\d)(?: \w+)?",
        text,
        re.ASCII,
    )
    if match is None:
        raise Unparsable("time", text)
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Unparsable("time", text) from None
    seconds = moment.timestamp() + float(match[3] or 0)
    if match[4] != "Z":
        offset = 3600 * int(match[4][1:3]) + 60 * int(match[4][-2:])
        seconds += -offset if match[4][0] == "+" else offset
    return max(seconds, 0.0)
