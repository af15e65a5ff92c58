"""Containers fill Docker's pool, and the host helps itself: beacon, event, reactor, remedy.

One host, from one remedy to the next: what may go is pruned, then the volume group gives, then the
spare disk, and when nothing is left an alert is raised and nothing is harmed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab import prepared
from tests.lab.beaconhost import Bus
from tests.lab.fill import fill_to
from tests.lab.filledhost import begin, mib_kept, remedies, state, unwatched, watched, written
from tests.lab.hosts import Host
from tests.lab.salthost import at_work

# A remedy takes some ten seconds; on a busy machine far longer.
PATIENCE = 180


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Master, minion, beacon and reactor on a populated host, whose pool is at 70 %."""
    host = prepared.open_host("direct", "filled")
    policy = {"target_percent": 70, "cooldown": 0, "spare_devices": [host.spare]}
    with host.guest as guest:
        # So much is left in the volume group for one extension.
        guest.run("lvcreate -q -y -n others -L 3200M docker")
        fill_to(host, 70)
        with watched(host, policy, interval_seconds=2):
            yield host


def kept(host: Host) -> list[str]:
    """Containers that no prune may touch, with all that Docker lists of them."""
    names = ("kept-web", "kept-done", "kept-new", "web", "second")
    return [row for row in host.state()["containers"] if row.split()[1] in names]


def test_what_may_go_is_pruned(host: Host) -> None:
    bus = Bus(host.guest)
    with unwatched(host):  # a container that runs is not pruned
        begin(host, "litter", 512, protected=False)
        assert written(host, "litter") == "written"
        host.docker("kill", "litter")
    (pruned,) = bus.wait(remedies, seconds=PATIENCE)
    assert remedies(pruned) == ["prune"]
    assert pruned.data["return"]["solved"] is True
    assert pruned.data["return"]["after"]["data"]["percent"] <= 75
    names = set(host.docker("ps", "-a", "--format", "{{.Names}}").split())
    assert "litter" not in names
    assert {"kept-web", "kept-done", "kept-new", "web"} <= names
    assert {state(one) for one in bus.events()} & {"critical", "emergency"}


def test_where_nothing_may_be_pruned_the_pool_is_extended(host: Host) -> None:
    bus = Bus(host.guest)
    begin(host, "first", 512, protected=True)
    (extended,) = bus.wait(lambda e: "extend" in remedies(e), seconds=PATIENCE)
    result = extended.data["return"]
    assert result["solved"] is True
    assert result["after"]["data"]["total_bytes"] > result["before"]["data"]["total_bytes"]
    assert written(host, "first") == "written"
    assert mib_kept(host, "first") == 512


def test_blocked_writers_go_on_with_a_spare_disk(host: Host) -> None:
    host.guest.run("lvextend -q -y -l +100%FREE docker/others", check=False)
    bus = Bus(host.guest)
    # As one that has looked for the last time, and is about to end.
    with at_work(host.guest, "remediate"):
        with unwatched(host):  # so that the pool is really full when the beacon looks
            begin(host, "second", 320, protected=True, fill=96)
            status = "dmsetup status --noflush docker-thinpool"
            full = f"until {status} | grep -q out_of_data; do sleep 0.1; done"
            host.guest.run(full, timeout=120)
        bus.wait(lambda e: state(e) == "out_of_data_space")
        time.sleep(3)
    (given,) = bus.wait(lambda e: "spare" in remedies(e), seconds=PATIENCE)
    assert given.data["return"]["solved"] is True
    assert written(host, "second") == "written"
    assert mib_kept(host, "second") == 320


def test_when_nothing_is_left_an_alert_is_raised_and_nothing_is_harmed(host: Host) -> None:
    host.guest.run("lvcreate -q -y -n rest -l 100%FREE docker", check=False)
    before = kept(host)
    bus = Bus(host.guest)
    fill_to(host, 85)
    (alert, *_) = bus.wait(lambda e: e.tag.endswith("/remediate/alert"), seconds=PATIENCE)
    assert alert.data["data"]["pool"] == "docker-thinpool"
    assert "nothing is left to do about the data" in alert.data["data"]["text"]
    assert kept(host) == before
    assert len(before) == 5
    assert mib_kept(host, "second") == 320


def test_an_alert_tells_of_writes_that_have_failed_before_the_remedy(host: Host) -> None:
    bus = Bus(host.guest)
    with unwatched(host):
        host.guest.run("echo 1 > /sys/module/dm_thin_pool/parameters/no_space_timeout")
        host.guest.run("lvremove -q -y docker/others")  # room for the remedy
        too_much = "dd if=/dev/zero of=/dev/mapper/filler bs=512K seek=16000 oflag=direct"
        assert "No space left" in host.guest.run(too_much, timeout=90, check=False).stderr
    (alert, *_) = bus.wait(lambda e: e.tag.endswith("/remediate/alert"), seconds=PATIENCE)
    assert "the kernel has failed them" in alert.data["data"]["text"]
    assert alert.data["data"]["after"]["health"] == "ok"
    assert alert.data["data"]["after"]["writes_failed"] is False
