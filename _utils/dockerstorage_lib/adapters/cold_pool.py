"""The metadata of a thin pool that nobody writes to, read from a copy of it.

The pool itself is only read, so neither its blocks nor a kernel that has it active notice anything.
See thin_check(8), thin_dump(8), thin_repair(8).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..devmapper import METADATA_BLOCK_BYTES
from ..errors import CommandFailed, Damaged
from ..thinmap import DumpReader, PoolMap
from . import shell
from .loopdev import BLKFLSBUF
from .store import THIN_MAGIC
from .thintools import DUMP_TIMEOUT_SECONDS

CHUNK_BYTES = 1 << 20
#: drivers/md/dm-thin-metadata.c, struct thin_disk_superblock: checksum, flags, block number, uuid,
#: magic, version, time, transaction, held root, two space maps, two roots, block size in sectors.
_SUPERBLOCK = struct.Struct("<IIQ16sQIIQQ128s128sQQI")
#: Room for what a repair writes: about twice of what is used.
REPAIR_FACTOR = 3


@dataclass(frozen=True)
class Superblock:
    """What the first block of a pool's metadata says."""

    transaction_id: int
    #: Block of a metadata snapshot that somebody holds; 0 if nobody does.
    held_root: int
    data_block_sectors: int


def read_superblock(metadata: Path) -> Superblock:
    """Read the first block; raises Damaged if it is no thin pool's."""
    with metadata.open("rb") as file:
        head = file.read(_SUPERBLOCK.size)
    if len(head) < _SUPERBLOCK.size:
        raise Damaged(str(metadata), "it is too short for the metadata of a thin pool")
    found = _SUPERBLOCK.unpack(head)
    if found[4] != THIN_MAGIC:
        raise Damaged(str(metadata), "it does not begin as the metadata of a thin pool does")
    return Superblock(found[7], held_root=found[8], data_block_sectors=found[13])


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to read a part of a pool by, a file or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if stat.S_ISBLK(os.fstat(descriptor).st_mode):
            # dm-thin writes past the device's page cache: what is cached from before may be old.
            fcntl.ioctl(descriptor, BLKFLSBUF)
        yield descriptor
    finally:
        os.close(descriptor)


def copy_metadata(source: Path, target: Path) -> int:
    """Copy metadata to a sparse file; how many of its bytes cannot be read, and are zero there."""
    lost = 0
    with opened(source) as old, target.open("wb") as new:
        size = os.lseek(old, 0, os.SEEK_END)
        for begin, length in data_extents(old, size):
            for at in range(begin, begin + length, CHUNK_BYTES):
                count = min(CHUNK_BYTES, begin + length - at)
                chunk, bad = read_all(old, at, count, METADATA_BLOCK_BYTES)
                lost += bad
                if chunk.strip(b"\0"):
                    new.seek(at)
                    new.write(chunk)
        new.truncate(size)
        new.flush()
        os.fsync(new.fileno())
    return lost


def digest(metadata: Path) -> str:
    """A digest of what it holds; that of a copy is its original's."""
    found = hashlib.sha256()
    with opened(metadata) as file:
        size = os.lseek(file, 0, os.SEEK_END)
        # By chunks of the whole, wherever its holes are: a copy may have others.
        touched = {
            at // CHUNK_BYTES
            for begin, length in data_extents(file, size)
            for at in range(begin // CHUNK_BYTES * CHUNK_BYTES, begin + length, CHUNK_BYTES)
        }
        for number in sorted(touched):
            chunk = os.pread(file, CHUNK_BYTES, number * CHUNK_BYTES)
            if chunk.strip(b"\0"):
                found.update(number.to_bytes(8, "little") + chunk)
    return found.hexdigest()


def data_extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data: offset and length, in bytes; all of a device."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            begin, end = at, size  # it knows no holes
        yield begin, end - begin
        at = end


def read_all(descriptor: int, offset: int, count: int, block_bytes: int) -> tuple[bytes, int]:
    """So many bytes, and how many of them cannot be read, which are zero.

    What fails as a whole is read again block by block.
    """
    try:
        data = os.pread(descriptor, count, offset)
    except OSError:
        if count <= block_bytes:
            return b"\0" * count, count
        parts = [
            read_all(descriptor, at, min(block_bytes, offset + count - at), block_bytes)
            for at in range(offset, offset + count, block_bytes)
        ]
        return b"".join(part for part, _ in parts), sum(bad for _, bad in parts)
    missing = count - len(data)
    if missing and data:
        rest, bad = read_all(descriptor, offset + len(data), missing, block_bytes)
        return data + rest, bad
    return data + b"\0" * missing, missing  # behind its end


def check(metadata: Path) -> str | None:
    """What thin_check(8) finds wrong with a copy; None if it is whole."""
    argv = ["thin_check", str(metadata)]
    done = shell.run(argv, DUMP_TIMEOUT_SECONDS)
    return None if done.status == 0 else " ".join((done.stderr or done.stdout).split())[:500]


def read_map(metadata: Path, device_id: int | None = None) -> PoolMap:
    """Read all mappings of a copy, or those of one device; raises CommandFailed, Unparsable."""
    reader = DumpReader()
    argv = ["thin_dump", *([] if device_id is None else ["--dev-id", str(device_id)])]
    argv.append(str(metadata))
    done = shell.run(argv, DUMP_TIMEOUT_SECONDS, on_chunk=reader.feed)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
    return reader.close()


def repair(metadata: Path, target: Path) -> None:
    """Write what can be saved of a copy into another file; raises CommandFailed."""
    with target.open("wb") as file:
        file.truncate(metadata.stat().st_size * REPAIR_FACTOR)
    argv = ["thin_repair", "-i", str(metadata), "-o", str(target)]
    done = shell.run(argv, DUMP_TIMEOUT_SECONDS)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
