"""A devicemapper host's bundle put back: on that host emptied, and on overlay2 with Docker 26."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import prepared, richhost, world
from tests.lab.hosts import Host
from tests.lab.imported import WIPE, comparable, differing, settle, without_engine_files
from tests.lab.salthost import FRONT, salt_call, salt_calls

IMPORT = "dockerstorage.import"
PYTHON = "/opt/salt/3008/bin/python"
BUNDLE = "/srv/bundle"

#: A link, which only the default bridge has; a volume that is meant to be empty where the image has
#: files; a container that ran on a network and was stopped.
MORE = """set -e
docker create --name target lab/base:1 >/dev/null
docker create --name linked --link target:friend lab/base:1 >/dev/null
docker volume create vol-empty >/dev/null
docker create --name emptied --net none -v vol-empty:/bin lab/base:1 sh >/dev/null
empty=$(docker volume inspect -f '{{.Mountpoint}}' vol-empty)
rm -r $empty/*; chown 5:6 $empty; chmod 750 $empty; touch -d @1500000000.123456789 $empty
docker commit -c 'LABEL step=two' done lab/committed:1 >/dev/null
"""
#: The host was emptied: only what the engine makes itself is left.
EMPTY: dict[str, set[str]] = {
    "container": set(), "image": set(), "volume": set(), "network": {"bridge", "host", "none"},
}  # fmt: skip


@dataclass
class Source:
    """A host that was exported, as it was before."""

    host: Host
    state: dict[str, list[dict[str, Any]]]
    volumes: dict[str, dict[str, Any]]
    rich: dict[str, Any]
    archive: bytes


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    """A devicemapper host that was exported and then emptied."""
    host = prepared.open_host("direct", "source")
    with host.guest:
        richhost.enrich(host)
        host.guest.run(MORE)
        state = world.state(host)
        volumes = {name: richhost.volume(host, name) for name in ("vol-rich", "vol-empty")}
        rich = richhost.container(host, "rich")
        made = salt_call(host.guest, "dockerstorage.export", BUNDLE, logs=True)
        assert made["complete"]
        host.guest.run("tar -C /srv -cf /srv/bundle.tar bundle")
        archive = host.guest.pull("/srv/bundle.tar")
        host.guest.run(WIPE, timeout=120)
        assert world.names(host) == EMPTY
        yield Source(host, state, volumes, rich, archive)


@pytest.fixture(scope="module")
def target(source: Source) -> Iterator[Host]:
    """A host with overlay2 and Docker 26 that has objects of the same names, and the bundle."""
    host = prepared.open_host("newer", "target")
    with host.guest:
        host.guest.push("/srv/bundle.tar", source.archive)
        host.guest.run("tar -C /srv -xf /srv/bundle.tar")
        yield host


def test_everything_comes_back_on_the_emptied_host(source: Source) -> None:
    host = source.host
    planned, done, again = salt_calls(
        host.guest,
        (IMPORT, [BUNDLE], {"test": True}),
        (IMPORT, [BUNDLE], {"start": True}),
        (IMPORT, [BUNDLE], {"start": True}),
    )
    assert {one["action"] for one in planned["plan"]} == {"create"}
    assert done["plan"] == planned["plan"]
    assert done["skipped"] == done["not_started"] == again["imported"] == again["started"] == []
    assert {one["action"] for one in again["plan"]} == {"exists"}
    assert set(done["started"]) == {"web", "kept-web", "rich"}
    # Nothing is different but what the engine names by ids.
    assert {one["what"] for one in done["different"]} <= {
        "its host name was made by the engine, and is made anew"
    }

    after = world.state(host)
    assert differing(settle(comparable(after)), settle(comparable(source.state))) == []
    for name, tree in source.volumes.items():
        assert richhost.volume(host, name) == tree, name
    assert without_engine_files(richhost.container(host, "rich")) == without_engine_files(
        source.rich
    )
    assert host.docker("logs", "rich") == "begun\nbegun"
    scratch = "docker start needs-rich; docker exec needs-rich cat /scratch/file /data/rich/plain"
    assert "kept" in host.guest.run(f"{scratch} | head -c 4").stdout
    # The engine itself finds the same changes, and the same files.
    diff = host.docker("diff", "rich").splitlines()
    assert {"D /a", "D /bin/sync", "D /b", "C /tmp", "A /b2/b"} <= set(diff)
    left = host.guest.run("ls /dev/mapper; find /var/lib/docker/volumes -name '*dockerstorage-*'")
    assert "dockerstorage-new" not in left.stdout
    assert "dockerstorage-old" not in left.stdout


SHARED = """
import subprocess, sys
from dockerstorage_lib import gather
from dockerstorage_lib.adapters import mounts
from dockerstorage_lib.adapters.engine import Engine
site = gather.read_site(Engine().info())
def write():
    with mounts.container_tree(site, sys.argv[1], write=True) as tree:
        (tree.path / "first").write_text("1")
        subprocess.run(["docker", "cp", "/etc/hostname", f"{sys.argv[1]}:/second"], check=True)
        assert (tree.path / "second").exists(), "another superblock"
        (tree.path / "third").write_text("3")
mounts.run_private(write, lambda: None)
"""


def test_the_engine_may_write_to_a_container_while_its_files_are_put_back(source: Source) -> None:
    guest = source.host.guest
    assert "error" not in run(source.host, only="image:lab/base:1")
    id_ = source.host.docker("create", "lab/base:1")
    before = guest.run("ls /dev/mapper").stdout
    guest.run([PYTHON, "-c", SHARED, id_])
    assert guest.run("ls /dev/mapper").stdout == before
    listed = guest.run(f"docker export {id_} | tar -t; docker rm {id_}").stdout.splitlines()
    assert {"first", "second", "third"} <= set(listed)


def run(host: Host, deadly: str = "", bundle: str = BUNDLE, **arguments: Any) -> dict[str, Any]:
    """An import in a process of its own; the status alone if it was killed."""
    argv = [*FRONT, "/src/tests/lab/importer.py", bundle, json.dumps(arguments)]
    done = host.guest.run([*argv, *filter(None, [deadly])], timeout=180, check=False)
    return json.loads(done.stdout) if done.stdout else {"status": done.status, "e": done.stderr}


def test_what_cannot_be_imported_changes_nothing(target: Host) -> None:
    before = world.state(target)
    target.guest.run(
        f"""cp -r {BUNDLE} /srv/flipped; cd /srv/flipped/volumes
        printf X | dd of=vol-rich.tar.zst bs=1 seek=500 conv=notrunc status=none
        cp -r {BUNDLE} /srv/hostile; cd /srv/hostile
        sed -i 's/"vol-rich"/"..\\/..\\/vol-rich"/' manifest.json"""
    )
    refused = run(target)["error"]
    assert "nothing was changed" in refused
    for text in (
        "container web: a container web is here",
        "volume vol-used: a volume vol-used is here, and container web runs with it",
        "the tag lab/app:1 points to another image here",
        "on_conflict=skip",
    ):
        assert text in refused
    taken = run(target, only="volume:vol-used", on_conflict="replace")["error"]
    assert "container web runs with it" in taken
    assert "vol-rich" in run(target, bundle="/srv/flipped", only="volume:vol-rich")["error"]
    assert "manifest.json" in run(target, bundle="/srv/hostile")["error"]
    assert "nothing called 'no*'" in run(target, only="no*")["error"]
    assert world.state(target) == before
    assert target.guest.run("ls /var/lib/dockerstorage/imports", check=False).stdout == ""


#: What is imported while it is killed again and again.
PART: dict[str, Any] = {
    "only": ["rich", "needs-rich", "emptied", "linked"],
    "rename": {"container:rich": "richer", "volume:vol-rich": "vol-richer"},
    "on_conflict": "skip",
    "start": True,
}


def test_killed_again_and_again_it_goes_on_to_the_same_end(source: Source, target: Host) -> None:
    untouched = {one["Id"]: one for one in world.state(target)["containers"]}
    (second,) = [one for one in source.state["networks"] if one["Name"] == "net-second"]
    taken = second["IPAM"]["Config"][0]["Subnet"]
    target.docker("network", "create", "--subnet", taken, "taken")
    kills = [f"lines={number}" for number in (1, 3, 5, 7, 9, 11)]
    kills += ["at=container rich", "at=volume vol-rich", "lines=2"]
    for deadly in kills:
        killed = run(target, deadly, **PART)
        if "imported" in killed:
            break
        assert killed["status"] in (-9, 137), killed
        names = target.docker("ps", "-a", "--format", "{{.Names}}").splitlines()
        for name in set(names) & {"richer", "needs-rich", "emptied", "linked"}:
            assert target.inspect("container", name)["State"]["Status"] == "created"
    ended = run(target, **PART)
    assert "error" not in ended, ended
    names = target.docker("ps", "-a", "--format", "{{.Names}}").splitlines()
    assert not [name for name in names if name.startswith("dockerstorage")]
    if "richer" not in ended["started"]:  # it was made in a run that was killed later
        target.docker("start", "richer")
    assert richhost.volume(target, "vol-richer") == source.volumes["vol-rich"]
    assert richhost.volume(target, "vol-empty") == source.volumes["vol-empty"]
    assert without_engine_files(richhost.container(target, "richer")) == without_engine_files(
        source.rich
    )
    seen = {one["Id"]: one for one in world.state(target)["containers"]}
    assert {id_: seen[id_] for id_ in untouched} == untouched

    richer, needs = target.inspect("container", "richer"), target.inspect("container", "needs-rich")
    assert needs["HostConfig"]["NetworkMode"] == f"container:{richer['Id']}"
    assert needs["HostConfig"]["VolumesFrom"] == ["richer"]
    assert "vol-richer:/data" in richer["HostConfig"]["Binds"]
    assert target.inspect("container", "linked")["HostConfig"]["Links"] == [
        "/target:/linked/friend"
    ]
    # Its addresses are another network's, so it got others.
    got = target.inspect("network", "net-second")["IPAM"]["Config"][0]["Subnet"]
    assert got != taken
    assert richer["NetworkSettings"]["Networks"]["net-rich"]["IPAddress"] == "172.31.5.7"
    # Its tag points to another image here, so it is known by its id.
    assert richer["Image"] == richer["Config"]["Image"]
    again = run(target, **PART)
    assert again["imported"] == []


def test_replaced_is_what_is_named_and_nothing_else(target: Host) -> None:
    before = {one["Name"]: one["Id"] for one in world.state(target)["containers"]}
    target.guest.run("touch $(docker volume inspect -f '{{.Mountpoint}}' vol-kept)/old")
    done = run(target, only=["container:kept-done"], on_conflict="replace")
    assert "error" not in done, done
    after = {one["Name"]: one["Id"] for one in world.state(target)["containers"]}
    assert after.keys() == before.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"/kept-done"}
    assert target.guest.run("ls -A /var/lib/docker/volumes/vol-kept/_data").stdout == ""
    assert target.docker("start", "-a", "kept-done") == ""
    assert run(target, only=["container:kept-done"])["imported"] == []
