"""Objects that were imported against those of before: what may differ, and nothing else."""

from __future__ import annotations

import json
from typing import Any

#: Leaves nothing on a host but what the engine makes itself.
WIPE = """
docker ps -aq | xargs -r docker rm -fv
docker volume ls -q | xargs -r docker volume rm
docker network prune -f
docker images -aq | xargs -r docker rmi -f; docker images -aq | xargs -r docker rmi -f
docker builder prune -af
true
"""
#: Fields of inspect documents that belong to the very object, or to its having run.
OWN = {
    "containers": {
        "Id", "Created", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath",
        "Driver", "GraphDriver", "SandboxID", "SandboxKey", "EndpointID", "NetworkID", "Source",
    },
    "images": {"GraphDriver", "LastTagTime"},
    "volumes": {"CreatedAt", "Mountpoint"},
    "networks": {"Id", "Created", "Containers"},
}  # fmt: skip


def comparable(state: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Objects by their names, without what belongs to the very object; references by name."""
    names = {one["Id"]: one["Name"] for one in state["containers"]}
    shorts = {id_[:12]: "<short id>" for id_ in names}
    # Volumes that the engine named, by their container and place.
    anonymous = {
        mount["Name"]: f"<{one['Name']} {mount['Destination']}>"
        for one in sorted(state["containers"], key=lambda one: one["Name"], reverse=True)
        for mount in one["Mounts"]
        if len(mount.get("Name", "")) == 64
    }

    def same(kind: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: same(kind, inner) for key, inner in value.items() if key not in OWN[kind]}
        if isinstance(value, list):
            # The engine adds its own alias last if the others were given.
            return sorted((same(kind, one) for one in value), key=json.dumps)
        if isinstance(value, str):
            head, colon, tail = value.partition(":")
            if head == "container":
                return head + colon + names.get(tail, tail)
            # An image that was committed has the host name of its container for good.
            short = shorts.get(value) if kind == "containers" else None
            return short or anonymous.get(value, value)
        return value or None

    found = {}
    for kind, key in (("containers", "Name"), ("images", "Id"), ("volumes", "Name"),
                      ("networks", "Name")):  # fmt: skip
        for one in state[kind]:
            found[f"{kind} {anonymous.get(one[key], one[key])}"] = same(kind, one)
    return found


def settle(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without what a container gets by having been started."""
    for name, one in found.items():
        if name.startswith("containers"):
            one["HostConfig"]["OomKillDisable"] = None
            for end in one["NetworkSettings"]["Networks"].values():
                end["Aliases"] = sorted(set(end["Aliases"] or ()) - {"<short id>"})
    return found


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Every place at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted({*one, *other})
            for line in differing(one.get(key), other.get(key), f"{where}.{key}")
        ]
    return [] if one == other else [f"{where}: {one!r}, was {other!r}"]


def without_engine_files(tree: dict[str, Any]) -> dict[str, Any]:
    """A container's files without the one that the engine makes in each."""
    return {path: one for path, one in tree.items() if path != ".dockerenv"}
