"""What a container changed, as entries, with any storage driver; within ``mounts.run_private``."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import treetar
from ..gather import Site
from ..tree import Entry
from . import mounts, store, tree
from .base import Base, Chosen, CopyBase, LowerBase, Rule

OnLeftOut = Callable[[str, str], None]

#: What the engine makes in every container's init layer (moby's ``daemon/initlayer``), and the
#: directories above.
INIT_PATHS = (
    "", "dev", "dev/pts", "dev/shm", "dev/console", "proc", "sys", ".dockerenv",
    "etc", "etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/mtab",
)  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """A part of a layer's tree, to read."""

    path: Path
    whiteouts: str
    base: Rule
    skip: Container[str] = ()

    def entries(self, on_left_out: OnLeftOut | None = None) -> Iterator[Entry]:
        """The entries; on_left_out(path, why) hears of what they cannot tell."""
        return tree.walk(
            self.path,
            whiteouts=self.whiteouts,
            base=self.base,
            skip=self.skip,
            on_left_out=on_left_out,
        )

    def write_tar(self, write: Callable[[bytes], object], on_left_out: OnLeftOut) -> None:
        """The entries with their content, in the one canonical form."""
        treetar.write_tar(self.entries(on_left_out), tree.opener(self.path), write, on_left_out)


@contextmanager
def container_changes(site: Site, container_id: str) -> Iterator[tuple[Changes, Changes]]:
    """What the engine made for a container, and what that changed since, deletions included.

    Raises Refused where its layers cannot be read.
    """
    init = Chosen(INIT_PATHS)
    if site.driver == "overlay2":
        with (
            mounts.lower_tree(site, container_id) as lower,
            mounts.container_tree(site, container_id, write=False, init=True) as before,
            mounts.container_tree(site, container_id, write=False) as now,
        ):
            yield (
                Changes(before.path, "overlay", init, init),
                Changes(now.path, "overlay", LowerBase(lower)),
            )
        return
    with mounts.container_pair(site, container_id) as (old, new):
        base = Base(old)
        if site.driver == "vfs":
            base = CopyBase(old, store.container_made_ns(site.root, container_id, site.driver))
        yield Changes(old, "remove", init, init), Changes(new, "remove", base)


@contextmanager
def chosen_changes(
    site: Site, container_id: str, chosen: Chosen, *, init: bool
) -> Iterator[Changes]:
    """The same entries, and deletions, as were found in another layer."""
    with mounts.container_tree(site, container_id, write=False, init=init) as layer:
        yield Changes(layer.path, layer.whiteouts, chosen, chosen)
