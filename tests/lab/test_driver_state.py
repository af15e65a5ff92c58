"""The state of the storage driver: on a host that Docker never ran on, an empty and a full one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import migrated, world
from tests.lab.errors import CommandFailed
from tests.lab.guest import Guest
from tests.lab.hosts import DAEMON_JSON, POOL_DEVICE, Host
from tests.lab.salthost import RELEASES, salt_calls

GIB = 1 << 30
POOL = "docker/thinpool"
DM = [f"dm.thinpooldev={POOL_DEVICE}", "dm.basesize=1G", "dm.use_deferred_removal=true"]
#: As an operator writes it: the driver's state needs the pool's.
STORAGE = f"""
{POOL}:
  dockerstorage.thinpool:
    - devices: [/dev/ubdc]
    - size: 80%VG
devicemapper:
  dockerstorage.driver:
    - options: {DM}
    - require:
      - dockerstorage: {POOL}
"""
IMAGE = """set -e
mkdir -p root/bin && cp /usr/bin/busybox root/bin && ln -s busybox root/bin/sh
tar -C root -c . | docker import -c 'CMD ["/bin/busybox", "sleep", "1000000"]' - lab/small:1
docker run -d --net=none --name runs lab/small:1
docker run --net=none --name ended lab/small:1 /bin/busybox true
docker volume create vol-own
"""

#: A change of options, killed when the engine is stopped and the files are written.
KILLED = """
import json, os, signal, sys
from dockerstorage_lib import driverapply, engine_restart
from dockerstorage_lib.adapters.engine_import import ImportEngine
engine_restart.start = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
engine = lambda seconds: ImportEngine(timeout_seconds=seconds)
driverapply.run(engine, None, "devicemapper", json.loads(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def new_host() -> Iterator[Host]:
    """A host on which Docker never ran, with a disk on which nothing is."""
    with Guest("declared", disks=[3 * GIB]) as guest:
        guest.boot()
        guest.push("/srv/salt/storage.sls", STORAGE)
        guest.push("/etc/salt/minion", json.dumps({"file_roots": {"base": ["/srv/salt"]}}))
        yield Host(guest, "declared")


@pytest.fixture
def pool_host(new_host: Host) -> Host:
    """The same with both states applied, and Docker running."""
    if "thinpool" not in new_host.guest.run(f"cat {DAEMON_JSON}", check=False).stdout:
        apply(new_host, False)
        new_host.start_docker()
    return new_host


def declare(host: Host, *declarations: dict[str, Any]) -> list[dict[str, Any]]:
    """What the state returns for each, one after the other."""
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("state.single", ["dockerstorage.driver"], one) for one in declarations
    ]
    found = salt_calls(host.guest, *calls, seconds_each=120)
    return [next(iter(one.values())) for one in found]


def apply(host: Host, *tests: bool) -> list[list[dict[str, Any]]]:
    """What both states return from their sls, once for each: in test mode, or not."""
    calls: list[tuple[str, list[Any], dict[str, Any]]] = [
        ("state.apply", ["storage"], {"test": test}) for test in tests
    ]
    found = salt_calls(host.guest, *calls, seconds_each=120)
    return [sorted(one.values(), key=lambda state: int(state["__run_num__"])) for one in found]


def running(host: Host) -> str:
    return host.guest.run("systemctl show -P InvocationID docker; cat " + DAEMON_JSON).stdout


def test_from_before_docker_s_first_start_to_a_pool(new_host: Host) -> None:
    host = new_host
    first = {"name": "overlay2"}
    planned, made, again = declare(host, {**first, "test": True}, first, first)
    assert (planned["result"], made["result"]) == (None, True)
    assert planned["changes"] == made["changes"] == {
        "driver": {"old": None, "new": "overlay2"}, "files": [DAEMON_JSON],
    }  # fmt: skip
    assert "The engine does not run, and is not started." in made["comment"]
    assert (again["result"], again["changes"]) == (True, {})
    with pytest.raises(CommandFailed):
        host.guest.run("pidof dockerd || ls /var/lib/docker")
    host.configure({**migrated.daemon_config(host), "iptables": False})
    host.start_docker()
    assert migrated.driver(host) == "overlay2"

    before = running(host)
    ((pool, planned),) = apply(host, True)
    assert (pool["result"], planned["result"]) == (None, None)
    assert f"There is no device {POOL_DEVICE} yet." in planned["comment"]
    assert running(host) == before
    (_, made), second = apply(host, False, False)
    assert made["result"] is True
    assert made["changes"] == planned["changes"] == {
        "driver": {"old": "overlay2", "new": "devicemapper"},
        "options": {"old": [], "new": DM},
        "files": [DAEMON_JSON],
    }  # fmt: skip
    assert migrated.driver(host) == "devicemapper"
    assert "docker-thinpool" in host.docker("info")
    assert migrated.daemon_config(host) == {
        "iptables": False, "storage-driver": "devicemapper", "storage-opts": DM,
    }  # fmt: skip
    assert [(one["result"], one["changes"]) for one in second] == [(True, {}), (True, {})]


def test_what_cannot_be_leaves_the_host_as_it_was(pool_host: Host) -> None:
    host = pool_host
    before = running(host)
    wrong: dict[str, dict[str, Any]] = {
        "the nearest is overlay": {"name": "overlay3"},
        "the nearest that it knows is dm.basesize": {"options": ["dm.basesze=1G"]},
        "dm.fs is an option of devicemapper": {"name": "overlay2", "options": ["dm.fs=xfs"]},
        "there is no device /dev/mapper/nowhere": {"options": ["dm.thinpooldev=nowhere"]},
        "this host cannot run btrfs": {"name": "btrfs"},
        "migrate: 'yes' is neither": {"migrate": "yes"},
    }
    declared = [{"name": "devicemapper", **one} for one in wrong.values()]
    for told, answer in zip(wrong, declare(host, *declared), strict=True):
        assert (answer["result"], answer["changes"]) == (False, {})
        assert told in answer["comment"]
    assert running(host) == before

    # What neither we nor this release of dockerd check before it starts.
    (failed,) = declare(host, {"name": "devicemapper", "options": [*DM[:1], "dm.basesize=lots"]})
    assert failed["result"] is False
    assert "the configuration was put back, and the engine runs as before" in failed["comment"]
    assert "lots" in failed["comment"]  # from the daemon's log
    assert running(host).splitlines()[1:] == before.splitlines()[1:]
    assert migrated.driver(host) == "devicemapper"
    assert host.guest.run("ls /var/lib/dockerstorage").stdout.count("driver-change") == 0


def test_with_containers_other_options_are_a_restart_and_another_pool_is_not(
    pool_host: Host,
) -> None:
    host = pool_host
    host.guest.run(IMAGE, timeout=60)
    seen = world.names(host)
    more = {"name": "devicemapper", "options": [*DM, "dm.min_free_space=5%"]}
    argv = [f"/opt/salt/{RELEASES[0]}/bin/python", "-c", KILLED, json.dumps(more["options"])]
    assert host.guest.run(argv, timeout=90, check=False).status == -9
    assert migrated.daemon_config(host)["storage-opts"] == more["options"]
    planned, made, again, less = declare(
        host, {**more, "test": True}, more, more, {"name": "devicemapper", "options": DM}
    )
    for one in (planned, made):
        assert "A change that was cut" in one["comment"]
        assert one["changes"]["options"] == {"old": DM, "new": more["options"]}
    assert (planned["result"], made["result"], less["result"]) == (None, True, True)
    assert (again["result"], again["changes"]) == (True, {})
    assert world.names(host) == seen
    assert host.docker("ps", "--format", "{{.Names}}") == "runs"

    before = running(host)
    other, loop = declare(
        host, {"name": "vfs"}, {"name": "devicemapper", "options": ["dm.basesize=1G"]}
    )
    for answer in (other, loop):
        assert (answer["result"], answer["changes"]) == (False, {})
        assert (
            "1 image (lab/small:1), 2 containers (ended, runs), 1 volume (vol-own)"
            in (answer["comment"])
        )
    assert "an engine on vfs" in other["comment"]
    assert "devicemapper with another dm.thinpooldev" in loop["comment"]
    assert running(host) == before
    host.docker("run", "-d", "--rm", "--net=none", "--name", "passing", "lab/small:1")
    (refused,) = declare(host, more)
    assert "would remove passing" in refused["comment"]
    assert running(host) == before


def test_what_is_there_moves_only_if_it_may(fresh_direct_host: Host) -> None:
    host = fresh_direct_host
    may = {"name": "overlay2", "migrate": True}
    assert migrated.migrate(host, "run", "before=stop") == {"killed": True}
    (cut,) = declare(host, may)
    assert (cut["result"], cut["changes"]) == (False, {})
    assert "dockerstorage.migrate resume=True goes on" in cut["comment"]
    assert migrated.migrate(host, "rollback")["outcome"] == "rolled back"

    before, seen = running(host), world.names(host)
    refused, planned = declare(host, {"name": "overlay2"}, {**may, "test": True})
    assert (refused["result"], refused["changes"]) == (False, {})
    assert "dockerstorage.migrate overlay2" in refused["comment"]
    assert "kept-web" in refused["comment"]
    assert planned["result"] is None
    assert "from devicemapper to overlay2 by graft" in planned["comment"]
    assert running(host) == before

    moved, again = declare(host, may, may)
    assert moved["result"] is True, moved["comment"]
    assert moved["changes"] == planned["changes"]
    assert migrated.driver(host) == "overlay2"
    assert world.names(host) == seen
    assert (again["result"], again["changes"]) == (True, {})
    assert "waits for its commit" in again["comment"]
    (kept,) = declare(host, {"name": "overlay2", "options": ["overlay2.override_kernel_check=1"]})
    assert "no way back" in kept["comment"]
