"""Beacon, event, reactor, remedy: on a real pool, with a real master and its minion."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import beaconhost
from tests.lab.beaconhost import POOL, Bus
from tests.lab.guest import Guest
from tests.lab.hosts import Host
from tests.lab.salthost import salt_call

EXECUTED = "/tmp/executed"
ODD_NAMES = (
    "{{ salt['cmd.run']('touch " + EXECUTED + "') }}",
    f"$(touch {EXECUTED})",
    f"x; touch {EXECUTED}",
)


@pytest.fixture(scope="module")
def guest(salt_host: Host) -> Iterator[Guest]:
    """Master and minion with beacon and reactor configured, a small pool, and a listener."""
    with beaconhost.watched(salt_host.guest) as guest:
        yield guest


@pytest.fixture
def bus(guest: Guest) -> Bus:
    """The master's events from now on."""
    return Bus(guest)


def test_a_pool_that_fills_is_told_and_extended_by_the_reactor(guest: Guest, bus: Bus) -> None:
    beaconhost.fill(guest, 75)
    (warning,) = bus.wait(lambda e: e.state == "warning")
    assert warning.data["pool"] == POOL
    assert warning.data["data_percent"] == pytest.approx(75, abs=2)
    assert warning.data["previous_level"] in (None, "ok")
    assert warning.data["vg_free_bytes"] > 100 << 20
    beaconhost.fill(guest, 85)
    bus.wait(lambda e: e.state == "critical")
    jobs = bus.wait(lambda e: e.is_job, count=2)
    for job in jobs:
        assert (job.data["fun"], job.data["tgt"]) == ("dockerstorage.remediate", ["host1"])
        assert job.data["arg"] == [{"pool": POOL, "__kwarg__": True}]
    # The minion's policy, from pillar, lets it extend and nothing else.
    (well,) = bus.wait(lambda e: e.state == "ok")
    assert well.data["previous_level"] == "critical"
    assert well.data["data_percent"] <= 61
    time.sleep(3 * beaconhost.INTERVAL_SECONDS)
    told = [event.state for event in bus.events() if event.state]
    assert told == ["warning", "critical", "ok"], "each once, and nothing of a quiet pool"
    history = salt_call(guest, "dockerstorage.history", POOL)
    assert history["unseen"] == []
    assert history["pools"][POOL]["samples"], "the minion keeps what its beacon sees"


def test_a_forged_event_is_no_job_for_anybody(guest: Guest, bus: Bus) -> None:
    before = beaconhost.refusals(guest)
    sent = 0
    for number, name in enumerate(ODD_NAMES):
        data = {"pool": name, "state": "emergency", "id": "host2", "signature": "AAAA"}
        tag = f"salt/beacon/host2/dockerstorage/emergency{number}"
        sent += beaconhost.send(guest, tag, data)
        sent += beaconhost.send(guest, tag, {**data, "id": "host1"}, as_beacon=True)
        sent += beaconhost.send(guest, tag, data, as_beacon=True)
    # What this minion really signed, but in another minion's name.
    mine = beaconhost.signed_event(guest)
    for change in ({"id": "host2"}, {"pool": ODD_NAMES[0]}, {"tgt": "*", "fun": "cmd.run"}):
        sent += beaconhost.send(
            guest, "salt/beacon/host2/dockerstorage/x", {**mine, **change}, True
        )
    deadline = time.monotonic() + 60
    while beaconhost.refusals(guest) - before < sent and time.monotonic() < deadline:
        time.sleep(1)
    assert beaconhost.refusals(guest) - before == sent
    assert not [event for event in bus.events() if event.is_job]
    assert guest.run(f"test -e {EXECUTED}", check=False).status == 1
    sent = beaconhost.send(guest, "salt/beacon/host1/dockerstorage/critical", mine, as_beacon=True)
    (job,) = bus.wait(lambda e: e.is_job)
    assert job.data["tgt"] == ["host1"]


def looks(guest: Guest, script: str) -> list[Any]:
    """Run steps in the guest that look at the pool "raw"; what the looks returned."""
    argv = ["/opt/salt/3008/bin/python", "/src/tests/lab/rawpool.py"]
    return json.loads(guest.run(argv, input=script, timeout=120).stdout.splitlines()[-1])


@pytest.fixture
def raw(guest: Guest) -> Callable[[str], list[Any]]:
    return lambda script: looks(guest, script)


def states(found: list[Any]) -> list[list[tuple[str, str]]]:
    return [[(one["state"], one["reason"]) for one in look["events"]] for look in found]


def test_what_the_kernel_signals_is_told_at_the_next_look(raw: Callable[[str], list[Any]]) -> None:
    found = raw("make fill:30 look look fill:60 look look full look look clear look remove")
    assert states(found) == [
        [], [],
        [("ok", "kernel event")], [],  # low water at 50 %, far from any level
        [("out_of_data_space", "changed")], [],
        [("ok", "changed")],
    ]  # fmt: skip


def test_a_pool_that_vanishes_fails_and_comes_back(raw: Callable[[str], list[Any]]) -> None:
    found = raw("look make look look remove look look make look fail look remove")
    assert states(found) == [
        [("gone", "changed")],
        [("ok", "changed")], [],
        [("gone", "changed")], [],
        [("ok", "changed")],
        [("failed", "changed")],
    ]  # fmt: skip


def test_pools_are_found_and_forgotten_in_silence(raw: Callable[[str], list[Any]]) -> None:
    found = raw("make find fill:75 find find remove find make fill:75 find remove")
    assert states(found) == [[], [("warning", "changed")], [], [], [("warning", "changed")]]


def test_a_pool_whose_disk_hangs_blocks_nobody(raw: Callable[[str], list[Any]]) -> None:
    found = raw("make fill:10 look hang look look release look remove")
    assert states(found) == [[], [("unresponsive", "changed")], [], [("ok", "changed")]]
    seconds = [look["seconds"] for look in found]
    assert seconds[1] == pytest.approx(1.0, abs=0.5), "the time-out, once"
    assert seconds[2] < 0.3, "the hanging look is not asked again"
