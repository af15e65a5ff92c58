"""Is a bundle what it says? Every file is read once; nothing is written."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from .adapters.packed import check, open_file, unpack
from .bundle import MANIFEST, MAX_RATIO, FileRecord, Manifest
from .errors import Damaged, Refused
from .manifest import files, read_manifest
from .needs import missing
from .treetar import read_tar

#: Bytes done, bytes in all.
OnProgress = Callable[[int, int], object]

MAX_MANIFEST_BYTES = 2**28
MAX_DOCUMENT_BYTES = 2**25


def load(path: Path) -> Manifest:
    """The manifest of a bundle.

    Raises Refused if there is no bundle, or one whose export did not end, and Damaged if the
    manifest is not one.
    """
    try:
        seen = path.stat()
    except OSError as error:
        raise Refused(f"{path}: there is no bundle: {error.strerror}") from None
    if not stat.S_ISDIR(seen.st_mode):
        raise Refused(f"{path} is no bundle, which is a directory")
    if path.name.endswith(".partial"):
        raise Refused(f"{path} is a bundle whose export did not end; the same export resumes it")
    if not (path / MANIFEST).exists() and not (path / MANIFEST).is_symlink():
        raise Refused(f"{path} is no bundle: it has no {MANIFEST}")
    with open_file(path, MANIFEST) as file:
        data = io.BufferedReader(cast(io.RawIOBase, file)).read(MAX_MANIFEST_BYTES + 1)
        if len(data) > MAX_MANIFEST_BYTES:
            raise Damaged(MANIFEST, "it is too large")
    try:
        return read_manifest(data.decode())
    except UnicodeDecodeError as error:
        raise Damaged(MANIFEST, f"it is no UTF-8: {error}") from None


def verify(
    path: Path, on_progress: OnProgress | None = None, max_ratio: float = MAX_RATIO
) -> dict[str, Any]:
    """Read all of a bundle, and tell what is damaged and what is missing.

    ``on_progress(done_bytes, total_bytes)`` counts bytes of the bundle's files. Raises Refused and
    Damaged as ``load`` does: without its manifest a bundle says nothing.
    """
    manifest = load(path)
    checking = _Checking(path, manifest, on_progress, max_ratio)
    checking.run()
    lacking = missing(manifest, checking.documents)
    records = [record for _, record in files(manifest)]
    return {
        "bundle": str(path),
        "id": manifest.id,
        "created": manifest.created_at,
        "host": manifest.host,
        "counts": {
            kind: len(getattr(manifest, kind))
            for kind in ("images", "layers", "containers", "volumes", "networks")
        },
        "bytes": sum(record.bytes for record in records),
        "plain_bytes": sum(record.plain_bytes for record in records),
        "damaged": checking.damaged,
        "missing": lacking,
        "not_taken": [asdict(one) for one in manifest.not_taken],
        "valid": not checking.damaged and not lacking,
    }


def check_tar(
    root: Path,
    record: FileRecord,
    name: str,
    whiteouts: bool,
    max_ratio: float = MAX_RATIO,
    on_read: Callable[[int], object] | None = None,
) -> None:
    """Read a tar of the bundle to its end: sizes, digests, and that it is one that may be written.

    ``name`` is the object that it belongs to. Raises Damaged.
    """
    with unpack(root, record, max_ratio, on_read) as content:
        for _ in read_tar(content, f"{record.path} of {name}", whiteouts):
            pass


def read_document(
    root: Path, record: FileRecord, on_read: Callable[[int], object] | None = None
) -> Mapping[str, Any]:
    """A JSON document of the bundle, an object; raises Damaged."""
    if record.plain_bytes > MAX_DOCUMENT_BYTES:
        raise Damaged(record.path, "no document is so large")
    with unpack(root, record, on_read=on_read) as content:
        data = content.read()
    try:
        # Not read strictly: an image's configuration is whatever its maker wrote.
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(record.path, f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Damaged(record.path, "it is no JSON object")
    return found


class _Checking:
    def __init__(
        self, path: Path, manifest: Manifest, on_progress: OnProgress | None, max_ratio: float
    ) -> None:
        self._path = path
        self._manifest = manifest
        self._max_ratio = max_ratio
        self._on_progress = on_progress
        self._total_bytes = sum(record.bytes for _, record in files(manifest))
        self._done_bytes = 0
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.damaged: list[dict[str, str]] = []

    def run(self) -> None:
        """Check every file, whatever the others are."""
        contents = dict(self._contents())
        before = 0
        for name, record in files(self._manifest):
            try:
                contents.get(record.path, self._plain)(name, record)
            except Damaged as error:
                found = {"file": record.path, "object": name, "why": error.why}
                self.damaged.append(found)
            # What a damaged file did not let us read is done as well.
            before += record.bytes
            self._read(before - self._done_bytes)

    def _contents(self) -> Iterator[tuple[str, Callable[[str, FileRecord], None]]]:
        """How the files that are more than bytes are checked."""
        manifest = self._manifest
        for image in manifest.images:
            yield image.config.path, self._config(image.layers)
        for network in manifest.networks:
            yield network.document.path, self._document("Id", network.id)
        for volume in manifest.volumes:
            yield volume.document.path, self._document("Name", volume.name)
            if volume.data is not None:
                yield volume.data.path, self._tar(whiteouts=False)
        for container in manifest.containers:
            yield container.document.path, self._document("Id", container.id)
            yield container.changes.path, self._tar(whiteouts=True)

    def _read(self, count: int) -> None:
        self._done_bytes += count
        if self._on_progress and count:
            self._on_progress(self._done_bytes, self._total_bytes)

    def _plain(self, name: str, record: FileRecord) -> None:
        check(self._path, record, self._max_ratio, self._read)

    def _tar(self, *, whiteouts: bool) -> Callable[[str, FileRecord], None]:
        def look(name: str, record: FileRecord) -> None:
            check_tar(self._path, record, name, whiteouts, self._max_ratio, self._read)

        return look

    def _document(self, field: str, value: str) -> Callable[[str, FileRecord], None]:
        def look(name: str, record: FileRecord) -> None:
            document = read_document(self._path, record, self._read)
            if document.get(field) != value:
                raise Damaged(record.path, f"its {field} is not {value}")
            self.documents[record.path] = document

        return look

    def _config(self, layers: tuple[str, ...]) -> Callable[[str, FileRecord], None]:
        def look(name: str, record: FileRecord) -> None:
            found: object = read_document(self._path, record, self._read)
            for field in ("rootfs", "diff_ids"):
                found = found.get(field) if isinstance(found, dict) else None
            if (found or []) != list(layers):
                raise Damaged(record.path, "its layers are not the ones of the manifest")

        return look
