"""A loop pool's data file gives back what nobody needs, and nothing else of it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import hostkinds, prepared
from tests.lab.hosts import Host
from tests.lab.salthost import FRONT, salt_calls

ARGV = [*FRONT, "/src/tests/lab/reclaimer.py"]
RECLAIM = "dockerstorage.reclaim"
FOLDER = "/var/lib/docker/devicemapper/devicemapper"
DATA = f"{FOLDER}/data"
#: Where the pool has mapped nothing yet: written pieces, and one that is only allocated.
LITTER = f"""
for n in $(seq 20); do
    dd if=/dev/urandom of={DATA} bs=1M count=1 seek=$((3000 + 3 * n)) conv=notrunc 2>/dev/null
done
fallocate -n -o 3500M -l 40M {DATA}
sync
"""
LITTER_BYTES = 60 << 20
#: Containers that end at once, so that a stop is short; and files to find again.
KEEPER = """
docker rm -f $(docker ps -aq) >/dev/null
head -c 30000000 /dev/urandom > /root/mine
docker run -d --name keeper --stop-signal KILL lab/base:1 sleep 1000000
docker exec -i keeper sh -c 'cat > /mine' < /root/mine
sync
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    host = prepared.open_host("loop", "reclaim")
    with host.guest:
        host.guest.run(KEEPER, timeout=60)
        yield host


def reclaim(host: Host, *words: str) -> Any:
    """A reclaim in a process of its own: its result, or that it was killed."""
    done = host.guest.run([*ARGV, *words], timeout=120, check=False)
    if not done.stdout:
        assert done.status in (-9, 137), done.stderr
        return "killed"
    return json.loads(done.stdout)


def litter(host: Host) -> None:
    host.guest.run(LITTER)


def on_disk(host: Host) -> int:
    return int(host.guest.run(f"stat -c %b {DATA}").stdout) * 512


def assert_well(host: Host) -> None:
    """The container that ran runs, its file is whole, and nothing is left of the hold."""
    assert host.docker("inspect", "-f", "{{.State.Status}}", "keeper") == "running"
    # From the pool, not from memory.
    host.guest.run(
        "sync; echo 3 > /proc/sys/vm/drop_caches; docker exec keeper cat /mine | cmp - /root/mine"
    )
    left = "ls /run/systemd/system/docker.*.d /run/dockerstorage/engine-stopped.json 2>/dev/null"
    assert "dockerstorage" not in host.guest.run(left, check=False).stdout


def test_with_the_engine_stopped_for_it_and_held_off(host: Host) -> None:
    litter(host)
    host.guest.run("docker run -d --rm --name passing lab/base:1 sleep 1000000")
    tested, refused, passing = salt_calls(
        host.guest,
        (RECLAIM, [], {"test": True}),
        (RECLAIM, [], {}),
        (RECLAIM, [], {"stop_docker": True}),
    )
    assert tested["freed_bytes"] >= LITTER_BYTES
    assert "say stop_docker=True" in refused["error"]
    assert "would remove passing" in passing["error"]
    host.guest.run("docker rm -f passing; sync")
    tested = reclaim(host, "test")
    before = on_disk(host)
    running = host.guest.start([*ARGV, "stop_docker", "act=5", "how=stop"])
    host.guest.run("until pgrep -r T -f reclaimer.py; do sleep 0.1; done", timeout=60)
    host.guest.run("! systemctl start docker.service; ! systemctl is-active docker.service")
    assert host.guest.run("dmsetup ls; losetup -l -n").stdout.split() in (
        [],
        ["No", "devices", "found"],
    )
    host.guest.run("pkill -CONT -f reclaimer.py")
    done = json.loads(running.wait(120).stdout)
    # Containers write when they end: some blocks are others than a moment before.
    assert abs(done["freed_bytes"] - tested["freed_bytes"]) < 1 << 20
    assert done["allocated_bytes_after"] == done["allocated_bytes_predicted"]
    assert done["not_running"] == []
    assert before - on_disk(host) > LITTER_BYTES
    assert_well(host)
    again = reclaim(host, "stop_docker")
    assert (again["freed_bytes"], again["stopped_seconds"]) == (0, None)


def test_killed_while_it_makes_holes(host: Host) -> None:
    litter(host)
    assert reclaim(host, "stop_docker", "act=7") == "killed"
    done = reclaim(host, "stop_docker")
    # Six holes were made by then.
    assert LITTER_BYTES - (9 << 20) < done["freed_bytes"] < LITTER_BYTES
    assert done["not_running"] == []
    assert_well(host)


def test_its_power_is_cut_while_it_makes_holes(host: Host) -> None:
    litter(host)
    host.guest.start([*ARGV, "stop_docker", "act=7", "how=stop"])
    host.guest.run("until pgrep -r T -f reclaimer.py; do sleep 0.1; done", timeout=60)
    host.guest.cut_power()
    host.guest.boot()
    assert reclaim(host, "test")["freed_bytes"] >= LITTER_BYTES - (9 << 20)
    host.start_docker()
    host.docker("start", "keeper")  # it has no restart policy
    assert_well(host)
    assert reclaim(host, "stop_docker")["freed_bytes"] >= LITTER_BYTES - (9 << 20)
    assert_well(host)


def test_a_trim_needs_no_stop(host: Host) -> None:
    host.guest.run(
        """docker exec -i keeper busybox sh -c 'cat > /gone; sync' < /root/mine
        docker exec keeper busybox rm /gone; sync"""
    )
    pid = host.guest.run("cat /run/docker.pid").stdout
    done = reclaim(host, "trim")
    (one,) = done["trimmed"]
    assert (one["container"], one["why_not"]) == ("keeper", None)
    assert one["free_bytes"] > one["freed_bytes"] > 28_000_000
    assert done["freed_bytes"] > 28_000_000
    assert host.guest.run("cat /run/docker.pid").stdout == pid
    assert_well(host)


def test_of_a_stopped_engine_exactly_what_was_told_and_all_mapped_bytes_stay(host: Host) -> None:
    host.stop_docker()
    litter(host)
    mapped, before = reclaim(host, "mapped"), on_disk(host)
    tested = reclaim(host, "test")
    assert (reclaim(host, "mapped"), on_disk(host)) == (mapped, before)
    done = reclaim(host)
    assert reclaim(host, "mapped") == mapped
    assert done["freed_bytes"] == tested["freed_bytes"] >= LITTER_BYTES
    assert before - on_disk(host) == done["freed_bytes"]
    assert done["allocated_bytes_after"] == done["allocated_bytes_predicted"]
    assert done["stopped_seconds"] is None
    assert host.guest.run("systemctl is-active docker", check=False).stdout.strip() == "inactive"


def test_damaged_metadata_is_refused_and_what_others_have_open(host: Host) -> None:
    litter(host)
    sums = f"cd {FOLDER}; stat -c %b data; sha256sum metadata"
    with_reader = f"exec 5<{DATA}; {' '.join(ARGV)}"
    assert "open elsewhere" in json.loads(host.guest.run(with_reader).stdout)["error"]
    host.guest.run(
        f"""cd {FOLDER}; cp --sparse=always metadata /var/tmp/whole
        root=$(od -An -t u8 -j 320 -N 8 metadata)
        dd if=/dev/urandom of=metadata bs=4096 count=1 seek=$((root)) conv=notrunc"""
    )
    before = host.guest.run(sums).stdout
    for words in ((), ("test",), ("stop_docker",)):
        assert "is damaged" in reclaim(host, *words)["error"]
    assert host.guest.run(sums).stdout == before
    host.guest.run(f"cp --sparse=always /var/tmp/whole {FOLDER}/metadata")


def test_a_store_that_the_engine_does_not_serve_needs_no_stop(host: Host) -> None:
    settings = json.loads(host.guest.run("cat /etc/docker/daemon.json").stdout)
    host.configure(hostkinds.OVERLAY_SETTINGS)
    host.start_docker()
    pid = host.guest.run("cat /run/docker.pid").stdout
    tested, done = reclaim(host, "test"), reclaim(host)
    assert done["freed_bytes"] == tested["freed_bytes"] >= LITTER_BYTES
    assert host.guest.run("cat /run/docker.pid").stdout == pid
    host.stop_docker()
    host.configure(settings)
    host.start_docker()
    host.docker("start", "keeper")
    assert_well(host)


def test_other_pools_are_refused() -> None:
    host = prepared.open_host("direct", "reclaim-direct")
    with host.guest:
        for words in (("test",), ("stop_docker",)):
            assert "is not loop-lvm" in reclaim(host, *words)["error"]
