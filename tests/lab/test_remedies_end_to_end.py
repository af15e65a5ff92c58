"""Containers fill Docker's pool, and the host helps itself: beacon, event, reactor, remedy.

One host, from one remedy to the next: what may go is pruned, then the volume group gives, then the
spare disk, and when nothing is left an alert is raised and nothing is harmed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import beaconhost, prepared, salthost
from tests.lab.beaconhost import Bus, Event
from tests.lab.fill import fill_to
from tests.lab.hosts import Host

INTERVAL_SECONDS = 2
BEACON = {"beacons": {"dockerstorage": [{"interval": INTERVAL_SECONDS}]}}
MIB = 1 << 20
SEED_MIB = 16
# Appends the seed, random bytes, to /kept so many times.
WRITE = (
    "until [ -e /go ]; do sleep 0.2; done; i=0; while [ $i -lt {count} ]; do "
    "cat /seed >> /kept || echo failed $i; i=$((i + 1)); done; sync; echo written; sleep 1000000"
)
# As the host reads it: the file's whole content, against the seed.
CHECK = r"""
import sys
seed = open("/run/seed", "rb").read()
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        count = 0
        while chunk := file.read(len(seed)):
            assert chunk == seed, f"{path} differs behind {count} seeds"
            count += 1
    print(count)
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Master, minion, beacon and reactor on a populated host, whose pool is at 70 %."""
    host = prepared.open_host("direct", "filled")
    with host.guest as guest:
        guest.push("/etc/salt/master.d/reactor.conf", json.dumps(beaconhost.REACTOR))
        guest.push("/etc/salt/minion.d/beacon.conf", json.dumps(BEACON))
        policy = {"trigger_percent": 80, "target_percent": 70, "cooldown": 0}
        pillar = {"dockerstorage": {"remediate": {**policy, "spare_devices": [host.spare]}}}
        guest.push("/srv/pillar/top.sls", json.dumps({"base": {"*": ["remedies"]}}))
        guest.push("/srv/pillar/remedies.sls", json.dumps(pillar))
        guest.run(f"head -c {SEED_MIB * MIB} /dev/urandom > /run/seed")
        # So much is left in the volume group for one extension.
        guest.run("lvcreate -q -y -n others -L 3200M docker")
        fill_to(host, 70)
        salthost.start(guest)
        listener = guest.start([beaconhost.PYTHON, "-c", beaconhost.LISTEN])
        guest.run("until test -s /run/bus.jsonl; do sleep 0.2; done", timeout=60)
        yield host
        listener.kill()


@contextmanager
def unwatched(host: Host) -> Iterator[None]:
    """The minion stands still while the context lasts."""
    host.guest.run("systemctl kill --kill-whom=all -s STOP salt-minion")
    yield
    host.guest.run("systemctl kill --kill-whom=all -s CONT salt-minion")


def begin(host: Host, name: str, mib: int, protected: bool) -> None:
    """Start a container that writes so much to its own file system."""
    label = ["--label", "protected"] if protected else []
    write = WRITE.format(count=mib // SEED_MIB)
    host.docker("create", "--name", name, *label, "--net=none", "lab/base:1", "sh", "-c", write)
    host.docker("cp", "/run/seed", f"{name}:/seed")
    host.docker("start", name)
    host.docker("exec", name, "mkdir", "/go")


def written(host: Host, name: str) -> None:
    """Wait until it has written all, without an error."""
    wait = f"until docker logs {name} 2>&1 | grep -q -e written -e failed; do sleep 0.5; done"
    host.guest.run(wait, timeout=90)
    assert host.docker("logs", name) == "written"


def check(host: Host, **mib: int) -> None:
    """The files of containers are what was written, to the last byte."""
    for name, size in mib.items():
        device = host.inspect("container", name)["GraphDriver"]["Data"]["DeviceName"]
        folder = f"/var/lib/docker/devicemapper/mnt/{device.rpartition('-')[2]}/rootfs"
        argv = ["python3", "-c", CHECK, f"{folder}/kept"]
        assert int(host.guest.run(argv, timeout=60).stdout) == size // SEED_MIB


def _state(event: Event) -> Any:
    ours = event.tag.startswith(f"salt/beacon/{salthost.MINION}/dockerstorage/")
    return event.data.get("state") if ours else None


def remedies(event: Event) -> list[str]:
    """What a job's return says was done without an error."""
    if not event.tag.startswith("salt/job/") or f"/ret/{salthost.MINION}" not in event.tag:
        return []
    done = event.data["return"]["done"] if event.data["fun"].endswith(".remediate") else []
    return [one["remedy"] for one in done if "result" in one]


def test_what_may_go_is_pruned(host: Host) -> None:
    bus = Bus(host.guest)
    with unwatched(host):  # a container that runs is not pruned
        begin(host, "litter", 512, protected=False)
        written(host, "litter")
        host.docker("kill", "litter")
    (pruned,) = bus.wait(remedies)
    assert remedies(pruned) == ["prune"]
    assert pruned.data["return"]["solved"] is True
    assert pruned.data["return"]["after"]["data"]["percent"] <= 75
    names = set(host.docker("ps", "-a", "--format", "{{.Names}}").split())
    assert "litter" not in names
    assert {"kept-web", "kept-done", "kept-new", "web"} <= names
    assert [_state(one) for one in bus.events() if _state(one) in ("critical", "emergency")]


def test_where_nothing_may_be_pruned_the_pool_is_extended(host: Host) -> None:
    bus = Bus(host.guest)
    begin(host, "first", 512, protected=True)
    (extended,) = bus.wait(lambda e: "extend" in remedies(e))
    result = extended.data["return"]
    assert result["solved"] is True
    assert result["after"]["data"]["total_bytes"] > result["before"]["data"]["total_bytes"]
    written(host, "first")
    check(host, first=512)


def test_blocked_writers_go_on_with_a_spare_disk(host: Host) -> None:
    host.guest.run("lvextend -q -y -l +100%FREE docker/others")
    bus = Bus(host.guest)
    with unwatched(host):  # so that the pool is really full when the beacon looks
        begin(host, "second", 1600, protected=True)
        status = "dmsetup status --noflush docker-thinpool"
        full = f"until {status} | grep -q out_of_data; do sleep 0.1; done"
        host.guest.run(full, timeout=60)
    bus.wait(lambda e: _state(e) == "out_of_data_space")
    (given,) = bus.wait(lambda e: "spare" in remedies(e))
    assert given.data["return"]["solved"] is True
    written(host, "second")
    check(host, first=512, second=1600)


def test_when_nothing_is_left_an_alert_is_raised_and_nothing_is_harmed(host: Host) -> None:
    host.guest.run("lvcreate -q -y -n rest -l 100%FREE docker")
    before = host.state()
    bus = Bus(host.guest)
    fill_to(host, 85)
    (alert, *_) = bus.wait(lambda e: e.tag.endswith("/remediate/alert"))
    assert alert.data["data"]["pool"] == "docker-thinpool"
    assert "nothing is left to do about the data" in alert.data["data"]["text"]
    after = host.state()
    assert {**after, "pool": ""} == {**before, "pool": ""}
    check(host, first=512, second=1600)
