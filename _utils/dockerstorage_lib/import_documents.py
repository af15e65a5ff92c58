"""Inspect documents of a bundle: each is its object's, and in the engine's form. Pure functions.

They are data from elsewhere: what the import looks at must have the type that it counts on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import recreate, recreate_compare
from .bundle import ContainerRecord, VolumeRecord
from .errors import Damaged, Unparsable
from .import_choice import Record, kind_of, name_of
from .objects import read_container

Document = Mapping[str, Any]

_TEXTS = {"*": str}
_ENDPOINT = {
    "Aliases": [str],
    "Links": [str],
    "IPAMConfig": {"*": object},
    "DriverOpts": _TEXTS,
    "IPAddress": str,
    "NetworkID": str,
}
#: By kind: the type of each field that the import looks at. A list has elements of one shape, "*"
#: stands for any key. The engine leaves any of them out, or null.
SHAPES: dict[str, dict[str, Any]] = {
    "container": {
        "Id": str,
        "Name": str,
        "Image": str,
        "Created": str,
        "LogPath": str,
        "State": {"Status": str, "StartedAt": str, "FinishedAt": str},
        "Config": {
            "Image": str,
            "Hostname": str,
            "Labels": _TEXTS,
            "Volumes": {"*": object},
            "ExposedPorts": {"*": object},
        },
        "HostConfig": {
            "Binds": [str],
            "Links": [str],
            "VolumesFrom": [str],
            "Mounts": [{"Type": str, "Source": str, "Target": str}],
            "NetworkMode": str,
            "IpcMode": str,
            "PidMode": str,
            "UTSMode": str,
            "Cgroup": str,
            "StorageOpt": _TEXTS,
            "LogConfig": {"Type": str},
        },
        "Mounts": [{"Type": str, "Name": str, "Destination": str}],
        "NetworkSettings": {"Networks": {"*": _ENDPOINT}},
    },
    "volume": {"Name": str, "Driver": str, "Mountpoint": str, "Labels": _TEXTS, "Options": _TEXTS},
    "network": {
        "Id": str,
        "Name": str,
        "Driver": str,
        "Scope": str,
        "Labels": _TEXTS,
        "Options": _TEXTS,
        "ConfigFrom": {"Network": str},
        "IPAM": {
            "Driver": str,
            "Options": _TEXTS,
            "Config": [{"Subnet": str, "IPRange": str, "Gateway": str}],
        },
    },
}


def check_document(record: Record, document: Document) -> None:
    """Raise Damaged for a document that is another's, or not in the engine's form."""
    kind = kind_of(record)
    what = f"{kind} {name_of(record)}"
    wrong = misshaped(document, SHAPES[kind], "its document")
    if wrong:
        raise Damaged(what, wrong)
    wanted = {"Name": record.name} if isinstance(record, VolumeRecord) else {"Id": record.id}
    if isinstance(record, ContainerRecord):
        wanted |= {"Name": f"/{record.name}", "Image": record.image_id}
    for key, value in wanted.items():
        if document.get(key) != value:
            raise Damaged(what, f"its document is that of {key} {document.get(key)!r}")
    if isinstance(record, ContainerRecord):
        _try(what, document)


def _try(what: str, document: Document) -> None:
    """Ask of a container's document now, while nothing is changed, all that is ever asked of it."""
    try:
        read_container(document)
        recreate.recreate(document, "", recreate.Names(), "", True)
        recreate.own_volumes(document)
        recreate_compare.address_key(document)
    except (Unparsable, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Damaged(what, f"its document is not the engine's: {error!r}") from None


def misshaped(value: object, shape: Any, where: str) -> str | None:
    """The first place at which a value has not its shape, as a sentence; None if it has it."""
    if value is None or shape is object:
        return None
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is no object"
        parts = ((key, inner, shape.get(key, shape.get("*"))) for key, inner in value.items())
        known = ((f"{where}.{key}", inner, of) for key, inner, of in parts if of is not None)
        return next(filter(None, (misshaped(inner, of, at) for at, inner, of in known)), None)
    if isinstance(shape, list):
        if not isinstance(value, list) or None in value:
            return f"{where} is no list"
        return next(filter(None, (misshaped(one, shape[0], where) for one in value)), None)
    return None if isinstance(value, shape) else f"{where} is no text"
