"""A data root whose engine does not run, asked as an engine is asked for an export."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import bolt, cold_documents, objects
from ..bundle import NotTaken
from ..cold_documents import Document
from ..errors import DockerstorageError, Unparsable
from ..gather import Site
from . import store

#: What JSON of another shape than the engine's leads to.
_SHAPES = (KeyError, TypeError, ValueError, AttributeError)


class ColdEngine:
    """The objects of a data root, read once; nothing is written.

    What cannot be read is in ``damaged``, and is not there otherwise.
    """

    def __init__(self, root: Path, container_bytes: Callable[[str], int]) -> None:
        self.site = Site(str(root), store.DRIVER, None)
        self.damaged: list[NotTaken] = []
        self._root, self._container_bytes = root, container_bytes
        self._names = self._read("tags", "", self._read_names, {})
        self._images = dict(self._each("image", self._image_ids(), self._image))
        folders = [path.name for path in store.entries(root / "containers")]
        self._containers = {
            id_: found
            for id_, found in self._each("container", folders, self._container)
            # Another engine may have made others since.
            if found["Driver"] == store.DRIVER
        }
        self._networks = self._read("networks", "", self._read_networks, {})
        known = self._read("volume labels", "", self._volume_records, {})
        names = [path.name for path in store.entries(root / "volumes") if path.is_dir()]
        self._volumes = dict(
            self._each("volume", names, lambda name: self._volume(name, known.get(name) or {}))
        )

    # -- as of Engine and ExportEngine

    def info(self) -> Document:
        """Of the engine that wrote the store: nothing tells its version."""
        return {"ServerVersion": "unknown", "Driver": self.site.driver}

    def containers(self) -> tuple[objects.Container, ...]:
        """All containers that can be read."""
        return tuple(map(objects.read_container, self._containers.values()))

    def images(self) -> list[Document]:
        """Rows of all images that can be read."""
        return list(self._images.values())

    def image(self, name: str) -> None:
        """No more is known of an image than its configuration."""

    def volumes(self) -> tuple[objects.Volume, ...]:
        """All volumes."""
        return tuple(map(objects.read_volume, self._volumes.values()))

    def networks(self) -> tuple[objects.Network, ...]:
        """All networks that can be read."""
        return tuple(map(objects.read_network, self._networks.values()))

    def build_cache(self) -> list[Document]:
        """It is not rescued."""
        return []

    def document(self, kind: str, name: str) -> Document | None:
        """As of ExportEngine."""
        kinds = {
            "container": self._containers,
            "volume": self._volumes,
            "network": self._networks,
        }
        return kinds[kind].get(name)

    def container_size(self, container_id: str) -> int:
        """Bytes that the pool has for a container alone."""
        return self._container_bytes(container_id)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Nothing runs that could be paused."""
        yield

    @contextmanager
    def paused(self, container_ids: Iterable[str]) -> Iterator[None]:
        """Nothing runs that could be paused."""
        yield

    # -- reading

    def _read(self, kind: str, name: str, read: Callable[[], Any], otherwise: Any) -> Any:
        """What is read, or another thing if that is damaged."""
        try:
            return read()
        except (DockerstorageError, OSError, *_SHAPES) as error:
            self.damaged.append(NotTaken(kind, name, name, str(error)))
            return otherwise

    def _each(
        self, kind: str, names: Iterable[str], read: Callable[[str], Document]
    ) -> Iterator[tuple[str, Document]]:
        for name in names:
            found = self._read(kind, name, lambda name=name: read(name), None)  # type: ignore[misc]
            if found is not None:
                yield name, found

    def _image_ids(self) -> list[str]:
        return store.image_ids(str(self._root), store.DRIVER)

    def _image(self, id_: str) -> Document:
        config = store.image_config(str(self._root), store.DRIVER, id_) or b""
        if f"sha256:{hashlib.sha256(config).hexdigest()}" != id_:
            raise Unparsable(f"image {id_}", "its configuration does not have its digest")
        found = cold_documents.image_row(id_, config, self._parent(id_), self._names.get(id_, []))
        objects.read_image(found, 0, ())
        return found

    def _parent(self, id_: str) -> str:
        def read() -> str:
            return store.image_parent(str(self._root), store.DRIVER, id_) or ""

        parent: str = self._read("image's parent", id_, read, "")
        return parent

    def _read_names(self) -> dict[str, list[str]]:
        path = self._root / "image" / store.DRIVER / "repositories.json"
        return cold_documents.image_names(path.read_bytes())

    def _container(self, id_: str) -> Document:
        folder = self._root / "containers" / id_
        config = cold_documents.read_json((folder / "config.v2.json").read_bytes(), id_)
        host = cold_documents.read_json((folder / "hostconfig.json").read_bytes(), id_)
        found = cold_documents.container_document(config, host)
        if found["LogPath"]:  # the data root may lie elsewhere now
            found["LogPath"] = str(folder / Path(found["LogPath"]).name)
        objects.read_container(found)
        return found

    def _read_networks(self) -> dict[str, Document]:
        path = self._root / "network" / "files" / "local-kv.db"
        found, lost = cold_documents.network_documents(bolt.read_database(path.read_bytes()))
        for id_ in lost:
            self.damaged.append(NotTaken("network", id_, id_, "it cannot be read"))
        for one in found.values():
            objects.read_network(one)
        return found

    def _volume_records(self) -> dict[str, Document]:
        path = self._root / "volumes" / "metadata.db"
        rows = bolt.read_database(path.read_bytes()).get(b"volumes")
        return {
            name.decode(): cold_documents.read_json(row, f"volume {name!r}")
            for name, row in (rows.items() if isinstance(rows, dict) else ())
            if isinstance(row, bytes)
        }

    def _volume(self, name: str, record: Document) -> Document:
        folder = self._root / "volumes" / name
        options = folder / "opts.json"
        if not record.get("Options") and options.exists():
            found = cold_documents.mount_options(options.read_bytes())
            record = {**record, "Options": found or None}
        made = datetime.fromtimestamp(folder.stat().st_mtime, timezone.utc)
        created = made.strftime("%Y-%m-%dT%H:%M:%SZ")
        volume = cold_documents.volume_document(name, str(folder / "_data"), created, record)
        objects.read_volume(volume)
        return volume
