"""What a tick of the beacon costs, against one bare ``dmsetup status``, both in the same guest.

And how long it takes from a level that is crossed until the master publishes the remedy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone

from tests.lab import beaconhost
from tests.lab.hosts import Host

TICKS = 300
ROUNDS = 5
PROBE = """
import json, os, resource, time
import salt.config, salt.loader
from dockerstorage_lib.adapters import shell

TICKS = {ticks}
POOL = "docker-thinpool"
DMSETUP = ["/sbin/dmsetup", "status", "--noflush", POOL]
CONFIG = [{{"interval": 1}}, {{"_beacon_name": f"bench-{{os.getpid()}}"}}]

opts = salt.config.minion_config("/etc/salt/minion")
opts["file_client"] = "local"
opts["grains"] = salt.loader.grains(opts)
beacons = salt.loader.beacons(opts, salt.loader.minion_mods(opts))

def tick():
    # As Salt does it at each pass.
    assert beacons["dockerstorage.validate"](CONFIG)[0]
    assert beacons["dockerstorage.beacon"](CONFIG) == []

def bare():
    to_nowhere = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(DMSETUP[0], DMSETUP, os.environ, file_actions=to_nowhere)
    assert os.waitpid(pid, 0)[1] == 0

def cpu(*whose):
    used = [resource.getrusage(who) for who in whose]
    return sum(one.ru_utime + one.ru_stime for one in used)

def seconds(act, *whose):
    act()
    before = cpu(*whose)
    for _ in range(TICKS):
        act()
    return (cpu(*whose) - before) / TICKS

ours = seconds(tick, resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
started = seconds(lambda: shell.output(DMSETUP), resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
# Of dmsetup only its own part, not what starting it costs the caller.
print(json.dumps([ours, seconds(bare, resource.RUSAGE_CHILDREN), started]))
"""


@dataclass(frozen=True)
class Ticks:
    """CPU seconds (user and system) of one look each."""

    beacon_seconds: float
    dmsetup_seconds: float
    #: dmsetup, with what it costs Python to start it and to read its answer.
    started_dmsetup_seconds: float


def ticks(host: Host) -> Ticks:
    """Measure both on a direct-lvm host."""
    argv = ["/opt/salt/3008/bin/python", "-c", PROBE.format(ticks=TICKS)]
    return Ticks(*json.loads(host.guest.run(argv, timeout=300).stdout.splitlines()[-1]))


def reaction_seconds(host: Host) -> list[float]:
    """From before the write that crosses a level until the job is published, some times.

    Takes a running Salt host. A write of 48 MiB is part of it.
    """
    found = []
    with beaconhost.watched(host.guest) as guest:
        for _ in range(ROUNDS):
            bus = beaconhost.Bus(guest)
            before = float(guest.run("date +%s.%N").stdout)
            beaconhost.fill(guest, 75)
            (job,) = bus.wait(lambda event: event.is_job)
            at = datetime.fromisoformat(job.data["_stamp"]).replace(tzinfo=timezone.utc)
            found.append(at.timestamp() - before)
            guest.run("blkdiscard /dev/mapper/beacon-vol")
            bus.wait(lambda event: event.state == "ok")
    return found
