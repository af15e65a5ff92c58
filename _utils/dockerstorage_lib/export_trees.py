"""The trees of files that an export reads: layers of images, and what containers changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .adapters import mounts
from .adapters.base import Base, Rule
from .errors import Refused
from .gather import Site


@dataclass(frozen=True)
class Changes:
    """A container's files; what is as the rule says is not its own."""

    path: Path
    #: As of ``mounts.LayerTree``.
    whiteouts: str
    rule: Rule | None = None


class Trees(Protocol):
    """Where an export finds files; within ``run_private``."""

    def image_layer(self, hash_: str) -> AbstractContextManager[Path]:
        """The files of an image's layer, by its cache id."""

    def container(self, container_id: str) -> AbstractContextManager[Changes]:
        """What a container changed; raises Refused if that cannot be told from its files."""


class LiveTrees:
    """Those of a running engine."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def image_layer(self, hash_: str) -> AbstractContextManager[Path]:
        """As of Trees."""
        return mounts.image_layer(self._site, hash_)

    @contextmanager
    def container(self, container_id: str) -> Iterator[Changes]:
        """As of Trees."""
        if self._site.driver == "overlay2":
            with mounts.container_tree(self._site, container_id, write=False) as layer:
                yield Changes(layer.path, "overlay")
        elif self._site.pool is not None:
            with mounts.container_pair(self._site, container_id) as (old, new):
                yield Changes(new, "remove", Base(old))
        else:
            raise Refused(f"not with {self._site.driver}")
