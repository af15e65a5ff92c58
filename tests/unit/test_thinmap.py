"""Blocks are counted as the pool counts them: each once, and gone with its last holder."""

from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.thinmap import (
    DumpReader,
    PoolMap,
    ThinDevice,
    differences,
    exclusive_blocks,
    free_runs,
    freed_blocks,
)

REAL = (Path(__file__).parent / "data" / "thin_dump-snapshot.xml").read_text()

# As thin_dump 1.0 and later writes it: what devices share stands once, in a def.
SHARED = """<superblock uuid="" time="3" transaction="9" flags="0" version="2" \
data_block_size="128" nr_data_blocks="1600">
  <def name="42">
    <range_mapping origin_begin="0" data_begin="0" length="4" time="0"/>
    <single_mapping origin_block="9" data_block="7" time="0"/>
  </def>
  <device dev_id="1" mapped_blocks="6" transaction="0" creation_time="0" snap_time="2">
    <ref name="42"/>
    <single_mapping origin_block="12" data_block="5" time="1"/>
  </device>
  <device dev_id="2" mapped_blocks="7" transaction="3" creation_time="1" snap_time="2">
    <ref name="42"/>
    <range_mapping origin_begin="20" data_begin="100" length="2" time="1"/>
  </device>
  <device dev_id="5" mapped_blocks="0" transaction="8" creation_time="3" snap_time="3">
  </device>
</superblock>
"""


def read(*pieces):
    reader = DumpReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.close()


def blocks(device):
    return {block for _, begin, length in device.runs for block in range(begin, begin + length)}


def test_a_dump_with_shared_definitions():
    assert read(SHARED) == PoolMap(
        128,
        1600,
        {
            1: ThinDevice(1, 6, 0, ((0, 0, 4), (9, 7, 1), (12, 5, 1))),
            2: ThinDevice(2, 7, 3, ((0, 0, 4), (9, 7, 1), (20, 100, 2))),
            5: ThinDevice(5, 0, 8, ()),
        },
    )


def test_a_dump_of_a_live_docker_pool_agrees_with_the_kernel():
    pool = read(REAL)
    assert (pool.data_block_sectors, pool.total_data_blocks) == (128, 0)
    for device in pool.devices.values():
        assert len(blocks(device)) == device.mapped_blocks
    # The kernel said 342/16384 at that moment.
    assert len(set().union(*map(blocks, pool.devices.values()))) == 342


@given(st.lists(st.integers(0, len(REAL)), max_size=30))
@settings(deadline=None, max_examples=15)
def test_a_dump_may_come_in_any_pieces(cuts):
    edges = [0, *sorted(cuts), len(REAL)]
    pieces = [REAL[a:b] for a, b in pairwise(edges)]
    assert read(*pieces) == read(REAL)


@given(st.integers(0, len(SHARED.rstrip()) - 1))
@settings(deadline=None, max_examples=50)
def test_a_dump_that_is_cut_off_is_refused(end):
    with pytest.raises(Unparsable):
        read(SHARED[:end])


@pytest.mark.parametrize(
    "text",
    [
        "metadata contains errors (run thin_check for details)\n",
        SHARED.replace('data_begin="0"', 'data_begin="x"'),
        SHARED.replace('data_block="5"', ""),
        SHARED.replace('<ref name="42"/>', '<ref name="43"/>'),
        SHARED.replace('dev_id="5"', ""),
        SHARED.replace('data_begin="100"', 'data_begin="-100"'),
        SHARED.replace('data_begin="100"', f'data_begin="{10**18}"'),
        SHARED.replace('data_block_size="128"', ""),
        SHARED.replace('nr_data_blocks="1600"', 'nr_data_blocks="many"'),
        SHARED + SHARED,
    ],
)
def test_what_is_no_dump_is_refused(text):
    with pytest.raises(Unparsable):
        read(text)


def from_zero(runs):
    """Runs of data as a device that begins with the first of them maps them."""
    ends = list(accumulate((length for _, length in runs), initial=0))
    return tuple((at, *run) for at, run in zip(ends, runs, strict=False))


def pool_of(*runs):
    devices = {
        number: ThinDevice(number, sum(n for _, n in own), 0, from_zero(own))
        for number, own in enumerate(runs, 1)
    }
    return PoolMap(128, 0, devices)


def test_shared_blocks_go_with_their_last_holder():
    pool = pool_of([(0, 10)], [(0, 10), (20, 3)], [(5, 5)])
    assert freed_blocks(pool, [[1], [2]]) == [0, 5 + 3]
    assert freed_blocks(pool, [[1], [2], [3]]) == [0, 8, 5]
    assert freed_blocks(pool, [[1, 2, 3]]) == [13]
    assert freed_blocks(pool, [[], [99], [2]]) == [0, 0, 3]


def test_exclusive_blocks_are_held_by_one_device_alone():
    pool = pool_of([(0, 10)], [(0, 10), (20, 3)], [(5, 5)], [(30, 1)], [])
    assert exclusive_blocks(pool) == {1: 0, 2: 3, 3: 0, 4: 1, 5: 0}


def test_free_blocks_are_those_that_nobody_maps():
    pool = replace(pool_of([(2, 3)], [(4, 4), (12, 1)]), total_data_blocks=20)
    assert list(free_runs(pool)) == [(0, 2), (8, 4), (13, 7)]
    assert list(free_runs(replace(pool_of([(0, 20)]), total_data_blocks=20))) == []
    assert list(free_runs(PoolMap(128, 5, {}))) == [(0, 5)]


@st.composite
def pools(draw):
    """Devices made of whole and cut shared runs, as snapshots share them."""
    shared = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1))
    devices = {}
    for number in range(1, draw(st.integers(1, 7)) + 1):
        held = set()
        for begin, length in draw(st.lists(st.sampled_from(shared), max_size=4)):
            held |= set(range(begin, begin + draw(st.integers(1, length))))
        runs = tuple((block, 1) for block in sorted(held))
        devices[number] = ThinDevice(number, len(held), 0, from_zero(join(runs)))
    return PoolMap(128, draw(st.sampled_from([0, 40, 200])), devices)


def join(runs):
    joined = []
    for begin, length in runs:
        if joined and sum(joined[-1]) == begin:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((begin, length))
    return tuple(joined)


@given(pools(), st.lists(st.integers(1, 9), unique=True), st.lists(st.integers(0, 9), max_size=5))
@settings(deadline=None, max_examples=100)
def test_freed_blocks_are_those_of_deleting_one_group_after_another(pool, numbers, cuts):
    edges = [0, *sorted(cuts), len(numbers)]
    groups = [numbers[a:b] for a, b in pairwise(edges)]
    alive = dict(pool.devices)
    expected = []
    for group in groups:
        before = set().union(*map(blocks, alive.values()))
        for number in group:
            alive.pop(number, None)
        expected.append(len(before - set().union(*map(blocks, alive.values()))))
    assert freed_blocks(pool, groups) == expected


@given(pools())
@settings(deadline=None)
def test_exclusive_blocks_are_what_deleting_that_device_alone_frees(pool):
    exclusive = exclusive_blocks(pool)
    assert exclusive == {number: freed_blocks(pool, [[number]])[0] for number in pool.devices}
    for number, device in pool.devices.items():
        others = [blocks(one) for key, one in pool.devices.items() if key != number]
        assert exclusive[number] == len(blocks(device).difference(*others))


def placed(device):
    """Data block by the device's own block."""
    return {
        origin + number: begin + number
        for origin, begin, length in device.runs
        for number in range(length)
    }


@st.composite
def scattered(draw):
    """A device whose runs lie anywhere, in any order."""
    cells = draw(st.dictionaries(st.integers(0, 40), st.integers(0, 99), max_size=25))
    runs = [(origin, data, 1) for origin, data in cells.items()]
    joined = []
    for run in sorted(runs):
        last = joined[-1] if joined else None
        if last and (last[0] + last[2], last[1] + last[2]) == run[:2] and draw(st.booleans()):
            joined[-1] = (last[0], last[1], last[2] + 1)
        else:
            joined.append(run)
    return ThinDevice(1, len(cells), 0, tuple(draw(st.permutations(joined))))


@given(scattered(), scattered())
@settings(deadline=None, max_examples=200)
def test_with_its_differences_one_device_becomes_another(old, new):
    now = placed(old)
    for origin, data, length in differences(old.runs, new.runs):
        for number in range(length):
            was = now.pop(origin + number, None)
            assert was != (None if data is None else data + number)
            if data is not None:
                now[origin + number] = data + number
    assert now == placed(new)
