"""Stores that no engine serves any more: rescued after an upgrade, and on a kernel without dm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import hostkinds, migrated, prepared, rescued, richhost, world
from tests.lab.hosts import Host
from tests.lab.imported import WIPE, comparable, differing, settle, without_engine_files
from tests.lab.salthost import SaltFailed, salt_call, salt_calls

RESCUE, VERIFY, IMPORT = "dockerstorage.rescue", "dockerstorage.verify", "dockerstorage.import"
ROOT, BUNDLE, REFERENCE = "/var/lib/docker", "/srv/rescued", "/srv/exported"
PYTHON = "/opt/salt/3008/bin/python"
POOL_PARTS = [f"/dev/mapper/docker-thinpool_{kind}" for kind in ("tdata", "tmeta")]


@dataclass
class Lost:
    """A host whose engine was upgraded, and what was on it."""

    host: Host
    state: dict[str, list[dict[str, Any]]]
    rich: dict[str, Any]
    volume: dict[str, Any]
    #: What ``export`` wrote of it when its engine still ran, as ``rescued.objects`` tells.
    exported: dict[str, Any]


@contextmanager
def upgraded(kind: str) -> Iterator[Lost]:
    host = prepared.open_host(kind, f"lost-{kind}")
    with host.guest:
        richhost.enrich(host)
        host.guest.run("/usr/bin/python3 /src/tests/lab/oddimages.py", timeout=60)
        state, rich = world.state(host), richhost.container(host, "rich")
        volume = richhost.volume(host, "vol-rich")
        assert salt_call(host.guest, "dockerstorage.export", REFERENCE, logs=True)["complete"]
        exported = rescued.objects(host.guest, REFERENCE)
        host.stop_docker()
        host.configure(hostkinds.OVERLAY_SETTINGS)
        host.start_docker("26")
        # The trap: it starts, and shows nothing.
        assert (migrated.driver(host), host.docker("ps", "-aq"), host.docker("images", "-q")) == (
            "overlay2", "", "",
        )  # fmt: skip
        yield Lost(host, state, rich, volume, exported)


@pytest.fixture(scope="module")
def loop() -> Iterator[Lost]:
    with upgraded("loop") as lost:
        yield lost


def test_all_is_rescued_from_loop_lvm_and_not_a_bit_of_it_changes(loop: Lost) -> None:
    host = loop.host
    before = migrated.old_store(host)
    listed, done, checked = salt_calls(
        host.guest,
        (RESCUE, [ROOT], {"test": True}),
        (RESCUE, [ROOT], {"dest": BUNDLE}),
        (VERIFY, [BUNDLE], {}),
    )
    assert migrated.old_store(host) == before
    assert migrated.left_behind(host) == []
    assert host.guest.run("ls -d /srv/.[!.]* /srv/*.damaged", check=False).stdout == ""
    assert (listed["damaged"], done["damaged"], done["apart"]) == ([], [], None)
    tags = {tag for one in listed["images"] for tag in one["tags"]}
    assert tags == {tag for one in loop.state["images"] for tag in one["RepoTags"] or ()}
    assert {one["name"]: one["status"] for one in listed["containers"]} == {
        # The engine wrote down that they ended when it was stopped.
        one["Name"].lstrip("/"): one["State"]["Status"].replace("running", "exited")
        for one in loop.state["containers"]
    }
    assert "container rich (exited)" in "\n".join(listed["summary"])
    assert (done["complete"], checked["valid"], checked["missing"]) == (True, True, [])
    assert rescued.objects(host.guest, BUNDLE) == loop.exported


def test_it_is_rescued_by_a_kernel_without_device_mapper(loop: Lost, tmp_path: Path) -> None:
    """From the disk of the host, which is off: on this machine."""
    loop.host.stop_docker()
    loop.host.guest.poweroff()
    point = tmp_path / "disk"
    point.mkdir()
    with rescued.mounted(loop.host.guest.disk_path("/dev/ubdc"), point):
        done = rescued.rescue(point, tmp_path / "bundle")
    loop.host.guest.boot()
    loop.host.start_docker("26")
    assert done["complete"]
    assert rescued.bundle(done) == loop.exported


def assert_contents_came_back(lost: Lost, host: Host, done: dict[str, Any]) -> None:
    """What ran before the upgrade is started by hand: it had ended when the engine was stopped."""
    assert done["not_started"] == []
    host.docker("start", "rich", "web", "kept-web", "odd")
    here, was = richhost.container(host, "rich"), lost.rich
    assert without_engine_files(here) == without_engine_files(was)
    assert richhost.volume(host, "vol-rich") == lost.volume
    assert host.docker("exec", "odd", "cat", "/own") == "in the container"
    tags = {one["Id"]: set(one["RepoTags"] or ()) for one in world.state(host)["images"]}
    assert tags == {one["Id"]: set(one["RepoTags"] or ()) for one in lost.state["images"]}


def test_it_comes_back_on_the_upgraded_host(loop: Lost) -> None:
    # Its volumes and networks never were out of sight.
    done = salt_call(loop.host.guest, IMPORT, BUNDLE, on_conflict="skip")
    assert {one["kind"] for one in done["skipped"]} == {"volume", "network"}
    assert_contents_came_back(loop, loop.host, done)


def test_it_comes_back_on_another_host_with_the_old_engine(loop: Lost) -> None:
    loop.host.guest.run("tar -C /srv -cf /srv/rescued.tar rescued")
    archive = loop.host.guest.pull("/srv/rescued.tar")
    host = prepared.open_host("overlay", "rescued-overlay")
    with host.guest:
        host.guest.run(WIPE, timeout=120)
        host.guest.push("/srv/rescued.tar", archive)
        host.guest.run("tar -C /srv -xf /srv/rescued.tar")
        assert_contents_came_back(loop, host, salt_call(host.guest, IMPORT, BUNDLE))
        now, before = (settle(comparable(state)) for state in (world.state(host), loop.state))
        for name, one in (*now.items(), *before.items()):
            if name.startswith("images"):
                # An engine counts a layer that it loads another way than one that it commits.
                one["Size"] = one["VirtualSize"] = None
        assert differing(now, before) == []


def test_all_is_rescued_from_direct_lvm_active_or_not_or_as_image_files() -> None:
    with upgraded("direct") as lost:
        host = lost.host
        with pytest.raises(SaltFailed, match=r"pool=<vg>/<pool> \(here: docker/thinpool\)"):
            salt_call(host.guest, RESCUE, ROOT, test=True)
        before = rescued.digests(host.guest, POOL_PARTS)
        assert salt_call(host.guest, RESCUE, ROOT, dest=BUNDLE, pool="docker/thinpool")["complete"]
        assert rescued.objects(host.guest, BUNDLE) == lost.exported
        host.guest.run("lvchange -an docker/thinpool")
        again = salt_call(host.guest, RESCUE, ROOT, dest=f"{BUNDLE}-2", pool="docker/thinpool")
        assert again["complete"]
        assert rescued.objects(host.guest, f"{BUNDLE}-2") == lost.exported
        assert host.guest.run("ls /dev/mapper").stdout.split() == ["control"]
        for kind in ("tdata", "tmeta"):
            host.guest.run(f"lvchange -y -ay docker/thinpool_{kind}")
        assert rescued.digests(host.guest, POOL_PARTS) == before
        files = {"data": "/var/lib/docker/d.img", "metadata": "/var/lib/docker/m.img"}
        for device, file in zip(POOL_PARTS, files.values(), strict=True):
            host.guest.run(f"dd if={device} of={file} bs=1M conv=sparse", timeout=120)
        third = salt_call(host.guest, RESCUE, ROOT, dest=f"{BUNDLE}-3", pool=files)
        assert third["complete"]
        assert rescued.objects(host.guest, f"{BUNDLE}-3") == lost.exported


def test_what_was_written_before_a_loss_of_power_is_rescued() -> None:
    host = prepared.open_host("loop", "rescue-cut")
    with host.guest:
        program = f"PYTHONPATH=/src/_utils:/src {PYTHON} /src/tests/lab/rescuer.py {ROOT} {BUNDLE}"
        host.docker("exec", "kept-web", "sh", "-c", "echo on disk > /written; sync")
        in_use = json.loads(host.guest.run(program).stdout)["error"]
        assert "is in use" in in_use
        host.guest.cut_power()
        host.guest.boot()
        before = migrated.old_store(host)
        done = json.loads(host.guest.run(program, timeout=60).stdout)
        assert migrated.old_store(host) == before
        assert (done["complete"], done["damaged"]) == (True, [])
        # The log of its file system had to be replayed: nothing had been written in its place yet.
        (one,) = [one["id"] for one in done["containers"] if one["name"] == "kept-web"]
        unpack = f"zstd -dc {BUNDLE}/containers/{one}.tar.zst | tar -xO written"
        assert host.guest.run(unpack).stdout == "on disk\n"
