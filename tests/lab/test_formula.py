"""The formula on a real host, whose minion has no master: all concerns, and twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import migrated, prepared, salthost
from tests.lab.hosts import POOL_DEVICE, Host

GIB = 1 << 30
IMAGE = "lab/app:1"
OPTION = "overlay2.override_kernel_check=true"
JOBS = ("remediation", "prune", "export", "metrics")
REACTOR = "/etc/salt/master.d/dockerstorage.conf"
ALONE = {
    "file_client": "local",
    "master_type": "disable",
    "file_roots": {"base": ["/srv/salt", *salthost.FILE_ROOTS]},
}


def pillar(disk: str) -> dict[str, Any]:
    return {
        "protect": ["protected", "keep"],
        "remediate": {"order": ["extend"]},
        "thinpool": {"enabled": True, "name": "docker/thinpool", "devices": [disk], "size": "1G"},
        "driver": {"enabled": True, "name": "overlay2", "options": [OPTION]},
        "protection": {"enabled": True, "images": [IMAGE]},
        "prune": {"enabled": True, "keep_tags": 2},
        "export": {"enabled": True, "dest": "/srv/backup/all", "schedule": {"cron": "30 1 * * 0"}},
        "beacon": {"interval": 2, "levels": {"warning": 60}},
        "reactor": {"enabled": True},
        # Seldom: a job's process costs seconds in a guest.
        "remediation": {
            "enabled": True,
            "pool": POOL_DEVICE.rpartition("/")[2],
            "schedule": {"minutes": 10},
        },
        "metrics": {"enabled": True, "schedule": {"hours": 1}},
    }


@pytest.fixture
def host() -> Iterator[Host]:
    """A populated host on overlay2 with an empty disk, whose minion's highstate is the formula."""
    found = prepared.open_host("overlay", "formula")
    guest = found.guest
    with guest:
        found.spare = guest.add_disk(2 * GIB)
        guest.push("/srv/salt/top.sls", json.dumps({"base": {"*": ["dockerstorage"]}}))
        guest.push("/srv/pillar/top.sls", json.dumps({"base": {"*": ["storage"]}}))
        guest.push("/srv/pillar/storage.sls", json.dumps({"dockerstorage": pillar(found.spare)}))
        guest.push("/etc/salt/minion.d/alone.conf", json.dumps(ALONE))
        guest.run("mkdir -p /srv/backup /etc/salt/master.d; systemctl start salt-minion")
        guest.run("until ls /run/salt/minion/*_pull.ipc; do sleep 0.2; done", timeout=120)
        yield found


def by_id(states: Any) -> dict[str, dict[str, Any]]:
    """The results of all states, by what follows "dockerstorage-" in their id."""
    assert isinstance(states, dict), states
    assert "error" not in states, states
    return {one["__id__"].removeprefix("dockerstorage-"): one for one in states.values()}


def test_highstate_twice(host: Host) -> None:
    guest = host.guest
    acting = {"thinpool", "driver", "protection", "beacon", "reactor", *JOBS}
    before = host.state()

    planned = by_id(salthost.salt_call(guest, "state.highstate", test=True, timeout=300))
    assert {name for name, one in planned.items() if one["changes"]} == acting
    assert {name for name in acting if planned[name]["result"] is not None} == set()
    assert guest.run(f"test -e {POOL_DEVICE} -o -e {REACTOR}", check=False).status == 1
    assert host.state() == before

    plain = {"return_yaml": False}
    calls = salthost.salt_calls(
        guest,
        *[("state.highstate", [], {})] * 2,
        ("schedule.list", [], plain),
        ("beacons.list", [], plain),
        seconds_each=90,
    )
    first, second = map(by_id, calls[:2])
    jobs, beacons = calls[2:]
    assert [one["comment"] for one in first.values() if one["result"] is not True] == []
    assert {name for name, one in first.items() if one["changes"]} == acting
    assert "Restart it" in first["reactor-restart"]["comment"]

    assert [one["comment"] for one in second.values() if one["result"] is not True] == []
    assert {name: one["changes"] for name, one in second.items() if one["changes"]} == {}

    # What it all came to.
    assert " thin-pool " in guest.run(f"dmsetup status {POOL_DEVICE}").stdout
    assert migrated.daemon_config(host)["storage-opts"] == [OPTION]
    assert migrated.driver(host) == "overlay2"
    assert host.inspect("image", IMAGE)["Config"]["Labels"] == {"protected": "true"}
    assert {f"dockerstorage-{name}" for name in JOBS} <= set(jobs)
    assert jobs["dockerstorage-prune"]["kwargs"] == {"keep_tags": 2, "min_age": "7d"}
    assert {"levels": {"warning": 60}} in beacons["dockerstorage"]
    assert "salt://dockerstorage/reactor/remediate.sls" in guest.run(f"cat {REACTOR}").stdout
    # The beacon looks: it remembers what it saw.
    guest.run("until ls /run/dockerstorage | grep -q host1; do sleep 0.5; done", timeout=60)
