"""The trees of a devicemapper store whose engine does not run, of a pool that is only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .adapters import loopdev, mounts, store
from .adapters.base import NotedBase, take_notes
from .adapters.loopdev import Loop
from .adapters.scratch import Scratch
from .bundle import NotTaken
from .errors import Damaged, Refused
from .export_trees import Changes
from .thinmap import PoolMap


class ColdTrees:
    """As ``export_trees.Trees``; what cannot be read raises Damaged.

    loop is the scratch file as a device. notes gets what of a container could not be read, or not
    as it was.
    """

    def __init__(
        self, root: str, pool: PoolMap, scratch: Scratch, loop: Loop, notes: list[NotTaken]
    ) -> None:
        self._root, self._pool, self._scratch, self._loop = root, pool, scratch, loop
        self._notes = notes
        self._now = ""

    @contextmanager
    def image_layer(self, hash_: str) -> Iterator[Path]:
        """As of Trees."""
        begun = len(self._notes)
        try:
            with self._opened(hash_, mounts.SETTLED) as folder:
                yield folder
        finally:
            del self._notes[begun:]  # its digest tells whether they matter

    @contextmanager
    def container(self, container_id: str) -> Iterator[Changes]:
        """As of Trees."""
        hashes = store.container_hashes(self._root, container_id)
        if len(hashes) != 2:
            raise Damaged(f"container {container_id[:12]}", "the store does not name its layers")
        now, before = hashes
        self._now, begun = f"container {container_id[:12]}", len(self._notes)
        with ExitStack() as stack:
            try:
                notes = self._notes_of(before, container_id)
                folder = self._container_layer(now, stack)
            except Damaged:
                del self._notes[begun:]  # that says it all
                raise
            yield Changes(folder, "remove", NotedBase(notes))

    def _notes_of(self, hash_: str, container_id: str) -> bytes:
        """What a container began with: one file cannot be both devices at once."""
        try:
            with self._opened(hash_, mounts.SETTLED) as folder:
                return take_notes(folder)
        except Damaged as error:
            # What the engine itself puts into each container is then told as the container's own.
            chain = store.container_parent(self._root, store.DRIVER, container_id)
            image = None if chain is None else store.layer_hash(self._root, chain)
            if image is None:
                raise
            self._note(hash_, f"{error}; it is compared with its image instead")
            with self._opened(image, mounts.SETTLED) as folder:
                return take_notes(folder)

    def _container_layer(self, hash_: str, stack: ExitStack) -> Path:
        """As it is if it was left in order; else its log is replayed in a copy."""
        try:
            return stack.enter_context(self._opened(hash_, mounts.CLEAN))
        except Damaged:
            self._copy(hash_)
        stack.callback(self._scratch.forget)
        try:
            with loopdev.attached(self._scratch.path, write=True) as loop:
                layer = mounts.device_layer(loop.device, hash_[:12], mounts.REPLAYED)
                return stack.enter_context(layer)
        except Refused as error:
            why = f"{error}; what was written last may be missing"
        self._scratch.forget()
        folder = stack.enter_context(self._opened(hash_, mounts.SETTLED))
        self._note(hash_, why)
        return folder

    @contextmanager
    def _opened(self, hash_: str, options: tuple[str, str]) -> Iterator[Path]:
        with ExitStack() as stack:
            try:
                self._copy(hash_)
                layer = mounts.device_layer(self._loop.device, hash_[:12], options)
                folder = stack.enter_context(layer)
            except Refused as error:
                raise Damaged("its file system", str(error)) from None
            yield folder

    def _copy(self, hash_: str) -> None:
        record = checked_record(self._root, hash_, self._pool)
        lost = self._scratch.become(record.device_id, record.size_bytes)
        self._loop.renew()
        if lost:
            self._note(hash_, f"{lost} bytes of it cannot be read, and are zero here")

    def _note(self, hash_: str, why: str) -> None:
        note = NotTaken("device", hash_, self._now, why)
        if note not in self._notes:
            self._notes.append(note)


def checked_record(root: str, hash_: str, pool: PoolMap) -> store.DeviceRecord:
    """The record of a device that the pool holds; raises Damaged, saying what is missing.

    Docker opens a transaction, makes the device, and closes it: the pool counts one less than the
    record. Any other number is that of another device which got the same id (pool of another store,
    metadata of another time).
    """
    record = store.device_record(root, hash_)
    if record is None:
        raise Damaged(f"device {hash_[:12]}", "the store does not say which thin device it is")
    device = pool.devices.get(record.device_id)
    if device is None:
        raise Damaged(
            f"device {hash_[:12]}", f"the pool does not hold its device {record.device_id}"
        )
    if record.transaction_id != device.transaction_id + 1:
        raise Damaged(
            f"device {hash_[:12]}",
            f"thin device {record.device_id} of the pool was made in transaction "
            f"{device.transaction_id + 1}, and it in {record.transaction_id}: another one",
        )
    return record
