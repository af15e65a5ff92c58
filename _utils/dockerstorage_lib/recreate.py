"""A container's inspect document turned into the request that makes it anew. Pure functions.

Inspect documents mix what the operator asked for with what the engine made of it; only the former
goes into the request. Sources: the engine's API reference (ContainerCreate, NetworkConnect) and
its checks in github.com/moby/moby, ``daemon/container.go`` and ``runconfig/hostconfig_unix.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .prune import finder

Document = Mapping[str, Any]

#: Networks and modes that every engine has; addresses and aliases are not for them.
BUILT_IN = frozenset({"", "default", "bridge", "host", "none"})
SHARED_MODES = ("NetworkMode", "IpcMode", "PidMode", "Cgroup")
SHORT_ID = 12


@dataclass(frozen=True)
class Known:
    """An object of the bundle and what it is called on this host."""

    id: str
    name: str
    new_id: str
    new_name: str


@dataclass(frozen=True)
class Names:
    """What the names and ids in documents stand for on this host."""

    containers: tuple[Known, ...] = ()
    networks: tuple[Known, ...] = ()
    #: Old name to new name.
    volumes: Mapping[str, str] = field(default_factory=dict)
    #: Volumes (old names) that are made by name, not by the engine with their container.
    named_volumes: frozenset[str] = frozenset()
    #: Networks (old names) that had to get other addresses.
    readdressed: frozenset[str] = frozenset()

    def container(self, reference: str) -> str:
        """The new id of a container, or the reference itself if the bundle lacks it."""
        found = finder(self.containers)(reference)
        return reference if found is None else found.new_id

    def container_name(self, reference: str) -> str:
        found = finder(self.containers)(reference)
        return reference if found is None else found.new_name

    def like(self, reference: str) -> str:
        """A container by its new name if it was named, by its new id if it was not."""
        named = any(one.name == reference for one in self.containers)
        return self.container_name(reference) if named else self.container(reference)

    def network(self, reference: str) -> str:
        found = finder(self.networks)(reference)
        return reference if found is None else found.new_name

    def has_address(self, reference: str) -> bool:
        """Whether a network has the addresses that it had."""
        found = finder(self.networks)(reference)
        return found is None or found.name not in self.readdressed

    def volume(self, name: str) -> str:
        return self.volumes.get(name, name)


@dataclass(frozen=True)
class Recreation:
    """What makes a container: a request, then the networks that it is on besides its first."""

    body: dict[str, Any]
    #: Network and settings, one request each: before API 1.44 the first takes one network alone.
    connect: tuple[tuple[str, dict[str, Any]], ...]
    disconnect: tuple[str, ...]
    #: What it will not have, or have otherwise, as sentences.
    notes: tuple[str, ...]


def recreate(document: Document, image: str, names: Names, host: str, same_driver: bool
             ) -> Recreation:  # fmt: skip
    """The request for a container.

    image is what to call its image on this host, host the name of the host it came from,
    same_driver whether both hosts have the same storage driver.
    """
    notes: list[str] = []
    host_config = _host_config(document, names, same_driver, notes)
    config = _config(document, host_config, image, host, notes)
    endpoints = _endpoints(document, names, notes)
    mode = str(host_config.get("NetworkMode") or "")
    # Of links as the default bridge has them the request takes no endpoint.
    first = next((one for one in endpoints if one == mode), None)
    body = {**config, "HostConfig": host_config}
    if first is not None:
        body["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints.pop(first)}}
    disconnect = () if first or not endpoints or mode in BUILT_IN or ":" in mode else (mode,)
    if mode in ("", "default"):
        endpoints.pop("bridge", None)
    if mode in BUILT_IN - {"", "default", "bridge"} or mode.startswith("container:"):
        endpoints = {}
    return Recreation(body, tuple(endpoints.items()), disconnect, tuple(notes))


def _config(
    document: Document, host_config: Document, image: str, host: str, notes: list[str]
) -> dict[str, Any]:
    config = {**document["Config"], "Image": image}
    mode, hostname = str(host_config.get("NetworkMode") or ""), config.get("Hostname")
    shared = mode.startswith("container:")
    if hostname == document["Id"][:SHORT_ID] or (mode == "host" and hostname == host):
        del config["Hostname"]
        if not shared:
            notes.append("its host name was made by the engine, and is made anew")
    elif shared or host_config.get("UTSMode") == "host":
        # The engine shows that of the other container, and refuses it in a request.
        config.pop("Hostname", None)
    if shared:
        config.pop("ExposedPorts", None)  # its image's come back by themselves
    return config


def _host_config(
    document: Document, names: Names, same_driver: bool, notes: list[str]
) -> dict[str, Any]:
    host = dict(document.get("HostConfig") or {})
    for key in SHARED_MODES:
        if str(host.get(key) or "").startswith("container:"):
            host[key] = "container:" + names.container(host[key].partition(":")[2])
    mode = str(host.get("NetworkMode") or "")
    if mode not in BUILT_IN and not mode.startswith("container:"):
        host["NetworkMode"] = names.network(mode)
    host["VolumesFrom"] = [_volumes_from(one, names) for one in host.get("VolumesFrom") or ()]
    host["Links"] = [request_link(one, names) for one in host.get("Links") or ()]
    host["Mounts"] = [_mount(one, document, names) for one in host.get("Mounts") or ()]
    host["Binds"] = [_bind(one, names) for one in host.get("Binds") or ()]
    host["Binds"] += _shared_volumes(document, names, notes)
    for key in ("VolumesFrom", "Links", "Mounts", "Binds"):
        host[key] = host[key] or None
    if host.get("StorageOpt") and not same_driver:
        options = ", ".join(f"{key}={value}" for key, value in sorted(host["StorageOpt"].items()))
        notes.append(f"without its storage options ({options}): the storage driver is another")
        host["StorageOpt"] = None
    return host


def _volumes_from(text: str, names: Names) -> str:
    source, colon, mode = text.partition(":")
    return names.like(source) + colon + mode


def request_link(text: str, names: Names) -> str:
    """``/db:/web/database`` as inspect shows it, ``db:database`` as a request has it."""
    source, _, alias = text.partition(":")
    return f"{names.container_name(source.lstrip('/'))}:{alias.rpartition('/')[2]}"


def _bind(text: str, names: Names) -> str:
    source, colon, rest = text.partition(":")
    return text if source.startswith("/") or not colon else names.volume(source) + colon + rest


def bind_volume(text: str) -> str | None:
    """The volume that a bind names; None for a path."""
    source, colon, _ = text.partition(":")
    return source if colon and not source.startswith("/") else None


def _mount(mount: Document, document: Document, names: Names) -> dict[str, Any]:
    if mount.get("Type") != "volume":
        return dict(mount)
    source = mount.get("Source") or ""
    if not source:
        name = _volume_at(document, str(mount.get("Target")))
        return {**mount, "Source": names.volume(name)} if name in names.named_volumes else {**mount}
    return {**mount, "Source": names.volume(source)}


def _volume_at(document: Document, target: str) -> str:
    found = (one for one in volume_mounts(document) if one["Destination"] == target)
    return next((str(one["Name"]) for one in found), "")


def volume_mounts(document: Document) -> list[Document]:
    """The mounts of a container that are volumes."""
    return [one for one in document.get("Mounts") or () if one.get("Type") == "volume"]


def explicit_volumes(document: Document) -> dict[str, str]:
    """Volumes that the operator mounted by name: destination to volume."""
    host = document.get("HostConfig") or {}
    found = {}
    for text in host.get("Binds") or ():
        name = bind_volume(text)
        if name is not None:
            found[text.split(":")[1].rstrip("/") or "/"] = name
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "volume" and mount.get("Source"):
            found[str(mount.get("Target")).rstrip("/") or "/"] = str(mount["Source"])
    return found


def own_volumes(document: Document) -> dict[str, str]:
    """Volumes that the engine made with the container: destination to volume.

    Only of a container that takes no volumes from another can that be told for sure; of one that
    does, those count that its own configuration names.
    """
    explicit = explicit_volumes(document)
    targets = set((document.get("Config") or {}).get("Volumes") or ())
    targets |= {
        str(mount.get("Target"))
        for mount in (document.get("HostConfig") or {}).get("Mounts") or ()
        if mount.get("Type") == "volume" and not mount.get("Source")
    }
    targets = {target.rstrip("/") or "/" for target in targets}
    return {
        one["Destination"]: str(one["Name"])
        for one in volume_mounts(document)
        if one["Destination"] in targets and one["Destination"] not in explicit
    }


def _shared_volumes(document: Document, names: Names, notes: list[str]) -> list[str]:
    """Binds for volumes that the engine made with it, and that another container names."""
    targets = {str(one.get("Target")) for one in document["HostConfig"].get("Mounts") or ()}
    found = []
    for target, name in sorted(own_volumes(document).items()):
        if name in names.named_volumes and target not in targets:
            found.append(f"{names.volume(name)}:{target}")
            notes.append(
                f"its volume at {target} is mounted by name: another container names it, too"
            )
    return found


def _endpoints(document: Document, names: Names, notes: list[str]) -> dict[str, dict[str, Any]]:
    found = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        names.network(key): _endpoint(key, end or {}, document["Id"], names, notes)
        for key, end in found.items()
    }


def _endpoint(
    network: str, end: Document, container_id: str, names: Names, notes: list[str]
) -> dict[str, Any]:
    """What the operator asked for at one network; the engine takes it on user networks alone."""
    made: dict[str, Any] = {}
    if end.get("DriverOpts") is not None:
        made["DriverOpts"] = dict(end["DriverOpts"])
    if network in BUILT_IN:
        return made
    addresses = {key: value for key, value in (end.get("IPAMConfig") or {}).items() if value}
    if addresses and not names.has_address(network):
        notes.append(f"without its address on {network}: that network has others here")
    elif end.get("IPAMConfig") is not None:
        made["IPAMConfig"] = addresses
    # The engine adds the short id itself.
    aliases = [one for one in end.get("Aliases") or () if one != container_id[:SHORT_ID]]
    if aliases:
        made["Aliases"] = aliases
    if end.get("Links"):
        made["Links"] = [request_link(one, names) for one in end["Links"]]
    return made
