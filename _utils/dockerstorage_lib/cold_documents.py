"""What the engine would tell of its objects, from the files that it keeps of them. Pure functions.

    containers/<id>/config.v2.json, hostconfig.json    a container
    network/files/local-kv.db                          networks: libnetwork's store
    volumes/metadata.db, volumes/<name>/opts.json      volumes
    image/<driver>/repositories.json                   the names of images

The documents have what an inspect document has, as far as a container, network or volume can be
made of it again: see daemon/inspect.go, api/server/router/network, volume/service of Docker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .bolt import Bucket
from .errors import Unparsable
from .objects import read_time

Document = dict[str, Any]

#: As Docker's State has them, but for its own private ones.
_STATE = (
    "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode", "Error",
    "StartedAt", "FinishedAt",
)  # fmt: skip
_MOUNT = ("Type", "Name", "Source", "Destination", "Driver", "RW", "Propagation")
_NETWORK_KEY = b"docker/network/v1.0/network/"
#: libkv puts the number of the last change before each value.
_INDEX_BYTES = 8


def read_json(text: bytes | str, what: str) -> Document:
    """An object of JSON; raises Unparsable, naming what it is of."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unparsable(what, str(text[:100]))
    return found


def container_document(config: Document, host: Document) -> Document:
    """The inspect document of a container, of its two files; raises Unparsable."""
    try:
        state = config["State"]
        networks = (config.get("NetworkSettings") or {}).get("Networks") or {}
        found: Document = {
            "Id": _text(config["ID"]),
            "Created": _text(config["Created"]),
            "Path": config.get("Path") or "",
            "Args": config.get("Args") or [],
            "State": {
                "Status": _status(state),
                **{key: state[key] for key in _STATE if key in state},
            },
            "Image": _text(config["Image"]),
            "LogPath": config.get("LogPath") or "",
            "Name": _text(config["Name"]),
            "RestartCount": config.get("RestartCount") or 0,
            "Driver": config.get("Driver") or "",
            "Platform": config.get("OS") or "linux",
            "MountLabel": config.get("MountLabel") or "",
            "ProcessLabel": config.get("ProcessLabel") or "",
            "AppArmorProfile": config.get("AppArmorProfile") or "",
            "ExecIDs": None,
            "HostConfig": host,
            "Mounts": [_mount(one) for _, one in sorted((config.get("MountPoints") or {}).items())],
            "Config": dict(config["Config"]),
            "NetworkSettings": {"Networks": {key: _end(one) for key, one in networks.items()}},
        }
        _text(found["Config"]["Image"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unparsable("a container's configuration", repr(error)) from None
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _status(state: Document) -> str:
    """As the engine sums it up (container/state.go)."""
    if state.get("Running"):
        if state.get("Paused"):
            return "paused"
        return "restarting" if state.get("Restarting") else "running"
    if state.get("RemovalInProgress"):
        return "removing"
    if state.get("Dead"):
        return "dead"
    never = str(state.get("StartedAt") or "0001-").startswith("0001-")
    return "created" if never else "exited"


def _mount(point: Document) -> Document:
    found = {key: point[key] for key in _MOUNT if point.get(key) not in (None, "")}
    return {"RW": False, "Propagation": "", **found, "Mode": point.get("Relabel") or ""}


def _end(endpoint: Any) -> Document:
    """A container's end in a network, without what the engine keeps for itself."""
    found = dict(endpoint or {})
    found.pop("IPAMOperational", None)
    return found


def network_documents(database: Bucket) -> tuple[dict[str, Document], list[str]]:
    """Documents of all networks by id; and ids of those that cannot be read."""
    rows = database.get(b"libnetwork")
    found, lost = {}, []
    for key, value in rows.items() if isinstance(rows, dict) else ():
        id_ = key.removeprefix(_NETWORK_KEY).strip(b"/").decode("utf-8", "replace")
        if not key.startswith(_NETWORK_KEY) or not id_ or not isinstance(value, bytes):
            continue
        try:
            found[id_] = _network(read_json(value[_INDEX_BYTES:], f"network {id_}"))
        except (Unparsable, KeyError, TypeError, ValueError, AttributeError):
            lost.append(id_)
    return found, lost


def _network(row: Document) -> Document:
    generic = row.get("generic") or {}
    return {
        "Name": _text(row["name"]),
        "Id": _text(row["id"]),
        "Created": _text(row.get("created") or "0001-01-01T00:00:00Z"),
        "Scope": row.get("scope") or "local",
        "Driver": _text(row["networkType"]),
        "EnableIPv6": bool(row.get("enableIPv6")),
        "IPAM": {
            "Driver": row.get("ipamType") or "default",
            "Options": row.get("ipamOptions"),
            "Config": [*_pools(row, "V4"), *_pools(row, "V6")],
        },
        "Internal": bool(row.get("internal")),
        "Attachable": bool(row.get("attachable")),
        "Ingress": bool(row.get("ingress")),
        "ConfigFrom": {"Network": row.get("configFrom") or ""},
        "ConfigOnly": bool(row.get("configOnly")),
        "Containers": {},
        "Options": generic.get("com.docker.network.generic") or {},
        "Labels": row.get("labels") or {},
    }


def _pools(row: Document, version: str) -> list[Document]:
    """Ranges of addresses: as they were asked for, else as they were given."""
    asked = json.loads(row.get(f"ipam{version}Config") or "[]")
    pools = [
        {
            "Subnet": one["PreferredPool"],
            "IPRange": one.get("SubPool"),
            "Gateway": one.get("Gateway"),
            "AuxiliaryAddresses": one.get("AuxAddresses"),
        }
        for one in asked
        if one.get("PreferredPool")
    ]
    if not pools:
        given = json.loads(row.get(f"ipam{version}Info") or "[]")
        data = [json.loads(one["IPAMData"]) for one in given]
        pools = [
            {"Subnet": one["Pool"], "Gateway": (one.get("Gateway") or "").partition("/")[0]}
            for one in data
        ]
    return [{key: value for key, value in one.items() if value} for one in pools]


def volume_document(
    name: str, mountpoint: str, created: str, record: Mapping[str, Any]
) -> Document:
    """The inspect document of a volume; record: its row in the database, empty without one."""
    return {
        "Name": name,
        "Driver": record.get("Driver") or "local",
        "Labels": record.get("Labels"),
        "Options": record.get("Options"),
        "Scope": "local",
        "Mountpoint": mountpoint,
        "CreatedAt": created,
    }


def mount_options(text: bytes) -> dict[str, str]:
    """A volume's options, of its ``opts.json``; raises Unparsable."""
    found = read_json(text, "a volume's options")
    names = {"type": "MountType", "o": "MountOpts", "device": "MountDevice"}
    return {key: str(found[name]) for key, name in names.items() if found.get(name)}


def image_names(text: bytes) -> dict[str, list[str]]:
    """Names by image id, tags and digests, of ``repositories.json``; raises Unparsable."""
    found: dict[str, list[str]] = {}
    try:
        for names in read_json(text, "repositories.json")["Repositories"].values():
            for name, id_ in names.items():
                found.setdefault(_text(id_), []).append(name)
    except (KeyError, TypeError, AttributeError):
        raise Unparsable("repositories.json", str(text[:100])) from None
    return found


def image_row(id_: str, config: bytes, parent: str, names: list[str]) -> Document:
    """The engine's row for an image in its list, of its configuration; raises Unparsable."""

    found = read_json(config, f"image {id_}")
    try:
        inner = found.get("config") or {}
        [_text(one) for one in found["rootfs"].get("diff_ids") or ()]
        return {
            "Id": id_,
            "ParentId": parent,
            "RepoTags": [name for name in names if "@" not in name],
            "RepoDigests": [name for name in names if "@" in name],
            "Created": int(read_time(_text(found.get("created") or ""))),
            "Labels": dict(inner.get("Labels") or {}),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unparsable(f"image {id_}", str(config[:100])) from None
