"""What is on this host before an import, as one value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import Refused
from .gather import Site
from .import_journal import History
from .objects import Inventory, chain_ids

Document = Mapping[str, Any]

#: Docker makes no new device when less than this share of the pool is free (min_free_space).
POOL_RESERVE = 0.1


@dataclass(frozen=True)
class Mark:
    """What lies in a volume's directory beside its data."""

    #: "begun" or "done" by an import of this very bundle; empty without its mark.
    state: str
    is_empty: bool


@dataclass(frozen=True)
class World:
    """This host's engine, what it holds, and what this bundle's journal says."""

    site: Site
    inventory: Inventory
    networks: tuple[Document, ...]
    volumes: Mapping[str, Document]
    history: History
    #: Of volumes that are called like one of the bundle.
    marks: Mapping[str, Mark] = field(default_factory=dict)
    #: Free on the data root's file system, and in the thin pool beyond Docker's reserve.
    free_bytes: int = 0
    pool_free_bytes: int | None = None

    def image_ids(self) -> set[str]:
        return {one.id for one in self.inventory.images}

    def tags(self) -> dict[str, str]:
        """Every tag with the id of its image."""
        return {tag: one.id for one in self.inventory.images for tag in one.tags}

    def chains(self) -> set[str]:
        """Chain ids of all layers that images hold."""
        return {chain for one in self.inventory.images for chain in chain_ids(one.diff_ids)}

    def network(self, name: str) -> Document | None:
        return next((one for one in self.networks if one["Name"] == name), None)


def refuse_other_owners(documents: Iterable[Document], root: str) -> None:
    """Raise Refused if users are remapped here in another way than where the bundle comes from.

    An engine with remapped users has its data below ``<uid>.<gid>`` of its data root, and all files
    belong to other users there.
    """
    here = remapping(root)
    for document in documents:
        path = str(document.get("Mountpoint") or document.get("LogPath") or "")
        there = remapping(path)
        if path and there != here:
            raise Refused(
                f"the bundle's engine had users remapped to {there or 'none'}, and this one has "
                f"them remapped to {here or 'none'}: the owners of all files would be wrong. "
                "Import with an engine that is set up alike (userns-remap)"
            )


def remapping(path: str) -> str:
    """``uid.gid`` of the containers' root, by a path below the data root; empty if it is root."""
    match = re.search(r"/(\d{4,}\.\d{4,})(?:/volumes/|/containers/|$)", path)
    return match[1] if match else ""


def pool_free(pool: Mapping[str, Any] | None) -> int | None:
    """Bytes that may still be written to a pool, by its cheap figures; None without a pool."""
    if pool is None or not pool.get("data"):
        return None
    data = pool["data"]
    return int(data["total_bytes"] * (1 - POOL_RESERVE)) - int(data["used_bytes"])
