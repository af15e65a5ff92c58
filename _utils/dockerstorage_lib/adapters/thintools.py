"""The metadata of a live thin pool, through thin-provisioning-tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..devmapper import ThinPoolStatus
from ..errors import CommandFailed, CommandTimedOut, Refused
from ..thinmap import DumpReader, PoolMap
from . import dmsetup, shell

#: A dump of half a million mappings takes some 13 s; a pool of 16 GiB metadata may take an hour.
DUMP_TIMEOUT_SECONDS = 3600
#: 16 GiB at most.
READ_TIMEOUT_SECONDS = 600


def read_pool_map(pool_name: str) -> PoolMap:
    """Read all mappings of a live pool from a metadata snapshot, which is released again.

    Raises Refused if somebody else holds the pool's one metadata snapshot.
    """
    reader = DumpReader()
    metadata = dmsetup.pool_table(pool_name).metadata_device
    argv = ["thin_dump", "-m", block_device(metadata)]
    with _metadata_snapshot(pool_name):
        done = shell.run(argv, DUMP_TIMEOUT_SECONDS, on_chunk=reader.feed)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
    return reader.close()


@contextmanager
def _metadata_snapshot(pool_name: str) -> Iterator[None]:
    status = dmsetup.pool_status(pool_name)
    if isinstance(status, ThinPoolStatus) and status.held_metadata_root is not None:
        raise Refused(
            f"the pool {pool_name} has a metadata snapshot already: another tool reads it, or one "
            "died while it did. While it is held, nothing that is deleted becomes free. If no "
            f"other tool runs: dmsetup message {pool_name} 0 release_metadata_snap"
        )
    dmsetup.message(pool_name, 0, "reserve_metadata_snap")
    try:
        yield
    finally:
        # Always: while it is held, deletes free nothing.
        dmsetup.message(pool_name, 0, "release_metadata_snap")


def why_unreadable(number: str) -> str | None:
    """Why not all of a pool's metadata device ("254:3") can be read; None if it can."""
    argv = ["dd", f"if={block_device(number)}", "of=/dev/null", "bs=1M", "iflag=direct"]
    try:
        done = shell.run(argv, READ_TIMEOUT_SECONDS)
    except CommandTimedOut as error:
        return str(error)
    return None if done.status == 0 else done.stderr.strip().splitlines()[0]


def block_device(number: str) -> str:
    """Path of a block device by its number ("7:1"), from sysfs's own name for it."""
    for line in Path(f"/sys/dev/block/{number}/uevent").read_text().splitlines():
        if line.startswith("DEVNAME="):
            return f"/dev/{line.partition('=')[2]}"
    raise Refused(f"the kernel knows no block device {number}")
