"""Bundles of real hosts: what is in them, what a cut leaves, and that the host is not changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import hostkinds, prepared, richhost, world
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call, salt_calls

EXPORT, VERIFY = "dockerstorage.export", "dockerstorage.verify"
PYTHON = "/opt/salt/3008/bin/python"
PLACE = "/srv/bundles"
KILLS = 10


@contextmanager
def opened(kind: str) -> Iterator[Host]:
    """A host with objects that are hard to carry."""
    host = prepared.open_host(kind, f"rich-{kind}")
    with host.guest:
        richhost.enrich(host)
        host.guest.run(f"mkdir -p {PLACE}")
        yield host


@pytest.fixture(scope="module")
def direct() -> Iterator[Host]:
    """On devicemapper; what does not depend on the driver is tested on it alone."""
    with opened("direct") as host:
        yield host


@pytest.fixture(scope="module")
def overlay() -> Iterator[Host]:
    with opened("overlay") as host:
        yield host


@pytest.fixture(params=["direct", "overlay"])
def rich(request: pytest.FixtureRequest) -> Host:
    """Both, one after the other."""
    host: Host = request.getfixturevalue(request.param)
    return host


def run(host: Host, dest: str, *words: str) -> dict[str, Any]:
    """An export in a process of its own; the status alone if it was killed."""
    argv = [PYTHON, "/src/tests/lab/exporter.py", dest, *words]
    done = host.guest.run(argv, timeout=120, check=False)
    return json.loads(done.stdout) if done.stdout else {"status": done.status}


def manifest(host: Host, dest: str) -> dict[str, Any]:
    """What a bundle says of itself, but for what differs from one export to the next.

    With the documents of containers as they are, but for their health, which changes by itself.
    """
    found = json.loads(host.guest.run(f"cat {dest}/manifest.json").stdout)
    paths = [one["document"]["path"] for one in found["containers"]]
    texts = host.guest.run(f"cd {dest}; jq -c . {' '.join(paths)}").stdout.splitlines()
    for one, text in zip(found["containers"], texts, strict=True):
        one["document"] = json.loads(text)
        one["document"]["State"].pop("Health", None)
    return {key: value for key, value in found.items() if key not in ("id", "created_at")}


def left_behind(host: Host) -> str:
    """Devices, mounts and jobs of an export that is no more; paused containers."""
    return host.guest.run(
        """dmsetup ls | grep dockerstorage; grep dockerstorage /proc/*/mountinfo
        docker ps -q --filter status=paused; pgrep -f '[g]uardian.py'; true"""
    ).stdout


def test_a_bundle_holds_all_and_the_host_is_as_before(rich: Host) -> None:
    before = world.state(rich)
    planned, made, checked = salt_calls(
        rich.guest,
        (EXPORT, [f"{PLACE}/all"], {"test": True}),
        (EXPORT, [f"{PLACE}/all"], {"logs": True}),
        (VERIFY, [f"{PLACE}/all"], {}),
    )
    after = world.state(rich)
    for one in (*before["containers"], *after["containers"]):
        # Whoever pauses a container makes the engine forget its health, until the next check.
        one["State"].pop("Health", None)
    assert after == before
    assert left_behind(rich) == ""
    assert planned["estimated_bytes"] >= made["plain_bytes"] * 0.9
    assert (checked["valid"], checked["damaged"], checked["missing"]) == (True, [], [])
    assert (made["complete"], made["not_taken"]) == (True, [])
    assert set(made["paused_seconds"]) == {"rich", "web", "kept-web"}

    found = manifest(rich, f"{PLACE}/all")
    assert {one["id"] for one in found["images"]} == {one["Id"] for one in before["images"]}
    tags = {one["id"]: set(one["tags"]) for one in found["images"]}
    assert tags == {one["Id"]: set(one["RepoTags"] or ()) for one in before["images"]}
    layers = {layer for one in before["images"] for layer in one["RootFS"]["Layers"]}
    assert set(found["layers"]) == layers
    for layer, file in found["layers"].items():
        assert f"sha256:{file['plain_sha256']}" == layer
    names = {one["name"] for one in found["containers"]}
    assert names == {one["Name"].lstrip("/") for one in before["containers"]}
    volumes = {one["name"]: one["data"] is not None for one in found["volumes"]}
    assert volumes == {one["Name"]: not one["Options"] for one in before["volumes"]}
    own = {one["Name"] for one in before["networks"]} - {"bridge", "host", "none"}
    assert {one["name"] for one in found["networks"]} == own
    modes = rich.guest.run(f"find {PLACE}/all -printf '%y%m\\n' | sort -u").stdout.split()
    assert modes == ["d700", "f600"]
    rich_one = next(one for one in found["containers"] if one["name"] == "rich")
    logs = rich.guest.run(f"zstd -dc {PLACE}/all/{rich_one['logs'][0]['path']}").stdout
    assert '"log":"begun\\n"' in logs


def test_killed_at_ten_points_it_goes_on_and_ends_in_the_same_bundle(direct: Host) -> None:
    whole = run(direct, f"{PLACE}/whole")
    for point in range(1, KILLS + 1):
        done = whole["done_bytes"] * point // (KILLS + 1)
        assert run(direct, f"{PLACE}/cut", f"bytes={done}") == {"status": -9}
        assert direct.guest.run(f"ls {PLACE}").stdout.split().count("cut") == 0
        direct.guest.run("while pgrep -f '[g]uardian.py'; do sleep 0.2; done", timeout=40)
        assert left_behind(direct) == ""
    ended = run(direct, f"{PLACE}/cut")
    assert ended["reused"] > 10
    assert manifest(direct, f"{PLACE}/cut") == manifest(direct, f"{PLACE}/whole")
    assert salt_call(direct.guest, VERIFY, f"{PLACE}/cut")["valid"] is True
    assert direct.guest.run(f"ls -A {PLACE} | grep partial", check=False).stdout == ""


def test_a_container_goes_on_when_the_export_is_killed_while_it_is_paused(direct: Host) -> None:
    assert run(direct, f"{PLACE}/paused", "at=container rich") == {"status": -9}
    direct.guest.run("while pgrep -f '[g]uardian.py'; do sleep 0.2; done", timeout=40)
    assert direct.inspect("container", "rich")["State"]["Status"] == "running"
    assert left_behind(direct) == ""
    pauses = direct.docker("events", "--since", "60s", "--until", "0s", "--filter", "event=pause")
    assert " rich" in pauses or "name=rich" in pauses, "it was paused"


def test_a_full_disk_leaves_nothing_that_looks_whole(direct: Host) -> None:
    small = "/mnt/small"
    direct.guest.run(f"mkdir -p {small}; mount -t tmpfs -o size=12m none {small}")
    refused = salt_calls(direct.guest, (EXPORT, [f"{small}/b"], {}))[0]
    assert "free, and the bundle may need" in refused["error"]
    assert direct.guest.run(f"ls -A {small}").stdout == ""
    full = run(direct, f"{small}/b")
    assert "No space left on device" in full["error"]
    assert direct.guest.run(f"ls -A {small}").stdout.split() == [".b.partial"]
    missing = salt_calls(direct.guest, (VERIFY, [f"{small}/.b.partial"], {}))[0]
    assert "did not end" in missing["error"]
    direct.guest.run(f"mount -o remount,size=200m {small}")
    ended = run(direct, f"{small}/b")
    assert ended["reused"] > 0
    run(direct, f"{PLACE}/uncut")
    assert manifest(direct, f"{small}/b") == manifest(direct, f"{PLACE}/uncut")
    direct.guest.run(f"umount {small}")


def test_what_is_chosen_brings_what_it_needs(direct: Host) -> None:
    some, labelled, unpaused = salt_calls(
        direct.guest,
        (
            EXPORT,
            [f"{PLACE}/some"],
            {"containers": "needs-*", "volumes": ["vol-pl*"], "test": True},
        ),
        (EXPORT, [f"{PLACE}/labelled"], {"labels": ["team=a"], "test": True}),
        (EXPORT, [f"{PLACE}/loose"], {"containers": "web", "consistent": False}),
    )
    assert set(some["containers"]) == {"rich", "needs-rich"}
    assert {"lab/app:2", "lab/app:1", "lab/base:1"} <= set(some["images"])
    assert {"vol-rich", "vol-plain"} <= set(some["volumes"])
    assert set(some["networks"]) == {"net-rich", "net-second"}
    assert set(labelled["containers"]) == {"rich"}
    assert {"net-rich", "net-second"} == set(labelled["networks"])
    assert unpaused["paused_seconds"] == {}
    assert unpaused["complete"] is True


def test_bad_input_is_named_and_writes_nothing(direct: Host) -> None:
    place = f"{PLACE}/bad"
    wrong: dict[str, tuple[str, dict[str, Any]]] = {
        "dest: 'here' is no absolute path": ("here", {}),
        "there is no directory /nowhere": ("/nowhere/b", {}),
        "/srv exists already": ("/srv", {}),
        "it is no bundle": ("/srv", {"replace": True}),
        "lies below the engine's data root": ("/var/lib/docker/b", {}),
        "containers: nothing here is called 'web?'": (place, {"containers": "web?"}),
        "labels: nothing here carries 'nobody=x'": (place, {"labels": "nobody=x"}),
        "level: 20": (place, {"level": 20}),
        "logs: 'yes'": (place, {"logs": "yes"}),
    }
    calls = [(EXPORT, [dest], more) for dest, more in wrong.values()]
    for told, answer in zip(wrong, salt_calls(direct.guest, *calls), strict=True):
        assert told in answer["error"]
    assert direct.guest.run(f"ls -A {PLACE} | grep bad", check=False).stdout == ""


def test_memory_stays_flat_and_jobs_shows_the_work(direct: Host) -> None:
    direct.docker("volume", "create", "vol-large")
    folder = direct.inspect("volume", "vol-large")["Mountpoint"]
    direct.guest.run(f"head -c 300M /dev/urandom > {folder}/large", timeout=60)
    stop = "stop=volume vol-large"
    running = direct.guest.start([PYTHON, "/src/tests/lab/exporter.py", f"{PLACE}/large", stop])
    stopped = "until ps -eo stat=,args= | grep -q '^T.*[e]xporter.py'; do sleep 0.2; done"
    direct.guest.run(stopped, timeout=90)
    (job,) = salt_call(direct.guest, "dockerstorage.jobs")
    direct.guest.run("pkill -CONT -f '[e]xporter.py'")
    assert (job["operation"], job["subject"]) == ("export", f"{PLACE}/large")
    assert 0 < job["done_bytes"] <= job["total_bytes"]
    assert job["now"] == "volume vol-large"
    found = json.loads(running.wait(timeout=120).stdout)
    assert found["peak_mib"] < 200
    assert salt_call(direct.guest, "dockerstorage.jobs") == []
    direct.docker("volume", "rm", "vol-large")


def test_the_state_keeps_a_bundle_that_is_whole_and_not_too_old(direct: Host) -> None:
    place = f"{PLACE}/kept"

    def declare(**more: Any) -> dict[str, Any]:
        (found,) = salt_calls(
            direct.guest,
            ("state.single", ["dockerstorage.exported", place], {"containers": "done", **more}),
        )
        return next(iter(found.values()))

    planned = declare(test=True)
    assert (planned["result"], bool(planned["changes"])) == (None, True)
    assert direct.guest.run(f"test -e {place}", check=False).status == 1
    made, again = declare(), declare()
    assert made["result"] is True
    first = manifest(direct, place)
    assert [one["name"] for one in first["containers"]] == ["done"]
    assert (again["result"], again["changes"]) == (True, {})
    flip = f"f=$(ls {place}/layers/* | head -1); printf x | dd of=$f bs=1 seek=99 conv=notrunc"
    direct.guest.run(flip)
    mended = declare()
    assert mended["result"] is True
    assert "damaged" in mended["comment"]
    assert manifest(direct, place) == first
    older = declare(max_age=0)
    assert older["changes"]["bundle"]["old"] != older["changes"]["bundle"]["new"]


def test_a_driver_whose_layers_are_no_directories_is_read_through_the_engine(
    renewed_host: Callable[[str], Host],
) -> None:
    host = renewed_host("overlay")
    host.stop_docker()
    host.configure({**hostkinds.COMMON, "storage-driver": "vfs"})
    host.start_docker()
    host.guest.run(
        """set -e; mkdir -p /root/r/bin /root/r/old
        cp /bin/busybox /root/r/bin/sh; touch /root/r/old/f
        tar -C /root/r -c . | docker import - vfs/base:1
        printf 'FROM vfs/base:1\\nCOPY fstab /fstab\\n' | cat > /etc/Dockerfile
        docker build -q -t vfs/two:1 -f /etc/Dockerfile /etc
        docker run --net none --name one vfs/two:1 \
            sh -c 'echo new > /new; echo x >> /fstab; rm -r /old'
        mkdir -p /srv/bundles""",
        timeout=90,
    )
    made, checked = salt_calls(
        host.guest, (EXPORT, [f"{PLACE}/vfs"], {}), (VERIFY, [f"{PLACE}/vfs"], {})
    )
    assert (made["complete"], checked["valid"]) == (True, True), (made, checked)
    found = manifest(host, f"{PLACE}/vfs")
    assert {tag for one in found["images"] for tag in one["tags"]} == {"vfs/base:1", "vfs/two:1"}
    changes = f"{PLACE}/vfs/{found['containers'][0]['changes']['path']}"
    listed = host.guest.run(f"zstd -dc {changes} | tar -t").stdout.split()
    assert listed == ["./", ".wh.old", "fstab", "new"]
