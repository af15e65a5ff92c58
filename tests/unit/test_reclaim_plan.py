"""Holes are made only where no device maps a block, and give back what was predicted."""

import os
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib import byteranges, reclaim_plan
from dockerstorage_lib.adapters import cold_pool, holes, trims
from dockerstorage_lib.errors import Incoherent, Refused
from dockerstorage_lib.reclaim_plan import pieces, plan_reclaim
from dockerstorage_lib.thinmap import PoolMap, ThinDevice

BLOCK = 65536
BLOCKS = 24
ranges = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=12)


def pool(*runs: tuple[int, int, int], blocks: int = BLOCKS) -> PoolMap:
    return PoolMap(128, blocks, {1: ThinDevice(1, sum(n for *_, n in runs), 1, runs)})


def bytes_of(some: Iterable[tuple[int, int]]) -> set[int]:
    return {at for begin, length in some for at in range(begin, begin + length)}


@given(ranges, ranges)
def test_arithmetic_is_that_of_sets(some, others):
    left, right = byteranges.merged(some), byteranges.merged(others)
    assert bytes_of(left) == bytes_of(some)
    assert all(sum(one) < other[0] for one, other in pairwise(left))
    assert bytes_of(byteranges.common(left, right)) == bytes_of(left) & bytes_of(right)
    assert bytes_of(byteranges.without(left, right)) == bytes_of(left) - bytes_of(right)
    assert byteranges.total(left) == len(bytes_of(some))


@given(
    st.lists(st.tuples(st.integers(0, BLOCKS - 1), st.integers(1, 6)), max_size=6),
    st.lists(st.tuples(st.integers(0, BLOCKS * 16), st.integers(1, 40)), max_size=8),
)
def test_no_mapped_block_is_touched_and_all_others_are_free_afterwards(mapped, on_disk):
    runs = [(0, begin, min(length, BLOCKS - begin)) for begin, length in mapped]
    extents = byteranges.merged((begin * 4096, length * 4096) for begin, length in on_disk)
    plan = plan_reclaim(pool(*runs), BLOCKS * BLOCK, extents)
    held = byteranges.merged((begin * BLOCK, n * BLOCK) for _, begin, n in runs)
    inside = ((0, BLOCKS * BLOCK),)
    assert byteranges.common(plan.holes, held) == ()
    assert byteranges.without(plan.holes, inside) == ()
    assert all(begin % BLOCK == length % BLOCK == 0 for begin, length in plan.holes)
    # What is left inside the pool is mapped; what lies behind it stays.
    rest = byteranges.without(plan.extents_after, held)
    assert byteranges.common(rest, inside) == ()
    assert byteranges.without(plan.extents_after, inside) == byteranges.without(extents, inside)
    assert plan.allocated_bytes - plan.freed_bytes == byteranges.total(plan.extents_after)


def test_a_hole_ends_with_the_pools_last_whole_block():
    plan = plan_reclaim(pool(blocks=9), 8 * BLOCK + 4096, [(0, 9 * BLOCK)])
    assert plan.holes == ((0, 8 * BLOCK),)


@pytest.mark.parametrize(("blocks", "size"), [(8, 100 * BLOCK), (100, 8 * BLOCK)])
def test_mappings_of_another_file_are_noticed(blocks, size):
    with pytest.raises(Incoherent, match="at least 9 blocks, found 8 blocks"):
        plan_reclaim(pool((0, 8, 1), blocks=blocks), size, [])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=5))
def test_pieces_are_the_holes_and_none_is_large(some):
    whole = byteranges.merged(some)
    found = list(pieces(whole, 3))
    assert byteranges.merged(found) == whole
    assert all(length <= 3 for _, length in found)


@pytest.fixture
def data(tmp_path):
    """A sparse file of 24 blocks: 1 to 9 are written, 12 and 13 only allocated."""
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.truncate(BLOCKS * BLOCK)
        os.pwrite(file.fileno(), os.urandom(9 * BLOCK), BLOCK)
        os.posix_fallocate(file.fileno(), 12 * BLOCK, 2 * BLOCK)
        try:
            holes.extents(file.fileno())
        except Refused:
            pytest.skip("the file system here does not tell extents")
    return path


def test_a_real_file_shrinks_as_predicted(data):
    before = data.read_bytes()
    with holes.leased(data) as lease:
        extents = holes.extents(lease.descriptor)
        assert extents == ((BLOCK, 9 * BLOCK), (12 * BLOCK, 2 * BLOCK))
        plan = plan_reclaim(pool((0, 2, 3), (9, 7, 1)), BLOCKS * BLOCK, extents)
        allocated = data.stat().st_blocks * reclaim_plan.SECTOR_BYTES
        for at, count in pieces(plan.holes, BLOCK):
            lease.check()
            holes.punch(lease.descriptor, at, count)
        assert holes.extents(lease.descriptor) == plan.extents_after
    assert plan.freed_bytes == (1 + 2 + 2 + 2) * BLOCK
    assert allocated - data.stat().st_blocks * reclaim_plan.SECTOR_BYTES == plan.freed_bytes
    after = data.read_bytes()
    assert len(after) == len(before)
    for begin, end in ((2, 5), (7, 8)):
        assert after[begin * BLOCK : end * BLOCK] == before[begin * BLOCK : end * BLOCK]
    assert not any(after[5 * BLOCK : 7 * BLOCK])


def test_a_file_that_others_have_open_is_not_taken(data, monkeypatch):
    monkeypatch.setattr(holes, "LEASE_SECONDS", 0)
    with data.open("rb"), pytest.raises(Refused, match="open elsewhere"), holes.leased(data):
        pass


def test_somebody_who_wants_the_file_is_noticed(data):
    with holes.leased(data) as lease:
        lease.check()
        with pytest.raises(BlockingIOError):
            os.open(data, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(Incoherent, match="somebody who opens it"):
            lease.check()


def test_a_copy_of_metadata_has_its_digest_and_another_content_has_not(tmp_path):
    original, copy = tmp_path / "metadata", tmp_path / "copy"
    with original.open("wb") as file:
        os.pwrite(file.fileno(), b"begin", 0)
        os.pwrite(file.fileno(), bytes(4096), 2 << 20)  # zeros that are on disk: a hole in the copy
        os.pwrite(file.fileno(), b"end", 5 << 20)
        file.truncate(8 << 20)
    assert cold_pool.copy_metadata(original, copy) == 0
    assert cold_pool.digest(copy) == cold_pool.digest(original)
    with copy.open("r+b") as file:
        os.pwrite(file.fileno(), b"x", 3 << 20)
    assert cold_pool.digest(copy) != cold_pool.digest(original)


def test_a_root_on_another_device_is_not_trimmed():
    with pytest.raises(Refused, match="its root is on"):
        trims.trim_root(os.getpid(), "docker-8:1-2-abc")
    with pytest.raises(Refused, match="no root any more"):
        trims.trim_root(2**22 + 1, "docker-8:1-2-abc")
