"""Each thing that is wrong has its code, and a healthy host has none."""

from dataclasses import replace
from pathlib import Path

import pytest

from dockerstorage_lib.adapters.store import HiddenStore
from dockerstorage_lib.devmapper import FailedTarget, parse_status, parse_table
from dockerstorage_lib.findings import HEALTH, find_all
from dockerstorage_lib.gather import Site
from dockerstorage_lib.levels import level
from dockerstorage_lib.lvm import Autoextension, parse_pools
from dockerstorage_lib.poolview import (
    Pool,
    as_dict,
    configured_pools,
    configured_root,
    figures,
)
from dockerstorage_lib.report import Sight

VOLUME = parse_pools((Path(__file__).parent / "data" / "lvs-full.json").read_text())[0]
STATUS = parse_status(
    "0 204800 thin-pool 1 111/1024 100/400 - rw no_discard_passdown queue_if_no_space - 256"
)
TABLE = parse_table("0 204800 thin-pool 254:0 254:1 1024 96 1 error_if_no_space")
POOL = Pool("vg-pool", "direct-lvm", STATUS, TABLE, VOLUME, autoextension=Autoextension(80, 20))
SITE = Site("/var/lib/docker", "devicemapper", "vg-pool")
INFO = {
    "DriverStatus": [
        ["Deferred Removal Enabled", "true"],
        ["Deferred Deletion Enabled", "true"],
        ["Udev Sync Supported", "true"],
        ["odd"],
    ]
}


def codes(pool=POOL, **more):
    return [found.code for found in find_all(Sight(SITE, **({"info": INFO, "pool": pool} | more)))]


def pool_with(**status):
    return replace(POOL, status=replace(STATUS, **status))


def test_a_healthy_host_has_no_findings():
    assert codes() == []
    assert codes(pool=None) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"mode": "ro"}, "pool_read_only"),
        ({"mode": "ro", "needs_check": True}, "pool_needs_check"),
        ({"mode": "out_of_data_space"}, "pool_out_of_data_space"),
        ({"held_metadata_root": 48}, "metadata_snapshot_held"),
        ({"used_data_blocks": 280}, "pool_data_warning"),
        ({"used_data_blocks": 320}, "pool_data_critical"),
        ({"used_data_blocks": 360}, "pool_data_emergency"),
    ],
)
def test_a_pool_in_trouble(status, code):
    assert codes(pool_with(**status)) == [code]


def test_metadata_that_fills_up_first():
    assert codes(pool_with(used_metadata_blocks=800)) == [
        "pool_metadata_warning",
        "metadata_fuller_than_data",
    ]


def test_an_empty_pool_s_metadata_is_no_matter():
    assert codes(pool_with(used_data_blocks=0)) == []


def test_a_failed_pool():
    assert codes(replace(POOL, status=FailedTarget("Fail"))) == ["pool_failed"]


@pytest.mark.parametrize("health", ["failed", "needs_check", "read_only"])
def test_a_pool_that_a_prune_cannot_help_says_so(health):
    assert "Prune cannot help" in HEALTH[health].remedy


@pytest.mark.parametrize(
    ("pool", "code"),
    [
        (replace(POOL, kind="loop-lvm", volume=None), "loop_lvm"),
        (replace(POOL, autoextension=Autoextension(100, 20)), "no_autoextension"),
        (replace(POOL, autoextension=None), "no_autoextension"),
        (replace(POOL, volume=replace(VOLUME, monitored=False)), "no_autoextension"),
        (replace(POOL, table=replace(TABLE, low_water_blocks=0)), "low_water_zero"),
        (replace(POOL, volume=replace(VOLUME, vg_missing_devices=1)), "vg_devices_missing"),
    ],
)
def test_a_pool_that_is_set_up_badly(pool, code):
    assert codes(pool) == [code]


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ("Deferred Removal Enabled", "deferred_removal_off"),
        ("Deferred Deletion Enabled", "deferred_deletion_off"),
        ("Udev Sync Supported", "udev_sync_off"),
    ],
)
def test_driver_options_that_are_off(option, code):
    assert codes(info={"DriverStatus": [[option, "false"]]}) == [code]


def test_a_hidden_store_and_a_silent_engine():
    hidden = HiddenStore("/var/lib/docker/devicemapper", 7, 3)
    found = find_all(Sight(SITE, hidden=hidden, unseen=[("engine", "no socket")]))
    assert [one.code for one in found] == ["hidden_store", "engine_silent"]
    assert "7 images and 3 containers" in found[0].text
    assert "Prune nothing" in found[0].remedy


def test_what_could_not_be_seen_besides_the_engine_is_no_finding_of_it():
    assert codes(info=None, unseen=[("pool", "no dmsetup")]) == []


def test_the_worst_comes_first():
    broken = replace(pool_with(mode="ro"), autoextension=Autoextension(100, 20))
    found = codes(broken, hidden=HiddenStore("/d", 1, 1))
    assert found == ["pool_read_only", "hidden_store", "no_autoextension"]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        (0, "ok"),
        (69.99, "ok"),
        (70, "warning"),
        (80, "critical"),
        (90, "emergency"),
        (100, "emergency"),
    ],
)
def test_levels(percent, expected):
    assert level(percent) == expected


def test_figures_are_in_bytes():
    found = figures(STATUS, TABLE)
    assert found["data"] == {"used_bytes": 52428800, "total_bytes": 209715200, "percent": 25.0}
    assert found["metadata"] == {"used_bytes": 454656, "total_bytes": 4194304, "percent": 10.84}
    assert (found["level"], found["health"], found["when_full"]) == ("ok", "ok", "queue")


def test_an_old_kernel_s_status_takes_what_happens_when_full_from_the_table():
    assert figures(parse_status("0 1 thin-pool 1 1/2 3/4 - rw"), TABLE)["when_full"] == "error"


def test_a_pool_that_was_to_queue_and_fails_has_failed_writes():
    queues = parse_table("0 204800 thin-pool 254:0 254:1 1024 96 0")
    for when_full, failed in ({"queue": False, "error": True, None: False}).items():
        status = replace(STATUS, when_full=when_full)
        assert figures(status, queues)["writes_failed"] is failed
        found = codes(replace(POOL, status=status, table=queues))
        assert found == (["pool_writes_failed"] if failed else [])
    assert figures(replace(STATUS, when_full="error"), TABLE)["writes_failed"] is False


def test_a_failed_pool_has_no_figures():
    found = as_dict(replace(POOL, status=FailedTarget("Fail")))
    assert (found["health"], found["level"]) == ("failed", "emergency")
    assert (found["data"], found["metadata"]) == (None, None)


def test_the_level_is_that_of_what_is_fuller():
    assert figures(replace(STATUS, used_metadata_blocks=1000), TABLE)["level"] == "emergency"


@pytest.mark.parametrize(
    ("given", "config", "expected"),
    [
        (None, {}, "/var/lib/docker"),
        (None, {"graph": "/old"}, "/old"),
        (None, {"data-root": "/new", "graph": "/old"}, "/new"),
        ("/asked", {"data-root": "/new"}, "/asked"),
    ],
)
def test_the_data_root_is_the_one_asked_for_then_the_configured_one(given, config, expected):
    assert configured_root(given, config) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("ExecStart=/usr/bin/dockerd --data-root=/flag -H fd://", "/flag"),
        ("DOCKER_OPTS='--graph /flag'", "/flag"),
        ('OPTIONS="-g /flag"', "/flag"),
        ("ExecStart=/usr/bin/dockerd --debug-graph", "/var/lib/docker"),
    ],
)
def test_a_flag_names_the_data_root_too(flags, expected):
    assert configured_root(None, {}, flags) == expected
    assert configured_root(None, {"data-root": "/new"}, flags) == "/new"


def test_pools_are_named_in_options_and_in_flags():
    options = {"storage-opts": ["dm.basesize=1G", "dm.thinpooldev=/dev/mapper/docker-thinpool"]}
    flags = "DOCKER_STORAGE_OPTIONS='-s devicemapper --storage-opt=dm.thinpooldev=vg-docker--pool '"
    assert configured_pools(options, "") == ["docker-thinpool"]
    assert configured_pools({}, flags) == ["vg-docker--pool"]
    assert configured_pools({}, "") == []
