"""The engine's objects before a migration beside those after it: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .import_start import RAN

Document = Mapping[str, Any]
#: Documents of all objects, by kind and id.
Objects = Mapping[str, Mapping[str, Document]]

KINDS = ("images", "containers", "volumes", "networks")
#: What belongs to the storage driver, or to one run of a container.
_CHANGING = {
    "images": {"GraphDriver"},
    "containers": {"GraphDriver", "Driver", "State", "NetworkSettings", "ExecIDs"},
    "volumes": set[str](),
    "networks": {"Containers"},
}


#: The engine makes this network anew whenever it starts.
_DEFAULT_NETWORK = "bridge"


def differences(before: Objects, after: Objects, there: Mapping[str, Iterable[str]]) -> list[str]:
    """Sentences for what is not as it was; there: ids that the old store still had when it stopped.

    What came to exist meanwhile is no difference.
    """
    found = []
    for kind in KINDS:
        expected = set(there.get(kind, before[kind]))
        for id_, document in before[kind].items():
            if id_ not in expected or _is_remade(kind, document):
                continue
            now = after[kind].get(id_)
            if now is None:
                found.append(f"{kind[:-1]} {_name(id_, document)} is not there")
                continue
            fields = _fields(kind, document, now)
            if fields:
                named = f"{kind[:-1]} {_name(id_, document)}"
                found.append(f"{named} is not as it was in {', '.join(fields)}")
    return found


def new_objects(before: Objects, after: Objects) -> list[dict[str, str]]:
    """Images and containers that there were not before: kind, id, name.

    Volumes and networks are no store's own: they stay in sight, whatever serves.
    """
    return [
        {"kind": kind[:-1], "id": id_, "name": _name(id_, document)}
        for kind in ("images", "containers")
        for id_, document in after[kind].items()
        if id_ not in before[kind]
    ]


def ran(before: Objects) -> list[str]:
    """Ids of the containers that ran, in the order in which they were started."""
    documents = before["containers"]
    ids = [id_ for id_, one in documents.items() if one["State"]["Status"] in RAN]
    return sorted(ids, key=lambda id_: str(documents[id_]["State"].get("StartedAt")))


def _is_remade(kind: str, document: Document) -> bool:
    return kind == "networks" and document["Name"] == _DEFAULT_NETWORK


def _fields(kind: str, before: Document, now: Document) -> list[str]:
    names = (before.keys() | now.keys()) - _CHANGING[kind]
    found = sorted(name for name in names if before.get(name) != now.get(name))
    if kind == "containers" and _networks(before) != _networks(now):
        found.append("NetworkSettings.Networks")
    return found


def _networks(document: Document) -> dict[str, tuple[object, ...]]:
    """What of a container's networks outlives a run."""
    ends = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        name: (
            end.get("NetworkID") if name != _DEFAULT_NETWORK else "",
            end.get("IPAMConfig"),
            end.get("Links"),
        )
        for name, end in ends.items()
    }


def _name(id_: str, document: Document) -> str:
    name = document.get("Name") or next(iter(document.get("RepoTags") or ()), "")
    return str(name or id_).lstrip("/")
