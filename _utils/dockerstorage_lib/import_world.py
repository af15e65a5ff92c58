"""What is on this host before an import, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


def pool_free(pool: Mapping[str, Any] | None) -> int | None:
    """Bytes that may still be written to a pool, by its cheap figures; None without a pool."""
    if pool is None or not pool.get("data"):
        return None
    data = pool["data"]
    return int(data["total_bytes"] * (1 - POOL_RESERVE)) - int(data["used_bytes"])
