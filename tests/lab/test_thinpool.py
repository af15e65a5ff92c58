"""The state and the extension of thin pools, on real LVM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.guest import Guest
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call, salt_calls

GIB = 1 << 30
MIB = 1 << 20
DISK, SECOND = "/dev/ubdc", "/dev/ubdd"
# As docker-storage-setup leaves a pool: a profile of its own, set while the pool was active.
OTHERS = r"""set -e
vgcreate -q docker /dev/ubdc
lvcreate -q -y --type thin-pool -n thinpool -L 1G --poolmetadatasize 16M -c 512K -Z n docker
lvcreate -q -y -n other -L 64M docker
mkdir -p /etc/lvm/profile
printf 'activation {
    thin_pool_autoextend_threshold=60
    thin_pool_autoextend_percent=25
}' > /etc/lvm/profile/docker--thinpool.profile
lvchange -q --metadataprofile docker--thinpool docker/thinpool
"""


@pytest.fixture(scope="module")
def shared_disks() -> Iterator[Guest]:
    with Guest("disks", disks=[2 * GIB, 2 * GIB]) as guest:
        guest.boot()
        yield guest


@pytest.fixture
def disks(shared_disks: Guest) -> Iterator[Guest]:
    """A guest with two disks on which nothing is."""
    yield shared_disks
    shared_disks.run(
        """umount /mnt; dmsetup remove --retry thin
        vgremove -q -y -ff $(vgs --noheadings -o vg_name)
        pvremove -q -y -ff /dev/ubd[cd]; wipefs -q -a /dev/ubd[cd]
        rm -f /etc/lvm/profile/docker*""",
        check=False,
    )


def declare(guest: Guest, *declarations: dict[str, Any]) -> list[dict[str, Any]]:
    """What the state returns for each, one after the other."""
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("state.single", ["dockerstorage.thinpool"], {"name": "docker/thinpool", **one})
        for one in declarations
    ]
    return [next(iter(one.values())) for one in salt_calls(guest, *calls)]


def lvm_of(guest: Guest) -> dict[str, Any]:
    """What LVM and the kernel know, and what lies on the disks."""
    shown = [
        guest.run(f"{words} --reportformat json --units b 2>/dev/null").stdout
        for words in ("pvs -o pv_name,vg_name", "vgs -o vg_name,vg_free", "lvs -ao lv_name,lv_size")
    ]
    tables = guest.run("dmsetup table; wipefs /dev/ubd[cd]; ls /etc/lvm/profile").stdout
    return {"lvm": [*map(json.loads, shown)], "tables": tables}


def pool_of(guest: Guest) -> dict[str, str]:
    columns = "lv_size,lv_metadata_size,chunk_size,lv_when_full,zero,discards,seg_monitor"
    command = (
        f"lvs --reportformat json --units b --nosuffix -o {columns},lv_profile docker/thinpool"
    )
    found: dict[str, str] = json.loads(guest.run(command).stdout)["report"][0]["lv"][0]
    return found


def low_water(guest: Guest) -> int:
    return int(guest.run("dmsetup table docker-thinpool").stdout.split()[6])


def test_created_grown_and_never_shrunk(disks: Guest) -> None:
    first = {"devices": [DISK], "size": "50%VG", "when_full": "error"}
    before = lvm_of(disks)
    planned = declare(disks, {**first, "test": True})[0]
    assert planned["result"] is None
    assert lvm_of(disks) == before

    made, again = declare(disks, first, first)
    assert made["result"] is True
    assert planned["changes"] == made["changes"]
    assert (again["result"], again["changes"]) == (True, {})
    pool = pool_of(disks)
    assert int(pool["lv_size"]) == GIB - 4 * MIB  # half of what is left of 2 GiB
    assert (pool["chunk_size"], pool["lv_when_full"], pool["zero"]) == ("524288", "error", "")
    assert pool["seg_monitor"] == "monitored"
    # dmeventd hears of the fill only if the kernel has a mark: 20 % of the blocks are left there.
    assert low_water(disks) == int(pool["lv_size"]) // 524288 * 20 // 100

    larger = {"devices": [DISK, SECOND], "size": "3G", "metadata_size": "64M"}
    before = lvm_of(disks)
    grown_test = declare(disks, {**larger, "test": True})[0]
    assert lvm_of(disks) == before
    grown, same, smaller, chunk = declare(
        disks, larger, larger, {"size": "1G"}, {"chunk_size": "64K"}
    )
    assert grown["changes"].keys() == grown_test["changes"].keys()
    assert (same["result"], same["changes"]) == (True, {})
    pool = pool_of(disks)
    assert (int(pool["lv_size"]), int(pool["lv_metadata_size"])) == (3 * GIB, 64 * MIB)
    assert low_water(disks) == 3 * GIB // 524288 * 20 // 100
    assert smaller["result"] is False
    assert "would have to shrink" in smaller["comment"]
    assert chunk["result"] is False
    assert "chunk_size of docker/thinpool is 524288 and cannot become 65536" in chunk["comment"]
    assert pool_of(disks) == pool

    # With a thin volume of LVM's own in it, the pool is in a device of another name.
    disks.run("lvcreate -y -q -n own -V 100M --thinpool docker/thinpool")
    assert "docker-thinpool-tpool" in disks.run("dmsetup ls --target thin-pool").stdout
    (beside,) = declare(disks, larger)
    assert (beside["result"], beside["changes"]) == (True, {})
    (seen,) = salt_calls(disks, ("dockerstorage.pool", ["docker-thinpool"], {}))
    assert (seen["health"], seen["data"]["total_bytes"]) == ("ok", 3 * GIB)


USED = {
    "it holds ext4": "mkfs.ext4 -q -F /dev/ubdc",
    "it is mounted on /mnt": "mkfs.ext4 -q -F /dev/ubdc; mount /dev/ubdc /mnt",
    "it holds dos": r"printf '\x55\xaa' | dd of=/dev/ubdc bs=1 seek=510 conv=notrunc",
    "it belongs to the volume group data": "vgcreate data /dev/ubdc",
    "data-home is built on it": "vgcreate data /dev/ubdc; lvcreate -y -n home -L 100M data",
}


@pytest.mark.parametrize("why", USED)
def test_a_device_that_holds_something_is_left_alone(disks: Guest, why: str) -> None:
    disks.run(USED[why])
    before = lvm_of(disks)
    wanted = {"devices": [SECOND, DISK], "size": "50%FREE"}
    forced = {**wanted, "force_devices": [DISK]}
    calls: list[dict[str, Any]] = [wanted, {**wanted, "test": True}, {**forced, "test": True}]
    refused, refused_test, forced_test = declare(disks, *calls)
    for one in (refused, refused_test):
        assert one["result"] is False
        assert f"{DISK} is not taken for the volume group docker: {why}" in one["comment"]
    in_use = "mounted" in why or "built on" in why
    assert forced_test["result"] is (False if in_use else None)
    assert lvm_of(disks) == before
    made = declare(disks, forced)[0]
    assert made["result"] is not in_use
    if in_use:
        assert lvm_of(disks) == before
    else:
        groups = disks.run("vgs --noheadings -o pv_count docker").stdout
        assert int(groups) == 2


def test_what_others_made_is_adopted(disks: Guest) -> None:
    disks.run(OTHERS)
    before = pool_of(disks)
    assert low_water(disks) == 0  # the trap: nothing would ever be extended
    wanted = {"devices": [DISK], "monitor": True}
    planned, adopted, again = declare(disks, {**wanted, "test": True}, wanted, wanted)
    assert planned["changes"] == adopted["changes"] == {"low_water_mark": {"old": 0, "new": "set"}}
    assert (again["result"], again["changes"]) == (True, {})
    assert pool_of(disks) == before
    assert low_water(disks) == 2048 * 40 // 100

    own = {"autoextend_threshold": 75, "zero": True, "discards": "nopassdown"}
    changed, taken = declare(disks, own, {"name": "docker/other", "size": "1G"})
    assert set(changed["changes"]) == {"autoextension", "low_water_mark", "zero", "discards"}
    pool = pool_of(disks)
    assert (pool["lv_profile"], pool["zero"]) == ("dockerstorage-docker-thinpool", "zero")
    profile = disks.run("cat /etc/lvm/profile/dockerstorage-docker-thinpool.profile").stdout
    assert "thin_pool_autoextend_percent=25" in profile  # was theirs, and nothing else was declared
    assert low_water(disks) == 2048 * 25 // 100
    assert taken["result"] is False
    assert "is a logical volume, and no thin pool" in taken["comment"]


def test_with_dmeventd_a_pool_grows_and_without_it_writers_fail_until_remedied(
    disks: Guest,
) -> None:
    """As declared: chunks of 512 KiB, 80 % and 20 %; a full pool fails its writers at once."""
    declared = {"devices": [DISK], "size": "256M", "metadata_size": "16M", "when_full": "error"}
    assert declare(disks, declared)[0]["result"] is True
    size = int(pool_of(disks)["lv_size"])
    write = "dd if=/dev/zero of=/dev/mapper/thin bs=512K oflag=direct conv=notrunc status=none"
    disks.run(
        f"""set -e
        dmsetup message docker-thinpool 0 'create_thin 1'
        dmsetup create thin --table '0 4194304 thin /dev/mapper/docker-thinpool 1'
        {write} count=430
        until test $(blockdev --getsize64 /dev/mapper/docker-thinpool) -gt {size}; do
            sleep 0.5; done""",
        timeout=60,
    )
    assert int(pool_of(disks)["lv_size"]) >= size * 12 // 10

    assert declare(disks, {"monitor": False})[0]["result"] is True
    full = disks.run(f"{write} count=2000", check=False)
    assert "No space left on device" in full.stderr
    policy = {"order": ["extend"], "cooldown": 0}
    pool, remedied = salt_calls(
        disks,
        ("dockerstorage.pool", ["docker-thinpool"], {}),
        ("dockerstorage.remediate", ["docker-thinpool"], policy),
    )
    assert (pool["health"], pool["when_full"]) == ("out_of_data_space", "error")
    assert [one["remedy"] for one in remedied["done"]] == ["extend"]
    assert remedied["solved"] is True
    disks.run(f"{write} count=700")
    disks.run("dmsetup remove --retry thin")


def test_bad_declarations_change_nothing(disks: Guest) -> None:
    before = lvm_of(disks)
    wrong: dict[str, dict[str, Any]] = {
        "size: 'much' is no size": {"size": "much", "devices": [DISK]},
        "size: '120%FREE'": {"size": "120%FREE", "devices": [DISK]},
        "a new pool needs a size": {"devices": [DISK]},
        "there is no volume group docker": {"size": "1G"},
        "there is no device '/dev/nope'": {"size": "1G", "devices": ["/dev/nope"]},
        "/etc/fstab is no block device": {"size": "1G", "devices": ["/etc/fstab"]},
        "are missing for docker/thinpool": {"size": "9G", "devices": [DISK]},
        "autoextend_threshold: 20": {"autoextend_threshold": 20, "devices": [DISK]},
        "when_full: 'wait' is none of error, queue": {"when_full": "wait"},
        "chunk_size: 1000": {"chunk_size": 1000},
        "is no name for LVM": {"name": "docker/thin;reboot"},
        "frobnicate": {"frobnicate": 1},
    }
    for told, answer in zip(wrong, declare(disks, *wrong.values()), strict=True):
        assert answer["result"] is False, told
        assert told in answer["comment"]
    assert lvm_of(disks) == before


def test_extended_by_size_to_a_percent_and_by_a_disk(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    before = salt_call(host.guest, "dockerstorage.pool")
    total = before["data"]["total_bytes"]
    planned, by_size, metadata, leftovers, full, small_disk = salt_calls(
        host.guest,
        ("dockerstorage.extend", [], {"size": "512M", "test": True}),
        ("dockerstorage.extend", [], {"size": "512M"}),
        ("dockerstorage.extend", ["metadata"], {"size": "32M"}),
        ("dockerstorage.extend", [], {"to_percent": 1}),
        ("dockerstorage.extend", [], {"size": "8M"}),
        ("dockerstorage.extend", [], {"size": "9G", "device": host.spare}),
    )
    assert planned["before"] == planned["after"] == before
    assert by_size["before"] == before
    assert by_size["after"]["data"]["total_bytes"] == total + 512 * MIB
    assert metadata["after"]["metadata"]["total_bytes"] == 96 * MIB
    assert leftovers["missing_bytes"] > 0
    assert leftovers["after"]["data"]["total_bytes"] == total + 512 * MIB + leftovers["grow_bytes"]
    assert "vg_free 0" in host.guest.run("echo vg_free $(vgs --noheadings --units b --nosuffix "
                                         "-o vg_free docker)").stdout  # fmt: skip
    assert f"{8 * MIB} bytes are missing" in full["error"]
    assert "bytes are missing to extend the data of docker/thinpool by" in small_disk["error"]
    assert host.guest.run("vgs --noheadings -o pv_count docker").stdout.strip() == "1"

    to_half, satisfied = salt_calls(
        host.guest,
        ("dockerstorage.extend", [], {"size": "100%FREE", "device": host.spare}),
        ("dockerstorage.extend", [], {"to_percent": 90}),
    )
    assert to_half["devices"] == [host.spare]
    assert to_half["missing_bytes"] == 0
    assert to_half["after"]["data"]["used_bytes"] == before["data"]["used_bytes"]
    assert (satisfied["grow_bytes"], satisfied["commands"]) == (0, [])
    host.docker("run", "--rm", "--net=none", "lab/base:1", "true")


def test_loop_lvm_has_nothing_to_extend_from(loop_host: Host) -> None:
    refused = salt_calls(loop_host.guest, ("dockerstorage.extend", [], {"size": "1G"}))[0]
    assert "is no thin pool of LVM" in refused["error"]
