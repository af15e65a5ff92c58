"""Images of this host as files of a bundle: layers, each once, and configurations."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from . import tarsplit
from .adapters import store, stream
from .adapters.rooted import Root
from .bundle import FileRecord
from .errors import (
    Damaged,
    DockerstorageError,
    EngineRefused,
    EngineUnreachable,
    Interrupted,
    Refused,
)
from .export_trees import Trees
from .export_writer import FULL, Writer
from .gather import Site
from .objects import Image

#: The engine's own stream of images, by their ids.
Save = Callable[[Sequence[str]], Iterator[bytes]]


class Layers:
    """Reads layers and configurations of images; runs within ``run_private``."""

    def __init__(self, site: Site, trees: Trees, save: Save | None, writer: Writer) -> None:
        self._site, self._trees, self._save, self._writer = site, trees, save, writer

    def read(
        self, wanted: Mapping[str, tuple[str, Image]]
    ) -> tuple[dict[str, FileRecord], dict[str, str]]:
        """Files of layers by diff id, and why others could not be read.

        Straight from the store where that is possible, else through the engine, if there is one.
        """
        found: dict[str, FileRecord] = {}
        lost: dict[str, str] = {}
        for diff_id, (chain, _) in wanted.items():
            self._writer.job.turn_to(f"layer {diff_id}")
            kept = self._writer.kept(f"layer {diff_id}")
            try:
                found[diff_id] = kept[0] if kept else self._layer(diff_id, chain)
            except (EngineUnreachable, Interrupted):
                raise
            except (DockerstorageError, OSError, EOFError, zlib.error) as error:
                if isinstance(error, OSError) and error.errno in FULL:
                    raise
                lost[diff_id] = str(error)
        if lost and self._save is not None:
            images = sorted({wanted[diff_id][1].id for diff_id in lost})
            saved = self._saved_layers(self._save(images), set(lost))
            found |= saved
            lost = {diff_id: why for diff_id, why in lost.items() if diff_id not in saved}
        return found, lost

    def _layer(self, diff_id: str, chain: str) -> FileRecord:
        hash_ = store.layer_hash(self._site.root, chain, self._site.driver)
        split = store.tar_split(self._site.root, self._site.driver, chain)
        if hash_ is None or not split.exists():
            raise Refused(f"the store does not hold the parts of layer {diff_id}")
        with (
            self._trees.image_layer(hash_) as folder,
            Root(folder) as root,
            gzip.open(split) as lines,
            self._writer.packer(_layer_path(diff_id)) as packer,
        ):
            for chunk in tarsplit.assemble(lines, root.open, diff_id):
                self._writer.put(packer, chunk)
            record = packer.finish()
        if f"sha256:{record.plain_sha256}" != diff_id:
            self._writer.remove(record)
            raise Damaged(f"layer {diff_id}", "its files do not have its digest any more")
        self._writer.journal.add(f"layer {diff_id}", "", (record,))
        return record

    def _saved_layers(self, saved: Iterator[bytes], wanted: set[str]) -> dict[str, FileRecord]:
        """Those of the wanted layers that the engine's own ``save`` of the images holds."""
        found: dict[str, FileRecord] = {}
        try:
            with tarfile.open(fileobj=stream.Stream(saved), mode="r|") as archive:
                for number, member in enumerate(archive):
                    if not member.isfile():
                        continue
                    content = archive.extractfile(member)
                    assert content is not None
                    record = self._writer.copy(content, f"layers/save-{number}.tar.zst")
                    diff_id = f"sha256:{record.plain_sha256}"
                    if diff_id not in wanted - set(found):
                        self._writer.remove(record)
                        continue
                    found[diff_id] = self._named(record, diff_id)
        except (EngineRefused, tarfile.TarError):
            pass  # what is missing then is told by the caller, with the store's own reason
        return found

    def _named(self, record: FileRecord, diff_id: str) -> FileRecord:
        """A layer that was written before its digest was known gets its name."""
        folder, final = self._writer.folder, replace(record, path=_layer_path(diff_id))
        (folder / record.path).rename(folder / final.path)
        self._writer.journal.add(f"layer {diff_id}", "", (final,))
        return final

    def config(self, image: Image) -> FileRecord:
        """An image's configuration as a file; raises Damaged if it is not to be had."""
        config = store.image_config(self._site.root, self._site.driver, image.id)
        if config is None:
            raise Damaged(
                f"image {image.name}", "the engine's store does not hold its configuration"
            )
        record = self._writer.plain(f"images/{_hex(image.id)}.json", config)
        if f"sha256:{record.sha256}" != image.id:
            raise Damaged(f"image {image.name}", "its configuration does not have its digest")
        return record


def _layer_path(diff_id: str) -> str:
    return f"layers/{_hex(diff_id)}.tar.zst"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
