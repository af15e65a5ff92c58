"""Each object of a host as files of a bundle."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import tarsplit, treetar
from .adapters import mounts, store, stream, tree
from .adapters.base import Base
from .adapters.engine_export import ExportEngine
from .adapters.packer import Packer
from .adapters.rooted import Root
from .bundle import ContainerRecord, FileRecord, NetworkRecord, NotTaken, VolumeRecord
from .errors import Damaged, EngineRefused, Refused, Unparsable
from .export_journal import ExportJournal
from .gather import Site
from .jobs import Job
from .objects import Container, Image, Network, Volume
from .tree import Entry

CHUNK_BYTES = 1 << 20
#: How often a container is read again that is started or stopped while it is read.
ATTEMPTS = 3


class Sources:
    """Reads objects of this host and writes them below a bundle; runs within ``run_private``."""

    def __init__(
        self,
        site: Site,
        engine: ExportEngine,
        folder: Path,
        level: int,
        journal: ExportJournal,
        job: Job,
    ) -> None:
        self._site, self._engine, self._folder, self._level = site, engine, folder, level
        self._journal, self._job = journal, job
        #: Objects that an earlier, unfinished export wrote.
        self.reused = 0
        #: Files that could not be taken, or not as they were.
        self.notes: list[NotTaken] = []

    # -- images

    def layers(
        self, wanted: Mapping[str, tuple[str, Image]]
    ) -> tuple[dict[str, FileRecord], dict[str, str]]:
        """Files of layers by diff id, and why others could not be read.

        Straight from the store where that is possible, else through the engine.
        """
        found: dict[str, FileRecord] = {}
        lost: dict[str, str] = {}
        for diff_id, (chain, _) in wanted.items():
            self._job.turn_to(f"layer {diff_id}")
            kept = self._kept(f"layer {diff_id}")
            try:
                found[diff_id] = kept[0] if kept else self._layer(diff_id, chain)
            except (Damaged, Refused, Unparsable, OSError) as error:
                lost[diff_id] = str(error)
        if lost:
            images = sorted({wanted[diff_id][1].id for diff_id in lost})
            saved = self._saved_layers(images, set(lost))
            found |= saved
            lost = {diff_id: why for diff_id, why in lost.items() if diff_id not in saved}
        return found, lost

    def _layer(self, diff_id: str, chain: str) -> FileRecord:
        hash_ = store.layer_hash(self._site.root, chain, self._site.driver)
        split = store.tar_split(self._site.root, self._site.driver, chain)
        if hash_ is None or not split.exists():
            raise Refused(f"the store does not hold the parts of layer {diff_id}")
        with (
            mounts.image_layer(self._site, hash_) as folder,
            Root(folder) as root,
            gzip.open(split) as lines,
            self._packer(_layer_path(diff_id)) as packer,
        ):
            for chunk in tarsplit.assemble(lines, root.open, diff_id):
                self._write(packer, chunk)
            record = packer.finish()
        if f"sha256:{record.plain_sha256}" != diff_id:
            (self._folder / record.path).unlink()
            raise Damaged(f"layer {diff_id}", "its files do not have its digest any more")
        self._journal.add(f"layer {diff_id}", "", (record,))
        return record

    def _saved_layers(self, images: Sequence[str], wanted: set[str]) -> dict[str, FileRecord]:
        """Those of the wanted layers that the engine's own ``save`` of the images holds."""
        found: dict[str, FileRecord] = {}
        saved = stream.Stream(self._engine.save(images))
        try:
            with tarfile.open(fileobj=saved, mode="r|") as archive:
                for number, member in enumerate(archive):
                    if not member.isfile():
                        continue
                    record = self._spooled(archive, member, f"layers/save-{number}.tar.zst")
                    diff_id = f"sha256:{record.plain_sha256}"
                    if diff_id not in wanted - set(found):
                        (self._folder / record.path).unlink()
                        continue
                    final = replace(record, path=_layer_path(diff_id))
                    (self._folder / record.path).rename(self._folder / final.path)
                    self._journal.add(f"layer {diff_id}", "", (final,))
                    found[diff_id] = final
        except (EngineRefused, tarfile.TarError):
            pass  # what is missing then is told by the caller, with the store's own reason
        return found

    def _spooled(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> FileRecord:
        content = archive.extractfile(member)
        assert content is not None
        with self._packer(path) as packer:
            while chunk := content.read(CHUNK_BYTES):
                self._write(packer, chunk)
            return packer.finish()

    def image_config(self, image: Image) -> FileRecord:
        """An image's configuration as a file; raises Damaged if it is not to be had."""
        config = store.image_config(self._site.root, self._site.driver, image.id)
        if config is None:
            raise Damaged(
                f"image {image.name}", "the engine's store does not hold its configuration"
            )
        record = self._plain(f"images/{_hex(image.id)}.json", config)
        if f"sha256:{record.sha256}" != image.id:
            raise Damaged(f"image {image.name}", "its configuration does not have its digest")
        return record

    # -- containers

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
            document=self._document(f"containers/{seen.id}.json", document),
            changes=changes,
            logs=self._logs(seen, document) if logs else (),
        )

    def _container_changes(self, seen: Container) -> FileRecord:
        key, path = f"container {seen.id}", f"containers/{seen.id}.tar.zst"
        try:
            return self._native_changes(seen, key, path)
        except Refused:
            changed = self._engine.changed_paths(seen.id)
            return self._tarred(
                key, path, stream.Archived(lambda: self._engine.files(seen.id), changed)
            )

    def _native_changes(self, seen: Container, key: str, path: str) -> FileRecord:
        """From the container's directories; raises Refused where they cannot be read."""
        if self._site.driver == "overlay2":
            with mounts.container_tree(self._site, seen.id, write=False) as layer:
                return self._tarred(key, path, _Folder(layer.path, whiteouts="overlay"))
        if self._site.pool is not None:
            with mounts.container_pair(self._site, seen.id) as (old, new):
                return self._tarred(key, path, _Folder(new, whiteouts="remove", old=old))
        raise Refused(f"not with {self._site.driver}")

    def _logs(self, seen: Container, document: Mapping[str, Any]) -> tuple[FileRecord, ...]:
        """The log files, the oldest first: those that were rotated have a number behind them."""
        current = Path(document.get("LogPath") or "/nonexistent")
        older = sorted(current.parent.glob(f"{current.name}.[0-9]*"), key=_age, reverse=True)
        found = []
        for number, path in enumerate([*older, *([current] if current.exists() else [])]):
            with (
                path.open("rb") as file,
                self._packer(f"containers/{seen.id}.log.{number}.zst") as packer,
            ):
                while chunk := file.read(CHUNK_BYTES):
                    self._write(packer, chunk)
                found.append(packer.finish())
        return tuple(found)

    # -- volumes and networks

    def volume(self, seen: Volume) -> VolumeRecord:
        """A volume's document and its data; without data if that lies elsewhere."""
        document = self._engine.document("volume", seen.name)
        if document is None:
            raise Damaged(f"volume {seen.name}", "it was removed meanwhile")
        data = None
        if not seen.has_options:
            source = _Folder(Path(document["Mountpoint"]))
            data = self._tarred(f"volume {seen.name}", f"volumes/{seen.name}.tar.zst", source)
        return VolumeRecord(seen.name, self._document(f"volumes/{seen.name}.json", document), data)

    def network(self, seen: Network) -> NetworkRecord:
        """A network's document."""
        document = self._engine.document("network", seen.id)
        if document is None:
            raise Damaged(f"network {seen.name}", "it was removed meanwhile")
        return NetworkRecord(
            seen.id, seen.name, self._document(f"networks/{seen.id}.json", document)
        )

    # -- files of the bundle

    def _tarred(self, key: str, path: str, source: _Folder | stream.Archived) -> FileRecord:
        """A tree as a file; what an earlier export wrote of the same tree is kept."""
        known = self._journal.fingerprint(key)
        if known and isinstance(source, _Folder) and source.skim() == known:
            kept = self._kept(key)
            if kept:
                return kept[0]
        with self._packer(path) as packer:
            treetar.write_tar(
                source.entries(self._note(key)),
                source.open,
                lambda data: self._write(packer, data),
                self._note(key),
            )
            record = packer.finish()
        print_ = source.fingerprint if isinstance(source, _Folder) else ""
        self._journal.add(key, print_, (record,))
        return record

    def _note(self, key: str) -> Callable[[str, str], None]:
        """Takes what could not be taken of an object, and why."""
        return lambda path, why: self.notes.append(NotTaken("file", key, path, why))

    def _kept(self, key: str) -> tuple[FileRecord, ...] | None:
        records = self._journal.files(key)
        if records is not None:
            self.reused += 1
            self._job.advance(sum(record.plain_bytes for record in records))
        return records

    def _document(self, path: str, document: Mapping[str, Any]) -> FileRecord:
        return self._plain(path, json.dumps(document, indent=1, sort_keys=True).encode())

    def _plain(self, path: str, data: bytes) -> FileRecord:
        with self._packer(path) as packer:
            packer.write(data)
            return packer.finish()

    def _packer(self, path: str) -> Packer:
        return Packer(self._folder, path, self._level)

    def _write(self, packer: Packer, data: bytes) -> None:
        packer.write(data)
        self._job.advance(len(data))


class _Folder:
    """A directory's files, or what of them is not as in an old one."""

    def __init__(self, path: Path, whiteouts: str | None = None, old: Path | None = None) -> None:
        self._path, self._whiteouts, self._old = path, whiteouts, old
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
            base=None if self._old is None else Base(self._old),
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


def _layer_path(diff_id: str) -> str:
    return f"layers/{_hex(diff_id)}.tar.zst"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _runs(document: Mapping[str, Any]) -> tuple[str, str]:
    """When it was last started and ended: equal as long as it went on as it was."""
    return document["State"]["StartedAt"], document["State"]["FinishedAt"]


def _age(path: Path) -> int:
    """The number of a rotated log (``x.log.2.gz``): the higher the older."""
    words = [word for word in path.name.split(".") if word.isdigit()]
    return int(words[-1]) if words else 0
