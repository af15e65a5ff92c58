"""Give a thin pool back as it was before an engine had it."""

from __future__ import annotations

from collections.abc import Iterable

from . import thinmap
from .adapters import dmsetup, thintools
from .devmapper import ThinPoolStatus
from .errors import CommandFailed


def mapped_bytes(pool: str, device_ids: list[int]) -> int:
    """Bytes that nothing maps any more once those devices are gone."""
    if not device_ids:
        return 0
    pool_map = thintools.read_pool_map(pool)
    return sum(thinmap.freed_blocks(pool_map, [device_ids])) * pool_map.data_block_sectors * 512


def release(pool: str, device_ids: Iterable[int]) -> None:
    """Delete thin devices that nobody uses; may be repeated. Raises CommandFailed.

    If nothing else is in the pool its transaction becomes 0 again: an engine takes no pool that
    another one has used.
    """
    for device_id in device_ids:
        try:
            dmsetup.message(pool, 0, f"delete {device_id}")
        except CommandFailed as error:
            if "No data available" not in error.stderr:
                raise  # else it is gone already
    status = dmsetup.pool_status(pool)
    if not isinstance(status, ThinPoolStatus) or status.used_data_blocks:
        return
    if status.transaction_id:
        dmsetup.message(pool, 0, f"set_transaction_id {status.transaction_id} 0")
