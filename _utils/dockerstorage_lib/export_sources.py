"""Containers, volumes and networks of this host as files of a bundle."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import treetar
from .adapters import stream, tree
from .adapters.base import Rule
from .adapters.engine_export import ExportEngine
from .bundle import ContainerRecord, FileRecord, NetworkRecord, NotTaken, VolumeRecord
from .errors import Damaged, Refused
from .export_trees import Trees
from .export_writer import Writer
from .objects import Container, Network, Volume
from .tree import Entry

#: How often a container is read again that is started or stopped while it is read.
ATTEMPTS = 3


class Sources:
    """Reads objects of this host and writes them below a bundle; runs within ``run_private``."""

    def __init__(self, trees: Trees, engine: ExportEngine, writer: Writer) -> None:
        self._trees, self._engine, self._writer = trees, engine, writer
        #: Files that could not be taken, or not as they were.
        self.notes: list[NotTaken] = []

    def container(
        self, seen: Container, document: dict[str, Any], consistent: bool, logs: bool
    ) -> ContainerRecord:
        """A container's document, what it changed and its logs.

        document: as it was before it was paused. It is read again if its state changes meanwhile.
        """
        for attempt in range(ATTEMPTS):
            again = consistent and attempt > 0 and document["State"]["Status"] == "running"
            with self._engine.paused([seen.id] if again else []):
                changes = self._container_changes(seen)
            now = self._engine.document("container", seen.id)
            if now is None:
                raise Damaged(f"container {seen.name}", "it was removed meanwhile")
            if _runs(now) == _runs(document):
                break
            document = now
        else:
            raise Damaged(f"container {seen.name}", "it is started and stopped again and again")
        return ContainerRecord(
            id=seen.id,
            name=seen.name,
            image_id=seen.image_id,
            state=document["State"]["Status"],
            document=self._writer.document(f"containers/{seen.id}.json", document),
            changes=changes,
            logs=self._logs(seen, document) if logs else (),
        )

    def _container_changes(self, seen: Container) -> FileRecord:
        """From the container's directories; through the engine where they cannot be read."""
        key, path = f"container {seen.id}", f"containers/{seen.id}.tar.zst"
        try:
            with self._trees.container(seen.id) as changes:
                folder = _Folder(changes.path, changes.whiteouts, changes.rule)
                return self._tarred(key, path, folder)
        except Refused:
            changed = self._engine.changed_paths(seen.id)
            return self._tarred(
                key, path, stream.Archived(lambda: self._engine.files(seen.id), changed)
            )

    def _logs(self, seen: Container, document: Mapping[str, Any]) -> tuple[FileRecord, ...]:
        """The log files, the oldest first: those that were rotated have a number behind them."""
        current = Path(document.get("LogPath") or "/nonexistent")
        older = sorted(current.parent.glob(f"{current.name}.[0-9]*"), key=_age, reverse=True)
        found = []
        for number, path in enumerate([*older, *([current] if current.exists() else [])]):
            with path.open("rb") as file:
                found.append(self._writer.copy(file, f"containers/{seen.id}.log.{number}.zst"))
        return tuple(found)

    def volume(self, seen: Volume) -> VolumeRecord:
        """A volume's document and its data; without data if that lies elsewhere."""
        document = self._engine.document("volume", seen.name)
        if document is None:
            raise Damaged(f"volume {seen.name}", "it was removed meanwhile")
        data = None
        if not seen.has_options:
            source = _Folder(Path(document["Mountpoint"]))
            data = self._tarred(f"volume {seen.name}", f"volumes/{seen.name}.tar.zst", source)
        return VolumeRecord(
            seen.name, self._writer.document(f"volumes/{seen.name}.json", document), data
        )

    def network(self, seen: Network) -> NetworkRecord:
        """A network's document."""
        document = self._engine.document("network", seen.id)
        if document is None:
            raise Damaged(f"network {seen.name}", "it was removed meanwhile")
        return NetworkRecord(
            seen.id, seen.name, self._writer.document(f"networks/{seen.id}.json", document)
        )

    def _tarred(self, key: str, path: str, source: _Folder | stream.Archived) -> FileRecord:
        """A tree as a file; what an earlier export wrote of the same tree is kept."""
        known = self._writer.journal.fingerprint(key)
        if known and isinstance(source, _Folder) and source.skim() == known:
            kept = self._writer.kept(key)
            if kept:
                return kept[0]
        with self._writer.packer(path) as packer:
            treetar.write_tar(
                source.entries(self._note(key)),
                source.open,
                lambda data: self._writer.put(packer, data),
                self._note(key),
            )
            record = packer.finish()
        print_ = source.fingerprint if isinstance(source, _Folder) else ""
        self._writer.journal.add(key, print_, (record,))
        return record

    def _note(self, key: str) -> Callable[[str, str], None]:
        """Takes what could not be taken of an object, and why."""
        return lambda path, why: self.notes.append(NotTaken("file", key, path, why))


class _Folder:
    """A directory's files, or what of them is not as a rule says."""

    def __init__(self, path: Path, whiteouts: str | None = None, rule: Rule | None = None) -> None:
        self._path, self._whiteouts, self._rule = path, whiteouts, rule
        self._print = hashlib.sha256()
        self.open = tree.opener(path)

    @property
    def fingerprint(self) -> str:
        """Of what entries were made from: nobody can set a change time."""
        return self._print.hexdigest()

    def entries(self, on_left_out: Callable[[str, str], None] | None = None) -> Iterator[Entry]:
        """The entries of the tree."""
        self._print = hashlib.sha256()
        return tree.walk(
            self._path,
            whiteouts=self._whiteouts,
            base=self._rule,
            on_left_out=on_left_out,
            on_seen=self._see,
        )

    def skim(self) -> str:
        """The fingerprint alone, without reading any content."""
        for _ in self.entries():
            pass
        return self.fingerprint

    def _see(self, path: str, seen: os.stat_result | None) -> None:
        facts = None if seen is None else (seen.st_ino, seen.st_ctime_ns, seen.st_size)
        self._print.update(repr((path, facts)).encode("utf-8", "surrogateescape"))


def _runs(document: Mapping[str, Any]) -> tuple[str, str]:
    """When it was last started and ended: equal as long as it went on as it was."""
    return document["State"]["StartedAt"], document["State"]["FinishedAt"]


def _age(path: Path) -> int:
    """The number of a rotated log (``x.log.2.gz``): the higher the older."""
    words = [word for word in path.name.split(".") if word.isdigit()]
    return int(words[-1]) if words else 0
