"""What dmsetup prints is read into exact values, and what it never prints is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerstorage_lib.devmapper import (
    DeviceInfo,
    FailedTarget,
    OtherStatus,
    OtherTable,
    ThinPoolStatus,
    ThinPoolTable,
    ThinStatus,
    ThinTable,
    parse_deps,
    parse_info,
    parse_listing,
    parse_status,
    parse_table,
)
from dockerstorage_lib.errors import Unparsable

DATA = Path(__file__).parent / "data"
LAYER = "docker-98:32-8193-b45fa2033f131d055b8e243bce406c4963ee6dee3170b94cd614394713ff3855"

# The kernel's own lines; where the first fields were not kept, others of the same pool stand in.
POOLS = {
    "0 204800 thin-pool 1 111/1024 0/400 - rw no_discard_passdown queue_if_no_space - 256 ": (
        ThinPoolStatus(1, 111, 1024, 0, 400, None, "rw", False, "queue", False, 256),
        "ok",
    ),
    "0 1048576 thin-pool 5 122/1024 2048/2048 - out_of_data_space no_discard_passdown "
    "queue_if_no_space - 256 ": (
        ThinPoolStatus(
            5, 122, 1024, 2048, 2048, None, "out_of_data_space", False, "queue", False, 256
        ),
        "out_of_data_space",
    ),
    "0 9830400 thin-pool 5 1024/1024 11821/19200 - ro no_discard_passdown queue_if_no_space "
    "- 256 ": (
        ThinPoolStatus(5, 1024, 1024, 11821, 19200, None, "ro", False, "queue", False, 256),
        "read_only",
    ),
    "0 7340032 thin-pool 5 237/256 12756/57344 - ro no_discard_passdown queue_if_no_space "
    "needs_check 64 ": (
        ThinPoolStatus(5, 237, 256, 12756, 57344, None, "ro", False, "queue", True, 64),
        "needs_check",
    ),
    "0 1048576 thin-pool 5 118/1024 800/2048 48 rw no_discard_passdown queue_if_no_space - 256 ": (
        ThinPoolStatus(5, 118, 1024, 800, 2048, 48, "rw", False, "queue", False, 256),
        "ok",
    ),
    "0 2097152 thin-pool 32 1690/16384 342/16384 759 rw discard_passdown queue_if_no_space "
    "- 1024 ": (
        ThinPoolStatus(32, 1690, 16384, 342, 16384, 759, "rw", True, "queue", False, 1024),
        "ok",
    ),
}


@pytest.mark.parametrize(("line", "expected"), POOLS.items())
def test_a_pool_status_is_read_to_its_last_field(line, expected):
    status = parse_status(line)
    assert (status, status.health) == expected


@pytest.mark.parametrize("word", ["Fail", "Error"])
@pytest.mark.parametrize("target", ["thin-pool", "thin"])
def test_a_failed_target_is_a_value(target, word):
    status = parse_status(f"0 1048576 {target} {word}")
    assert status == FailedTarget(word)
    assert status.health == "failed"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 204800 thin 81920 81919", ThinStatus(81920, 81919)),
        ("0 204800 thin 0 -", ThinStatus(0, None)),
        ("0 409600 linear ", OtherStatus("linear", "")),
        ("0 8 snapshot 16/64 8", OtherStatus("snapshot", "16/64 8")),
    ],
)
def test_thin_and_foreign_status_lines(line, expected):
    assert parse_status(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "0 409600 thin-pool 254:0 254:1 1024 96 2 skip_block_zeroing error_if_no_space ",
            ThinPoolTable(
                409600, "254:0", "254:1", 1024, 96, ("skip_block_zeroing", "error_if_no_space")
            ),
        ),
        (
            "0 204800 thin-pool 254:6 254:7 128 0 0 ",
            ThinPoolTable(204800, "254:6", "254:7", 128, 0, ()),
        ),
        ("0 204800 thin-pool 7:1 7:0 128 96", ThinPoolTable(204800, "7:1", "7:0", 128, 96, ())),
        ("0 262144 thin 254:0 16", ThinTable(262144, "254:0", 16)),
        ("0 262144 thin 254:0 16 254:9", ThinTable(262144, "254:0", 16, "254:9")),
        ("0 8192 linear 98:48 763904", OtherTable(8192, "linear", "98:48 763904")),
    ],
)
def test_table_lines(line, expected):
    assert parse_table(line) == expected


def test_a_pool_table_says_its_block_size_and_what_a_full_pool_does():
    table = parse_table(
        "0 409600 thin-pool 254:0 254:1 1024 96 2 skip_block_zeroing error_if_no_space"
    )
    assert (table.data_block_bytes, table.when_full) == (524288, "error")
    assert parse_table("0 204800 thin-pool 254:6 254:7 128 0 0").when_full == "queue"


def test_percents_are_of_what_is_nearer_to_full():
    status = parse_status("0 1 thin-pool 1 512/1024 100/400 - rw")
    assert (status.data_percent, status.metadata_percent, status.fullest_percent) == (25, 50, 50)


WHOLE = "0 204800 thin-pool 1 111/1024 0/400 - rw discard_passdown error_if_no_space - 256"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (5, (None, None, False, None)),
        (6, (True, None, False, None)),
        (7, (True, "error", False, None)),
        (8, (True, "error", False, None)),
        (9, (True, "error", False, 256)),
    ],
)
def test_fields_that_older_kernels_leave_out_are_none(fields, expected):
    status = parse_status(" ".join(WHOLE.split()[: 3 + fields]))
    later = (status.discard_passdown, status.when_full, status.needs_check)
    assert (*later, status.metadata_low_water_blocks) == expected


@pytest.mark.parametrize("line", [WHOLE, "0 204800 thin 81920 81919"])
def test_fields_that_newer_kernels_add_are_passed_over(line):
    assert parse_status(f"{line} new_word 17/18") == parse_status(line)


@pytest.mark.parametrize(
    ("position", "word", "field"),
    [
        (0, "x", "start, length and target"),
        (1, "-1", "start, length and target"),
        (3, "one", "transaction id"),
        (4, "111", "metadata blocks"),
        (4, "x/1024", "metadata blocks"),
        (4, "111/", "metadata blocks"),
        (5, "0-400", "data blocks"),
        (5, "0/-400", "data blocks"),
        (6, "none", "held metadata root"),
        (6, "²", "held metadata root"),
        (7, "rx", "mode"),
        (8, "discards", "discards"),
        (9, "panic_if_no_space", "what happens when full"),
        (10, "maybe", "needs_check"),
        (11, "many", "metadata low water"),
    ],
)
def test_garbage_in_a_pool_status_names_the_field_and_the_line(position, word, field):
    words = WHOLE.split()
    words[position] = word
    line = " ".join(words)
    with pytest.raises(Unparsable) as caught:
        parse_status(line)
    assert (caught.value.field, caught.value.line) == (field, line)


@pytest.mark.parametrize(
    ("parse", "line", "field"),
    [
        (parse_status, "", "start, length and target"),
        (parse_status, "No such device", "start, length and target"),
        (parse_status, "0 204800 thin-pool 1 111/1024 0/400 -", "thin-pool status"),
        (parse_status, "0 204800 thin 81920", "thin status"),
        (parse_status, "0 204800 thin x 81919", "mapped sectors"),
        (parse_status, "0 204800 thin 81920 x", "highest mapped sector"),
        (parse_table, "0 204800", "start, length and target"),
        (parse_table, "0 ² thin 254:0 1", "length"),
        (parse_table, "0 204800 thin 254:0", "thin table"),
        (parse_table, "0 204800 thin 254:0 x", "device id"),
        (parse_table, "0 204800 thin-pool 254:6 254:7 128", "thin-pool table"),
        (parse_table, "0 204800 thin-pool 254:6 254:7 x 0 0", "data block size"),
        (parse_table, "0 204800 thin-pool 254:6 254:7 128 x 0", "low water"),
        (parse_table, "0 204800 thin-pool 254:6 254:7 128 0 x", "feature count"),
        (parse_deps, "Device does not exist.", "dependencies"),
        (parse_deps, "2 dependencies\t: (7, 0)", "dependencies"),
        (parse_deps, "1 dependencies\t: (loop0)", "dependencies"),
        (parse_info, "pool|254|0|1|1||Active|Writeable", "device information"),
        (parse_info, "pool|254|x|1|1||Active|Writeable|Live", "device information"),
        (parse_info, "pool|254|0|1|1||Asleep|Writeable|Live", "device information"),
        (parse_info, "Command failed.", "device information"),
    ],
)
def test_garbage_names_the_field_and_the_line(parse, line, field):
    with pytest.raises(Unparsable) as caught:
        parse(line)
    assert (caught.value.field, caught.value.line) == (field, line)


def test_a_listing_of_a_real_host_is_read_whole():
    found = parse_listing((DATA / "dmsetup-status.txt").read_text(), parse_status)
    assert found == {
        "a b": [OtherStatus("zero", "")],
        LAYER: [ThinStatus(38272, 262143)],
        "docker-98:32-8193-pool": [
            ThinPoolStatus(32, 1689, 16384, 343, 16384, None, "rw", True, "queue", False, 1024)
        ],
        "my--vg-big": [ThinStatus(204800, 204799)],
        "my--vg-docker": [OtherStatus("linear", "")],
        "my--vg-docker-tpool": [
            ThinPoolStatus(
                1, 119, 1024, 1600, 1600, None, "out_of_data_space", False, "queue", False, 256
            )
        ],
        "my--vg-docker_tdata": [OtherStatus("linear", "")],
        "my--vg-docker_tmeta": [OtherStatus("linear", "")],
        "my--vg-plain": [OtherStatus("linear", "")],
        "my--vg-thin--pool": [OtherStatus("linear", "")],
        "my--vg-thin--pool-tpool": [
            ThinPoolStatus(1, 112, 1024, 48, 3200, None, "rw", False, "queue", False, 256)
        ],
        "my--vg-thin--pool_tdata": [OtherStatus("linear", "")],
        "my--vg-thin--pool_tmeta": [OtherStatus("linear", "")],
        "my--vg-v1": [ThinStatus(6144, 6143)],
        "nothing": [],
    }


def test_tables_of_a_real_host_name_their_devices():
    found = parse_listing((DATA / "dmsetup-table.txt").read_text(), parse_table)
    assert len(found) == 13
    assert found[LAYER] == [ThinTable(262144, "254:0", 16)]
    assert found["docker-98:32-8193-pool"] == [
        ThinPoolTable(2097152, "7:1", "7:0", 128, 32768, ("skip_block_zeroing",))
    ]
    assert found["my--vg-thin--pool"] == [OtherTable(409600, "linear", "254:4 0")]
    assert found["nothing"] == []


def test_a_device_of_several_targets_has_a_row_for_each():
    found = parse_listing("two: 0 8 zero \ntwo: 8 8 error \n", parse_status)
    assert found == {"two": [OtherStatus("zero", ""), OtherStatus("error", "")]}


@pytest.mark.parametrize("text", ["", "\n", "No devices found\n"])
def test_a_host_without_devices_has_an_empty_listing(text):
    assert parse_listing(text, parse_status) == {}
    assert parse_info(text) == ()


def test_a_listing_with_a_foreign_line_is_refused():
    with pytest.raises(Unparsable, match="device name"):
        parse_listing("Incompatible libdevmapper and kernel driver\n", parse_status)


def test_device_information_of_a_real_host():
    found = {row.name: row for row in parse_info((DATA / "dmsetup-info.txt").read_text())}
    assert len(found) == 13
    assert found["docker-98:32-8193-pool"] == DeviceInfo(
        "docker-98:32-8193-pool", 254, 0, 1, 1, "", False, False, True
    )
    pool = found["my--vg-thin--pool"]
    assert pool.uuid == "LVM-64Q5TUeZuc9RNS22hL8Y2JNVAijzndvdaQgEL1OTFJ81r5BZ1uY6046xDcO7Eoyc-pool"
    assert (pool.number, pool.read_only) == ("254:9", True)
    assert not found["nothing"].has_table


def test_names_and_uuids_may_hold_the_separator():
    rows = parse_info((DATA / "dmsetup-info-odd.txt").read_text())
    odd = next(row for row in rows if row.name == "a|b")
    assert (odd.number, odd.uuid) == ("254:8", "u|v")
    assert [row.name for row in rows if row.suspended] == ["susp"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2 dependencies\t: (7, 0) (7, 1)\n", ("7:0", "7:1")),
        ("2 dependencies  : (254:3) (254:2)", ("254:3", "254:2")),
        ("docker-98:32-8193-pool: 1 dependencies\t: (254, 0)", ("254:0",)),
        ("0 dependencies\t:\n", ()),
    ],
)
def test_dependencies(line, expected):
    assert parse_deps(line) == expected


numbers = st.integers(0, 2**64)


@st.composite
def pool_statuses(draw):
    return ThinPoolStatus(
        *draw(st.tuples(*[numbers] * 5)),
        held_metadata_root=draw(st.none() | numbers),
        mode=draw(st.sampled_from(["rw", "ro", "out_of_data_space"])),
        discard_passdown=draw(st.booleans()),
        when_full=draw(st.sampled_from(["error", "queue"])),
        needs_check=draw(st.booleans()),
        metadata_low_water_blocks=draw(numbers),
    )


def as_kernel(status: ThinPoolStatus) -> str:
    """As dm-thin.c, pool_status() writes it."""
    held = "-" if status.held_metadata_root is None else status.held_metadata_root
    return (
        f"0 8 thin-pool {status.transaction_id} "
        f"{status.used_metadata_blocks}/{status.total_metadata_blocks} "
        f"{status.used_data_blocks}/{status.total_data_blocks} {held} {status.mode} "
        f"{'' if status.discard_passdown else 'no_'}discard_passdown "
        f"{status.when_full}_if_no_space {'needs_check' if status.needs_check else '-'} "
        f"{status.metadata_low_water_blocks} "
    )


@given(pool_statuses())
@settings(deadline=None)
def test_any_pool_status_is_read_back(status):
    assert parse_status(as_kernel(status)) == status


@given(st.dictionaries(st.from_regex(r"[!-~]([ -~]*[!-9;-~])?", fullmatch=True), pool_statuses()))
@settings(deadline=None, max_examples=50)
def test_any_listing_is_read_back_whatever_the_names(statuses):
    names = {name: one for name, one in statuses.items() if ": " not in name}
    text = "".join(f"{name}: {as_kernel(status)}\n" for name, status in names.items())
    assert parse_listing(text, parse_status) == {name: [one] for name, one in names.items()}


def test_the_table_of_a_thin_device_whose_pool_has_failed():
    assert parse_table("0 2097152 thin Fail") == OtherTable(2097152, "thin", "Fail")
