"""Which blocks of a thin pool each thin device maps, and what deleting devices would free.

The source is the XML of thin_dump(8). A block is freed when the last device that maps it goes,
so bytes are counted block by block: sums of exclusive blocks miss what several doomed devices
share among themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from xml.parsers import expat

from .errors import Unparsable

#: Blocks that follow one another both in the device and in the pool's data: the first one in the
#: device, the first one in the data, how many.
Run = tuple[int, int, int]

#: A pool can be far larger, Docker's never was: 1 PiB in its blocks of 64 KiB.
MAX_DATA_BLOCKS = 2**34

_MARK = b"\x01"
_COUNT_UP = bytes([1, 2, 2]) + bytes(range(3, 256))  # none → one → several


@dataclass(frozen=True)
class ThinDevice:
    """A thin device of a pool, as the pool's metadata knows it."""

    device_id: int
    mapped_blocks: int
    transaction_id: int
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class PoolMap:
    """All mappings of a pool at one moment."""

    data_block_sectors: int
    total_data_blocks: int
    devices: Mapping[int, ThinDevice]


@dataclass
class _Reading:
    """What DumpReader has seen so far."""

    superblock: dict[str, str] | None = None
    devices: dict[int, ThinDevice] = field(default_factory=dict)
    device: dict[str, str] | None = None
    runs: list[Run] = field(default_factory=list)
    shared: dict[str, list[Run]] = field(default_factory=dict)
    definition: str | None = None
    finished: bool = False


class DumpReader:
    """Reads thin_dump's XML in pieces as they come: a dump can be far larger than memory."""

    def __init__(self) -> None:
        self._seen = _Reading()
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, text: str) -> None:
        """Take the next piece; raises Unparsable if it is not thin_dump's XML."""
        try:
            self._parser.Parse(text, False)
        except (expat.ExpatError, KeyError, ValueError) as error:
            raise Unparsable("thin_dump output", f"{error}: {text[:200]}") from None

    def close(self) -> PoolMap:
        """Return the map; raises Unparsable if the dump was cut short."""
        superblock = self._seen.superblock
        if superblock is None or not self._seen.finished:
            raise Unparsable("thin_dump output", "it ends before </superblock>")
        try:
            sizes = _count(superblock["data_block_size"]), _count(superblock["nr_data_blocks"])
        except (KeyError, ValueError) as error:
            raise Unparsable("thin_dump output", f"superblock: {error}") from None
        pool = PoolMap(*sizes, self._seen.devices)
        if _blocks(pool) > MAX_DATA_BLOCKS:
            raise Unparsable("thin_dump output", f"{_blocks(pool)} data blocks")
        return pool

    def _start(self, tag: str, at: dict[str, str]) -> None:
        seen = self._seen
        if tag == "range_mapping":
            run = _count(at["origin_begin"]), _count(at["data_begin"]), _count(at["length"])
            seen.runs.append(run)
        elif tag == "single_mapping":
            seen.runs.append((_count(at["origin_block"]), _count(at["data_block"]), 1))
        elif tag == "device":
            seen.device, seen.runs = at, []
        elif tag == "def":  # mappings that several devices share, written once
            seen.definition, seen.runs = at["name"], []
        elif tag == "ref":
            seen.runs += seen.shared[at["name"]]
        elif tag == "superblock":
            seen.superblock = at

    def _end(self, tag: str) -> None:
        seen = self._seen
        if tag == "device" and seen.device is not None:
            at = seen.device
            number = _count(at["dev_id"])
            seen.devices[number] = ThinDevice(
                number, _count(at["mapped_blocks"]), _count(at["transaction"]), tuple(seen.runs)
            )
        elif tag == "def" and seen.definition is not None:
            seen.shared[seen.definition] = seen.runs
        elif tag == "superblock":
            seen.finished = True


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no count")
    return int(text)


def freed_blocks(pool: PoolMap, groups: Sequence[Iterable[int]]) -> list[int]:
    """Data blocks that go free with each group of device ids, deleted in the order given.

    A block that several groups map is counted with the last of them: that is when it goes.
    Ids that the pool does not hold free nothing.
    """
    doomed = [
        [pool.devices[number] for number in group if number in pool.devices] for group in groups
    ]
    doomed_ids = {device.device_id for group in doomed for device in group}
    held = bytearray(_blocks(pool))
    for device in pool.devices.values():
        if device.device_id not in doomed_ids:
            _mark(held, device.runs)
    counts = [sum(_mark(held, device.runs) for device in group) for group in reversed(doomed)]
    return counts[::-1]


def exclusive_blocks(pool: PoolMap) -> dict[int, int]:
    """Data blocks that no other device maps, by device id."""
    holders = bytearray(_blocks(pool))
    for device in pool.devices.values():
        for _, begin, length in device.runs:
            holders[begin : begin + length] = holders[begin : begin + length].translate(_COUNT_UP)
    return {
        device.device_id: sum(holders.count(1, begin, begin + n) for _, begin, n in device.runs)
        for device in pool.devices.values()
    }


def differences(old: Sequence[Run], new: Sequence[Run]) -> Iterator[tuple[int, int | None, int]]:
    """What of one device's blocks must change so that they are another's, in order.

    First block in the device, first block in the data (None: the other has none there), how many.
    """
    before, after = sorted(old), sorted(new)
    edges = sorted({edge for origin, _, n in (*before, *after) for edge in (origin, origin + n)})
    at_old = at_new = 0
    for begin, end in pairwise(edges):
        at_old, was = _mapped(before, at_old, begin)
        at_new, now = _mapped(after, at_new, begin)
        if was != now:
            yield begin, now, end - begin


def _mapped(runs: Sequence[Run], at: int, block: int) -> tuple[int, int | None]:
    """The first run that ends behind a block, from a run on; and the block's own data block."""
    while at < len(runs) and runs[at][0] + runs[at][2] <= block:
        at += 1
    if at == len(runs) or runs[at][0] > block:
        return at, None
    return at, runs[at][1] + block - runs[at][0]


def free_runs(pool: PoolMap) -> Iterator[tuple[int, int]]:
    """Data blocks of the pool that no device maps, in order: the first one, how many.

    Not of a dump of a metadata snapshot, which does not tell how many blocks the pool has.
    """
    held = bytearray(_blocks(pool))
    for device in pool.devices.values():
        _mark(held, device.runs)
    end = 0
    while (begin := held.find(0, end)) >= 0:
        end = held.find(_MARK, begin)
        end = len(held) if end < 0 else end
        yield begin, end - begin


def _blocks(pool: PoolMap) -> int:
    # thin_dump says 0 blocks for a metadata snapshot, so the highest mapped block counts too.
    ends = (begin + n for device in pool.devices.values() for _, begin, n in device.runs)
    return max(pool.total_data_blocks, max(ends, default=0))


def _mark(held: bytearray, runs: Iterable[Run]) -> int:
    """Mark runs as held; return how many of their blocks were not held before."""
    fresh = 0
    for _, begin, length in runs:
        fresh += held.count(0, begin, begin + length)
        held[begin : begin + length] = _MARK * length
    return fresh
