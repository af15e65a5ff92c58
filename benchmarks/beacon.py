"""What a tick of the beacon costs, against one bare ``dmsetup status``, both in the same guest."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.hosts import Host

TICKS = 300
PROBE = """
import json, os, resource, time
import salt.config, salt.loader

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
# Of dmsetup only its own part, not what starting it costs the caller.
print(json.dumps([ours, seconds(bare, resource.RUSAGE_CHILDREN)]))
"""


@dataclass(frozen=True)
class Ticks:
    """CPU seconds (user and system) of one look each."""

    beacon_seconds: float
    dmsetup_seconds: float


def ticks(host: Host) -> Ticks:
    """Measure both on a direct-lvm host."""
    argv = ["/opt/salt/3008/bin/python", "-c", PROBE.format(ticks=TICKS)]
    return Ticks(*json.loads(host.guest.run(argv, timeout=300).stdout.splitlines()[-1]))
