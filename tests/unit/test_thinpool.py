"""Declared thin pools: what is planned, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerstorage_lib.blockdev import BlockDevice, parse_signatures, why_not
from dockerstorage_lib.declaration import Declaration, read_declaration
from dockerstorage_lib.errors import BadInput, Refused, Unparsable
from dockerstorage_lib.growth import MAX_METADATA_BYTES, bytes_to_percent, plan_growth
from dockerstorage_lib.lvm import (
    Autoextension,
    VolumeGroup,
    parse_devices,
    parse_groups,
    parse_pools,
    parse_volumes,
)
from dockerstorage_lib.sizes import Share, read_bytes, read_size
from dockerstorage_lib.thinpool import Present, plan_thinpool

DATA = Path(__file__).parent / "data"
MIB, GIB = 1 << 20, 1 << 30
EXTENT = 4 * MIB
POOL = replace(
    parse_pools((DATA / "lvs-full.json").read_text())[0],
    vg="docker",
    name="thinpool",
    size_bytes=4 * GIB,
    metadata_bytes=64 * MIB,
    chunk_bytes=512 << 10,
    vg_free_bytes=GIB,
    when_full="queue",
    zero=False,
)
GROUP = VolumeGroup("docker", 8 * GIB, GIB, EXTENT, 0)
PRESENT = Present(GROUP, POOL, (), {}, Autoextension(80, 20), 1638, 64 * MIB)
NAMED = Declaration("docker", "thinpool")


def keys(declared, present=PRESENT):
    return [step.key for step in plan_thinpool(declared, present)]


def test_nothing_declared_means_nothing_to_do():
    assert keys(NAMED) == []


def test_a_new_host_gets_group_and_pool_in_order():
    nothing = Present(None, None, (), {"/dev/sdb": 10 * GIB})
    steps = plan_thinpool(replace(NAMED, size=Share(100, "FREE"), when_full="error"), nothing)
    assert [step.key for step in steps] == ["vg", "pool docker/thinpool", "when_full"]
    made = steps[1]
    # One hundredth for metadata, as much for LVM's spare, and all the rest for data.
    metadata = made.new["metadata_bytes"]
    assert metadata == -(-(10 * GIB - EXTENT) // 100 // EXTENT) * EXTENT
    assert made.new["size_bytes"] + 2 * metadata == 10 * GIB - EXTENT
    assert made.profile is not None
    assert "threshold=80" in made.profile[1]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"size": 5 * GIB - EXTENT}, ["size_bytes"]),
        ({"size": 4 * GIB - 1}, []),  # rounded up to extents it is what there is
        ({"size": Share(100, "FREE")}, ["size_bytes"]),
        ({"size": Share(60, "FREE")}, []),
        ({"size": Share(50, "VG")}, []),
        ({"size": Share(100, "VG")}, ["size_bytes"]),  # as far as it goes
        ({"metadata_bytes": 128 * MIB}, ["metadata_bytes"]),
        ({"threshold": 70}, ["autoextension", "low_water_mark"]),
        ({"monitor": False}, ["monitor"]),
        ({"zero": True, "discards": "nopassdown"}, ["zero", "discards"]),
        ({"discards": "passdown", "chunk_bytes": 512 << 10, "when_full": "queue"}, []),
    ],
)
def test_only_what_differs_changes(change, expected):
    assert keys(replace(NAMED, **change)) == expected


@pytest.mark.parametrize(
    ("declared", "present", "told"),
    [
        ({"size": 3 * GIB}, {}, "would have to shrink"),
        ({"size": Share(40, "VG")}, {}, "would have to shrink"),
        ({"size": 6 * GIB}, {}, f"{GIB} bytes are missing"),
        ({"metadata_bytes": 32 * MIB}, {}, "would have to shrink"),
        ({"chunk_bytes": 64 << 10}, {}, "chunk_size of docker/thinpool is 524288"),
        ({"discards": "ignore"}, {}, "discards of docker/thinpool is passdown"),
        ({}, {"group": None, "pool": None}, "there is no volume group docker"),
        ({}, {"group": replace(GROUP, missing_devices=1)}, "1 devices of the volume group"),
        ({"size": GIB}, {"pool": None, "other_volumes": ("thinpool",)}, "is a logical volume"),
        ({"size": 2 * GIB}, {"pool": None}, "bytes are missing for docker/thinpool"),
    ],
)
def test_what_cannot_be_is_refused(declared, present, told):
    with pytest.raises(Refused, match=told):
        plan_thinpool(replace(NAMED, **declared), replace(PRESENT, **present))


def test_a_low_water_mark_is_not_asked_for_where_lvm_shall_not_extend():
    never = replace(PRESENT, autoextension=Autoextension(100, 20), low_water_blocks=0)
    assert keys(replace(NAMED, threshold=100), never) == []


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({"low_water_blocks": 0}, ["low_water_mark"]),
        ({"autoextension": Autoextension(100, 20)}, ["autoextension", "low_water_mark"]),
        ({"autoextension": Autoextension(60, 10)}, []),  # somebody's own choice
        ({"pool": replace(POOL, monitored=False)}, ["monitor"]),
        ({"pool": replace(POOL, active=False), "low_water_blocks": None}, ["active"]),
    ],
)
def test_monitoring_is_made_real_on_an_adopted_pool(present, expected):
    assert keys(NAMED, replace(PRESENT, **present)) == expected


sizes = st.one_of(
    st.integers(1, 9 * GIB),
    st.builds(Share, st.floats(1, 100), st.sampled_from(["FREE", "VG"])),
)


@given(sizes, st.integers(10, 4000), st.integers(0, 20))
def test_a_made_pool_fits_and_is_not_touched_again(size, extents, spare):
    """Whatever is declared: the pool fits into the group, and the next plan is empty."""
    group = VolumeGroup("docker", extents * EXTENT, extents * EXTENT, EXTENT, 0)
    present = Present(group, None, (), {}, spare_bytes=spare * EXTENT)
    declared = replace(NAMED, size=size)
    try:
        made = plan_thinpool(declared, present)[0].new
    except Refused:
        return
    data, metadata = made["size_bytes"], made["metadata_bytes"]
    left = group.free_bytes - data - metadata - max(metadata - spare * EXTENT, 0)
    assert left >= 0
    assert data % EXTENT == 0 < data
    after = Present(
        replace(group, free_bytes=left),
        replace(POOL, size_bytes=data, metadata_bytes=metadata, vg_free_bytes=left),
        (),
        {},
        Autoextension(80, 20),
        1,
        max(metadata, spare * EXTENT),
    )
    assert [step.key for step in plan_thinpool(declared, after)] in ([], ["size_bytes"])
    if isinstance(size, int):
        assert plan_thinpool(declared, after) == ()


@pytest.mark.parametrize(
    ("name", "vg", "values", "told"),
    [
        ("thinpool", None, {}, "vg: name the volume group"),
        ("a b", "docker", {}, "name: 'a b' is no name for LVM"),
        ("..", "docker", {}, "is no name for LVM"),
        ("thinpool", "-docker", {}, "vg: '-docker'"),
        ("thinpool", "docker", {"size": True}, "size"),
        ("thinpool", "docker", {"size": "0%FREE"}, "size"),
        ("thinpool", "docker", {"size": "10%PVS"}, "size: '10%PVS' is no share"),
        ("thinpool", "docker", {"chunk_size": "100K"}, "chunk_size"),
        ("thinpool", "docker", {"zero": "no"}, "zero: 'no' is neither"),
        ("thinpool", "docker", {"devices": 5}, "devices"),
        ("thinpool", "docker", {"autoextend_percent": 0}, "autoextend_percent"),
    ],
)
def test_bad_declarations(name, vg, values, told):
    with pytest.raises(BadInput, match=told):
        read_declaration(name, vg, values)


def test_a_declaration_in_one_name():
    read = read_declaration("docker/thinpool", None, {"size": "1.5g", "devices": "/dev/sdb"})
    assert (read.vg, read.name, read.devices) == ("docker", "thinpool", ("/dev/sdb",))
    assert read.size == 3 * GIB // 2


@pytest.mark.parametrize(
    ("text", "size"), [("10G", 10 * GIB), ("4 MiB", 4 * MIB), (512, 512), ("1k", 1024)]
)
def test_sizes(text, size):
    assert read_size(text, "size") == size


@pytest.mark.parametrize("text", ["", "-1", "1X", "much", 0, None, "1G 2G", "0x10"])
def test_no_sizes(text):
    with pytest.raises(BadInput, match="metadata_size"):
        read_bytes(text, "metadata_size")


FREE = BlockDevice("/dev/sdb", GIB)


@pytest.mark.parametrize(
    ("change", "owner", "forced", "why"),
    [
        ({}, None, False, None),
        ({"signatures": ("LVM2_member",)}, "", False, None),  # a physical volume in no group
        ({"signatures": ("LVM2_member",)}, None, False, "it holds LVM2_member"),  # LVM sees it not
        ({"signatures": ("ext4",)}, None, False, "it holds ext4"),
        ({"signatures": ("gpt",), "partitions": ("sdb1",)}, None, False, "it holds gpt, sdb1"),
        ({"signatures": ("ext4",)}, None, True, None),
        ({"mounts": ("/srv",), "busy": True}, None, True, "it is mounted on /srv"),
        ({"holders": ("md0",), "busy": True}, None, True, "md0 is built on it"),
        ({"busy": True}, None, True, "the kernel has it in use"),
        ({}, "data", False, "it belongs to the volume group data"),
        ({}, "data", True, None),
        ({"busy": True, "holders": ("docker-thinpool",)}, "docker", False, None),  # ours already
    ],
)
def test_which_devices_are_taken(change, owner, forced, why):
    assert why_not(replace(FREE, **change), owner, "docker", forced) == why


def test_signatures_as_wipefs_prints_them():
    text = "# offset,uuid,label,type\n0x1fe,,,dos\n0x438,eae02ed8,a,b,ext4\n"
    assert parse_signatures(text) == ("dos", "ext4")
    assert parse_signatures("") == ()
    with pytest.raises(Unparsable):
        parse_signatures("wipefs: error")


def test_lvm_reports():
    groups = parse_groups((DATA / "vgs.json").read_text())
    assert groups == (VolumeGroup("my-vg", 2143289344, 1816133632, EXTENT, 0),)
    devices = {one.device: one.vg for one in parse_devices((DATA / "pvs.json").read_text())}
    assert devices == {"/dev/ubdd": "", "/dev/ubde": "my-vg"}
    volumes = {one.name: one for one in parse_volumes((DATA / "lvs-all.json").read_text())}
    assert [name for name, one in volumes.items() if one.is_pool_spare] == ["lvol0_pmspare"]
    assert volumes["docker"].segment_type == "thin-pool"


@given(
    st.sampled_from(["data", "metadata"]),
    st.integers(1, 64 * GIB),
    st.integers(0, 4096),
    st.integers(0, 64),
)
def test_growth_fits_into_the_group(part, wanted, free, spare):
    pool = replace(POOL, vg_free_bytes=free * EXTENT)
    if free < 2:
        with pytest.raises(Refused, match="bytes are missing to extend"):
            plan_growth(pool, "metadata", wanted, free * EXTENT, pool.metadata_bytes)
        return
    growth = plan_growth(pool, part, wanted, free * EXTENT, spare * EXTENT)
    assert growth.grow_bytes % EXTENT == 0 < growth.grow_bytes
    assert growth.grow_bytes + growth.missing_bytes == -(-wanted // EXTENT) * EXTENT
    cost = growth.grow_bytes
    if part == "metadata":
        size = pool.metadata_bytes + growth.grow_bytes
        cost += max(size - max(spare * EXTENT, pool.metadata_bytes), 0)
        assert size <= MAX_METADATA_BYTES
    assert cost <= free * EXTENT


def test_metadata_has_a_largest_size():
    largest = MAX_METADATA_BYTES // EXTENT * EXTENT
    pool = replace(POOL, metadata_bytes=largest)
    with pytest.raises(Refused, match="largest size"):
        plan_growth(pool, "metadata", GIB, 100 * GIB, largest)


@given(st.integers(0, GIB), st.integers(1, GIB), st.floats(1, 100))
def test_bytes_to_a_percent(used, total, percent):
    added = bytes_to_percent(used, total, percent)
    assert 100 * used / (total + added) <= percent * (1 + 1e-9)
    assert added == 0 or 100 * used / (total + added - 1) > percent * (1 - 1e-9)
