"""A file that becomes one thin device after the other holds each of them to the byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerstorage_lib.adapters import cold_pool
from dockerstorage_lib.adapters.scratch import Scratch
from dockerstorage_lib.errors import Damaged
from dockerstorage_lib.thinmap import PoolMap, ThinDevice

SECTORS, BLOCK = 128, 65536
#: Thin devices by their runs: a base, a snapshot that changed a block and has one more, another.
RUNS = {
    1: ((0, 0, 4), (6, 4, 1)),
    2: ((0, 0, 2), (2, 5, 1), (3, 3, 1), (6, 4, 1), (7, 6, 1)),
    3: ((1, 7, 1),),
    4: ((0, 6, 4),),
}
POOL = PoolMap(
    SECTORS, 8, {id_: ThinDevice(id_, 0, 0, runs) for id_, runs in RUNS.items()}
)  # fmt: skip
SIZE = 8 * BLOCK - 4096


@pytest.fixture
def data(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "data"
    path.write_bytes(b"".join(bytes([65 + block]) * BLOCK for block in range(8)))
    with cold_pool.opened(path) as descriptor:
        yield descriptor


def content(data: int, id_: int) -> bytes:
    """A device by its definition."""
    found = bytearray(8 * BLOCK)
    for origin, begin, length in RUNS[id_]:
        part = os.pread(data, length * BLOCK, begin * BLOCK)
        found[origin * BLOCK : origin * BLOCK + len(part)] = part
    return bytes(found[:SIZE])


def test_each_device_in_turn(tmp_path: Path, data: int) -> None:
    scratch = Scratch(tmp_path / "scratch", data, POOL)
    for id_ in (1, 2, 1, 3, 2, 3, 3):
        assert scratch.become(id_, SIZE) == 0
        assert scratch.path.read_bytes() == content(data, id_), id_
    assert scratch.path.stat().st_blocks * 512 <= 2 * BLOCK  # the rest is holes again


def test_what_was_written_to_it_is_no_part_of_the_next_device(tmp_path: Path, data: int) -> None:
    scratch = Scratch(tmp_path / "scratch", data, POOL)
    scratch.become(1, SIZE)
    with scratch.path.open("r+b") as file:
        file.write(b"a log that was replayed")
    scratch.forget()
    scratch.become(1, SIZE)
    assert scratch.path.read_bytes() == content(data, 1)


def test_blocks_behind_the_end_of_the_data_are_zero_and_counted(tmp_path: Path, data: int) -> None:
    scratch = Scratch(tmp_path / "scratch", data, POOL)
    assert scratch.become(4, SIZE) == 2 * BLOCK
    assert scratch.path.read_bytes() == content(data, 4)
    assert scratch.become(1, SIZE) == 0
    assert scratch.become(4, SIZE) == 2 * BLOCK


def test_a_device_that_the_pool_does_not_hold_is_named(tmp_path: Path, data: int) -> None:
    with pytest.raises(Damaged, match="thin device 9 is damaged: the pool does not hold it"):
        Scratch(tmp_path / "scratch", data, POOL).become(9, SIZE)


def test_a_sparse_copy_of_metadata_is_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "metadata", tmp_path / "copy"
    with source.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(3 << 20)
        file.write(b"x" * 5000)
    assert cold_pool.copy_metadata(source, target) == 0
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks < 4096
