"""A bundle as an import reads it: every file checked before anything is made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from .adapters import packed
from .bundle import ContainerRecord, FileRecord, ImageRecord, Manifest, NetworkRecord, VolumeRecord
from .docker_archive import CHUNK_BYTES, Batch
from .errors import Damaged
from .import_choice import Contents, name_of
from .import_documents import check_document
from .import_plan import ImportPlan
from .jobs import Job
from .tree import Entry
from .treetar import read_tar
from .verification import MAX_DOCUMENT_BYTES, read_document

Entries = Iterator[tuple[Entry, BinaryIO | None]]


class _Counted:
    """A stream that tells a job how much of it was read."""

    def __init__(self, stream: BinaryIO, job: Job | None) -> None:
        self._stream, self._job = stream, job

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if self._job is not None:
            self._job.advance(len(data))
        return data


class Source:
    """The files of a bundle."""

    def __init__(self, path: Path, job: Job | None = None) -> None:
        self.path, self._job = path, job

    @contextmanager
    def open(self, record: FileRecord) -> Iterator[BinaryIO]:
        """The plain content of a file; raises Damaged by its end if it is not what it should be."""
        with packed.unpack(self.path, record) as stream:
            yield cast(BinaryIO, _Counted(stream, self._job))

    @contextmanager
    def entries(self, record: FileRecord, what: str, whiteouts: bool) -> Iterator[Entries]:
        """The entries of a tree; the file's digest is checked when they were all taken."""
        with self.open(record) as stream:
            yield read_tar(stream, what, whiteouts)

    def small(self, record: FileRecord) -> bytes:
        """A small file as a whole."""
        if record.plain_bytes > MAX_DOCUMENT_BYTES:
            raise Damaged(record.path, f"no document has {record.plain_bytes} bytes")
        with packed.unpack(self.path, record) as stream:
            return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))

    def contents(self, manifest: Manifest) -> Contents:
        """The manifest with all inspect documents; raises Damaged for one that no engine gives."""
        records: list[ContainerRecord | NetworkRecord | VolumeRecord] = [
            *manifest.networks,
            *manifest.volumes,
            *manifest.containers,
        ]
        documents = {one.document.path: read_document(self.path, one.document) for one in records}
        for record in records:
            check_document(record, documents[record.document.path])
        return Contents(manifest, documents)

    def config(self, record: ImageRecord) -> bytes:
        """An image's configuration; raises Damaged unless its digest is the image's id."""
        what, data = f"image {name_of(record)}", self.small(record.config)
        if record.id != f"sha256:{hashlib.sha256(data).hexdigest()}":
            raise Damaged(what, "its configuration is not the one of its id")
        try:
            layers = json.loads(data)["rootfs"].get("diff_ids") or []
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise Damaged(what, "its configuration is not to be read") from None
        if layers != list(record.layers):
            raise Damaged(what, "its configuration has other layers than the manifest")
        return data

    def verify(self, plan: ImportPlan, manifest: Manifest, loads: Iterable[Batch]) -> None:
        """Read all that is to be imported to its end; raises Damaged, naming the object."""
        for batch in loads:
            for image in (*batch.images, *batch.parents):
                self.config(image)
            for diff_id in batch.layers:
                self._verify_layer(diff_id, manifest.layers[diff_id])
        acting = {(step.kind, step.id) for step in plan.steps if step.acts}
        for volume in plan.choice.volumes:
            if ("volume", volume.name) in acting and volume.data is not None:
                self._verify_tree(volume.data, f"volume {volume.name}", whiteouts=False)
        for container in plan.choice.containers:
            if ("container", container.id) in acting:
                what = f"container {container.name}"
                self._verify_tree(container.changes, what, whiteouts=True)
                for log in container.logs:
                    self._drain(log)

    def _verify_layer(self, diff_id: str, record: FileRecord) -> None:
        self._turn_to(f"verifying layer {diff_id}")
        if diff_id != f"sha256:{record.plain_sha256}":
            raise Damaged(f"layer {diff_id}", "its digest is another in the manifest")
        self._drain(record)

    def _verify_tree(self, record: FileRecord, what: str, whiteouts: bool) -> None:
        self._turn_to(f"verifying {what}")
        with self.entries(record, what, whiteouts) as entries:
            for _ in entries:
                pass

    def _drain(self, record: FileRecord) -> None:
        with self.open(record) as stream:
            while stream.read(CHUNK_BYTES):
                pass

    def _turn_to(self, what: str) -> None:
        if self._job is not None:
            self._job.turn_to(what)
