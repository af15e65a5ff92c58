"""Remedies for pools that fill up: pruned, extended, given a disk; and where nothing is left."""

from __future__ import annotations

import json
from typing import Any

from tests.lab import world
from tests.lab.commands import Background
from tests.lab.fill import exhaust_metadata, fill_to
from tests.lab.hosts import Host
from tests.lab.salthost import at_work, salt_call, salt_calls

REMEDIATE = "dockerstorage.remediate"

SMALL_POOL = """set -e
lvcreate -q -y --type thin-pool -n small -L 64M -c 64K -Z n docker
lvcreate -q -y -n volume -V 200M --thinpool docker/small
"""
WRITE_SMALL = r"""
tr '\0' x < /dev/zero | dd of=/dev/docker/volume bs=1M count={mib} iflag=fullblock oflag=direct &&
    touch /run/done
"""
#: Until that is done, or waits for room.
AWAIT_SMALL = """until [ -e /run/done ] ||
dmsetup status --noflush docker-small-tpool | grep -q out_of_data; do sleep 0.1; done
"""
#: How many bytes were written, and how many of them are other ones.
SMALL_BYTES = """head -c {bytes} /dev/docker/volume > /run/read
stat -c %s /run/read; tr -d x < /run/read | wc -c
"""


def write_small(host: Host, mib: int) -> Background:
    """Write so much to a volume of the small pool, from its begin on: done, or waiting for room."""
    host.guest.run("rm -f /run/done")
    writer = host.guest.start(WRITE_SMALL.format(mib=mib))
    host.guest.run(AWAIT_SMALL, timeout=60)
    return writer


def remediate(host: Host, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    return salt_calls(host.guest, *((REMEDIATE, [], one) for one in calls))


def kinds(result: dict[str, Any]) -> list[str]:
    return [one["remedy"] for one in result["done"]]


def test_pruned_then_extended_then_given_a_disk(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    litter = "dd if=/dev/zero of=/data/litter bs=1048576 count=300; sync"
    host.docker("run", "--name", "litter", "--net=none", "lab/base:1", "sh", "-c", litter)
    fill_to(host, 30)
    low = {"trigger_percent": 29, "target_percent": 20, "cooldown": 0}
    before, blocks = world.state(host), world.used_blocks(host)
    quiet, planned, forbidden = remediate(
        host, {}, {**low, "test": True}, {**low, "order": [], "test": True}
    )
    assert (quiet["done"], quiet["solved"]) == ([], True)
    assert planned["decision"].startswith("prune for data: its data is at ")
    assert "prune: not allowed; extend: not allowed" in forbidden["decision"]
    assert (world.state(host), world.used_blocks(host)) == (before, blocks)

    pruned, satisfied = remediate(host, low, low)
    assert (kinds(pruned), pruned["solved"]) == (["prune"], True)
    assert pruned["after"]["data"]["percent"] <= 24
    assert pruned["after"]["data"]["total_bytes"] == pruned["before"]["data"]["total_bytes"]
    assert (satisfied["done"], satisfied["solved"]) == ([], True)
    left = world.names(host)
    assert {"kept-web", "kept-done", "kept-new", "web"} <= left["container"]

    fill_to(host, 82)
    # Docker has nothing more that may go; then the volume group gives, then the disk.
    spare = {
        "cooldown": 0,
        "trigger_percent": 62,
        "target_percent": 50,
        "spare_devices": [host.spare],
    }
    extended, waiting = remediate(host, {"cooldown": 0}, {"cooldown": "1h", "trigger_percent": 61})
    assert (kinds(extended), extended["solved"]) == (["prune", "extend"], True)
    assert extended["after"]["data"]["percent"] <= 60
    fill_to(host, 85)
    waiting = remediate(host, {"cooldown": "1h"})[0]
    assert (waiting["done"], waiting["solved"]) == ([], False)
    assert "the last remedy was less than 3600 s ago" in waiting["decision"]
    given, nothing = remediate(
        host, spare, {"cooldown": 0, "trigger_percent": 20, "target_percent": 10}
    )
    assert kinds(given) == ["prune", "extend", "spare"]
    assert given["solved"]
    assert given["after"]["data"]["percent"] <= 60
    assert (kinds(nothing), nothing["solved"]) == (["prune", "extend"], False)
    assert "the volume group has no room that helps; spare: no disk is left" in nothing["decision"]
    host.docker("run", "--rm", "--net=none", "lab/base:1", "true")


def test_a_disk_with_content_is_not_taken(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    mkfs = "mkfs.ext4 -q -E nodiscard,lazy_itable_init=1,lazy_journal_init=1"
    host.guest.run(f"{mkfs} {host.spare}; lvcreate -q -y -n all -l 100%FREE docker")
    fill_to(host, 90)
    found = remediate(host, {"spare_devices": [host.spare, "/dev/nope"]})[0]
    assert kinds(found) == ["prune", "spare", "spare"]
    assert f"{host.spare} is not taken" in found["done"][1]["error"]
    assert "there is no device '/dev/nope'" in found["done"][2]["error"]
    assert not found["solved"]
    assert "ext4" in host.guest.run(f"wipefs {host.spare}").stdout


def test_writers_of_a_full_pool_go_on_with_their_data_whole(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    write = (
        "until [ -e /data/go ]; do sleep 0.2; done; i=0; "
        "while [ $i -lt 60 ]; do head -c 4194304 /dev/zero | busybox tr '\\0' \"$i\" > /data/$i "
        "|| echo failed $i; sync; i=$((i + 1)); done; echo written"
    )
    host.docker("run", "-d", "--name", "writer", "--net=none", "lab/base:1", "sh", "-c", write)
    fill_to(host, 99)
    host.docker("exec", "writer", "busybox", "touch", "/data/go")
    full = "until dmsetup status --noflush docker-thinpool | grep -q out_of_data; do sleep .1; done"
    host.guest.run(full, timeout=60)
    assert salt_call(host.guest, "dockerstorage.pool")["health"] == "out_of_data_space"

    # Two at once: one acts, the other looks when that is done.
    both = [host.guest.start(f"salt-call --local --out=json {REMEDIATE}") for _ in range(2)]
    ends = [one.wait(timeout=120, check=False) for one in both]
    results = [json.loads(end.stdout)["local"] for end in ends]
    acted = [one for one in results if one["done"]]
    assert len(acted) == 1
    # Extended first: writers wait for at most a minute.
    assert (kinds(acted[0]), acted[0]["solved"]) == (["extend"], True)
    assert [one["solved"] for one in results] == [True, True]

    host.guest.run("timeout 90 docker wait writer", timeout=100)
    assert host.docker("logs", "writer") == "written"
    lines = host.docker("diff", "writer").splitlines()
    assert sum(line.startswith("A /data/") for line in lines) == 61
    check = "docker cp writer:/data - | tar -xO | tr -d '0-9' | wc -c"
    assert host.guest.run(check, timeout=60).stdout.strip() == "0"
    sizes = host.guest.run("docker cp writer:/data - | tar -tv | awk '{s += $3} END {print s}'")
    assert int(sizes.stdout) == 60 * 4194304


def test_a_full_pool_waits_for_no_other_run_and_no_cooldown(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    host.guest.run(SMALL_POOL)
    mine = {"pool": "docker-small", "cooldown": "1h"}
    with at_work(host.guest, "remediate"):
        write_small(host, 55)
        refused, planned = remediate(host, mine, {**mine, "test": True})
        assert "remediate is already running, since " in refused["error"]
        assert planned["decision"].startswith("extend for data: its data is at ")
        writer = write_small(host, 70)
        grown = remediate(host, mine)[0]
        assert (kinds(grown), grown["solved"]) == (["extend"], True)
        assert "(no prune now: remediate is already running, since " in grown["decision"]
        assert writer.wait(timeout=60, check=False).status == 0
    write_small(host, 95)
    cooling = remediate(host, mine)[0]
    assert (cooling["done"], cooling["solved"]) == ([], False)
    writer = write_small(host, 130)
    again = remediate(host, mine)[0]
    assert (kinds(again), again["solved"]) == (["extend"], True)
    assert writer.wait(timeout=60, check=False).status == 0
    read = host.guest.run(SMALL_BYTES.format(bytes=130 << 20), timeout=60).stdout
    assert read.split() == [str(130 << 20), "0"]

    # Where help comes too late, that is told.
    host.guest.run("echo 1 > /sys/module/dm_thin_pool/parameters/no_space_timeout")
    assert write_small(host, 190).wait(timeout=60, check=False).status != 0
    late = remediate(host, mine)[0]
    assert (kinds(late), late["solved"]) == (["extend"], True)
    assert late["decision"].endswith("look at what the containers wrote last")
    assert (late["before"]["writes_failed"], late["after"]["writes_failed"]) == (True, False)


def test_exhausted_metadata_is_extended_and_never_pruned(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    host.guest.run(
        "lvcreate -q -y --type thin-pool -n tiny -L 700M -c 64K --poolmetadatasize 4M -Z n docker"
    )
    exhaust_metadata(host, "docker-tiny")
    before = world.state(host)
    planned, pool = salt_calls(
        host.guest,
        (REMEDIATE, ["docker-tiny"], {"test": True}),
        ("dockerstorage.pool", ["docker-tiny"], {}),
    )
    assert pool["health"] == "read_only"
    assert planned["decision"] == "extend for metadata: the pool is read_only"
    mended = salt_calls(host.guest, (REMEDIATE, ["docker-tiny"], {}))[0]
    assert (kinds(mended), mended["solved"]) == (["extend"], True)
    assert mended["after"]["health"] == "ok"
    assert mended["after"]["metadata"]["total_bytes"] > mended["before"]["metadata"]["total_bytes"]
    assert world.state(host) == before


def test_bad_policies_are_named(direct_host: Host) -> None:
    before = world.state(direct_host)
    wrong: dict[str, dict[str, Any]] = {
        "trigger_percent: 'high'": {"trigger_percent": "high"},
        "target_percent: 90 must be": {"target_percent": 90},
        "order: ['reboot']": {"order": ["reboot"]},
        "cooldown: 'soon'": {"cooldown": "soon"},
        "frobnicate: no key of the policy": {"frobnicate": 1},
        "prune: {'force': True} is no mapping": {"prune": {"force": True}},
        "min_age": {"prune": {"min_age": "old"}},
    }
    for told, answer in zip(wrong, remediate(direct_host, *wrong.values()), strict=True):
        assert told in answer["error"]
    assert world.state(direct_host) == before
