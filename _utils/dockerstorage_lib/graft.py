"""A new overlay2 store made of an old devicemapper store, layer by layer, beside it.

The old store is only read. Layers keep their ids, so the records of the engine are copied as they
are. Each layer counts as there when its record is, which comes last: a run that was cut goes on.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from . import tarsplit
from .adapters import directories, mounts, store, tree
from .adapters.base import Base, NotedBase, Rule, take_notes
from .adapters.durable import write_file
from .adapters.layer_records import take_image_records, take_record
from .adapters.overlay_store import DRIVER, OverlayStore
from .adapters.rooted import Root
from .copytree import TreeCopy
from .errors import Damaged, Refused
from .gather import Site
from .import_world import remapping
from .jobs import Job
from .objects import chain_ids
from .tree import OPAQUE

#: Of the aufs driver's own; no layer holds files by them (image specification v1).
_AUFS = ".wh..wh."
#: What pax(1) calls a header for all that follows, which is no file.
_GLOBAL = "pax_global_header"


class Graft:
    """Makes the store in a folder."""

    def __init__(self, folder: Path, job: Job) -> None:
        self._folder, self._job = folder, job

    def stage(self, site: Site) -> None:
        """All image layers and what containers begin with, as of now.

        May run while the engine serves, and again. Raises Damaged for a layer that lost its
        content.
        """
        self._run(site, lambda work: work.stage())

    def finish(self, site: Site) -> None:
        """The rest, from a store that nobody uses any more; may be called again."""

        def all_that_is_left(work: _Work) -> None:
            work.stage()
            work.containers()
            take_image_records(site, self._folder / "image" / DRIVER)

        self._run(site, all_that_is_left)

    def clear(self) -> None:
        """Nothing of it runs."""

    def _run(self, site: Site, act: Callable[[_Work], None]) -> None:
        mounts.run_private(lambda: act(_Work(site, self._folder, self._job)), self._job.cancel)


class _Work:
    """Runs within ``run_private``."""

    def __init__(self, site: Site, folder: Path, job: Job) -> None:
        self._site, self._job = site, job
        owner = [int(word) for word in remapping(site.root).split(".") if word] or [0, 0]
        self._store = OverlayStore(folder, (owner[0], owner[1]))

    def stage(self) -> None:
        """All image layers and what containers begin with; what is gone from there goes here."""
        wanted = self._chains()
        self._drop_others(set(wanted))
        for chain in wanted:
            if not (self._store.layerdb / chain.replace(":", "/")).exists():
                self._job.turn_to(f"layer {chain}")
                self._layer(chain)
        for container_id in store.containers(self._site.root):
            if not self._init_mark(container_id).exists():
                self._job.turn_to(f"container {container_id[:12]}")
                self._init(container_id)

    def containers(self) -> None:
        """What containers changed; nobody may write to them any more."""
        for container_id in store.containers(self._site.root):
            if not (self._store.layerdb / "mounts" / container_id).exists():
                self._job.turn_to(f"container {container_id[:12]}")
                self._container(container_id)

    def _chains(self) -> list[str]:
        """Chain ids of all layers that images and containers need, those below first."""
        root, driver = self._site.root, self._site.driver
        found: dict[str, None] = {}
        for image_id in store.image_ids(root, driver):
            facts = store.image_facts(root, driver, image_id)
            found.update(dict.fromkeys(chain_ids(facts[0]) if facts else ()))
        for container_id in store.containers(root, driver):
            above = []
            chain = store.container_parent(root, driver, container_id)
            while chain is not None and chain not in found:
                above.append(chain)
                chain = store.layer_parent(root, driver, chain)
            found.update(dict.fromkeys(reversed(above)))
        return list(found)

    def _drop_others(self, wanted: set[str]) -> None:
        for folder in (self._store.layerdb / "sha256").iterdir():
            if f"sha256:{folder.name}" not in wanted:
                hash_ = (folder / "cache-id").read_text().strip()
                shutil.rmtree(folder)
                self._store.remove(hash_)
        here = {self._hash(container_id)[0] for container_id in store.containers(self._site.root)}
        for mark in self._inits().iterdir():
            if mark.name not in here:
                mark.unlink()
                self._store.remove(f"{mark.name}-init")
                self._store.remove(mark.name)

    def _layer(self, chain: str) -> None:
        root, driver = self._site.root, self._site.driver
        hash_ = store.layer_hash(root, chain, driver)
        below = store.layer_parent(root, driver, chain)
        split = store.tar_split(root, driver, chain)
        if hash_ is None or not split.exists():
            raise Damaged(f"layer {chain}", "the engine's store does not hold its parts")
        names = layer_names(split)
        below_hash = None if below is None else store.layer_hash(root, below, driver)
        copy = TreeCopy(self._job.advance, contents=False)
        with mounts.image_layer(self._site, hash_) as folder:
            self._store.add(hash_, below_hash, lambda diff: self._fill(copy, folder, names, diff))
        expected = sum(map(len, names.values())) + 1
        if copy.count != expected:
            raise Damaged(f"layer {chain}", f"{expected - copy.count} of its files are not there")
        copy.check(self._store.diff(hash_), "overlay")
        check_layer(root, driver, chain, self._store.diff(hash_))
        take_record(
            store.layer_folder(root, driver, chain),
            self._store.layerdb / "sha256",
            chain.partition(":")[2],
        )

    def _fill(self, copy: TreeCopy, source: Path, names: dict[str, set[str]], diff: Path) -> None:
        entries = tree.walk(source, whiteouts="remove", only=names, on_left_out=_refuse)
        copy.copy(entries, tree.opener(source), diff, "overlay")

    def _init(self, container_id: str) -> None:
        root, driver = self._site.root, self._site.driver
        _, before = self._hash(container_id)
        chain = store.container_parent(root, driver, container_id)
        below = None if chain is None else store.layer_hash(root, chain, driver)
        with mounts.layer_pair(self._site, below or "base", before) as (old, new):
            self._changes(new, Base(old), before, below)
            # It stays as it is: when the engine is stopped the container alone has to be read.
            notes = take_notes(new)
        write_file(self._init_mark(container_id), notes, 0o600)

    def _container(self, container_id: str) -> None:
        now, before = self._hash(container_id)
        base = NotedBase(self._init_mark(container_id).read_bytes())
        with mounts.container_tree(self._site, container_id, write=False) as layer:
            self._changes(layer.path, base, now, before)
        take_record(
            store.mount_folder(self._site.root, self._site.driver, container_id),
            self._store.layerdb / "mounts",
            container_id,
        )

    def _changes(self, new: Path, base: Rule, id_: str, below: str | None) -> None:
        copy = TreeCopy(self._job.advance)

        def fill(diff: Path) -> None:
            entries = tree.walk(new, whiteouts="remove", base=base, on_left_out=_refuse)
            copy.copy(entries, tree.opener(new), diff, "overlay")

        self._store.add(id_, below, fill)
        copy.check(self._store.diff(id_), "overlay")

    def _hash(self, container_id: str) -> tuple[str, str]:
        found = store.container_hashes(self._site.root, container_id, self._site.driver)
        if len(found) != 2:
            raise Damaged(f"container {container_id[:12]}", "the store lacks a layer of it")
        return found[0], found[1]

    def _inits(self) -> Path:
        folder = self._store.image.with_name("inits")
        folder.mkdir(exist_ok=True)
        return folder

    def _init_mark(self, container_id: str) -> Path:
        return self._inits() / self._hash(container_id)[0]


def layer_names(split: Path) -> dict[str, set[str]]:
    """The names that a layer's tar holds, by directory, with all directories above them."""
    found: dict[str, set[str]] = {}
    with gzip.open(split) as lines:
        for line in lines:
            piece = tarsplit.parse_piece(line)
            parts = _parts(directories.text(piece.name))
            if any(one.startswith(_AUFS) and one != OPAQUE for one in parts):
                continue
            if parts == [_GLOBAL] and not piece.size:
                continue
            for depth, part in enumerate(parts):
                found.setdefault("/".join(parts[:depth]), set()).add(part)
    return found


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]


def check_layer(root: str, driver: str, chain: str, folder: Path) -> None:
    """Raise Damaged unless a layer's files give the tar stream that the engine once took."""
    digest = hashlib.sha256()
    try:
        with Root(folder) as files, gzip.open(store.tar_split(root, driver, chain)) as lines:
            for chunk in tarsplit.assemble(lines, files.open, chain):
                digest.update(chunk)
    except (EOFError, zlib.error) as error:
        raise Damaged(f"layer {chain}", f"its list of files: {error}") from None
    if f"sha256:{digest.hexdigest()}" != store.layer_diff_id(root, driver, chain):
        raise Damaged(f"layer {chain}", "its files do not have its digest any more")


def _refuse(path: str, why: str) -> None:
    if why != "a socket":  # of a process that has ended; it makes it anew
        raise Refused(f"{path}: {why}")
