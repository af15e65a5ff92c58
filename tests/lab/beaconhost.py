"""A guest with beacon, reactor and a small LVM thin pool; its master's bus; forged events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab import salthost
from tests.lab.errors import LabError
from tests.lab.guest import Guest

POOL = "beacon-pool"
INTERVAL_SECONDS = 2
POOL_MIB = 64
PYTHON = f"/opt/salt/{salthost.RELEASES[0]}/bin/python"

# As docs/watching.md shows them.
REACTOR = {
    "reactor": [{"salt/beacon/*/dockerstorage/*": ["salt://dockerstorage/reactor/remediate.sls"]}]
}
BEACON = {"beacons": {"dockerstorage": [{"interval": INTERVAL_SECONDS}, {"pools": [POOL]}]}}
PILLAR = {"dockerstorage": {"remediate": {"order": ["extend"], "cooldown": 0}}}

# As Docker does it: thin devices that LVM does not know. host2: accepted, but not there.
SETUP = f"""set -e
truncate -s 400M /var/lib/docker/beacon.img
disk=$(losetup -f --show /var/lib/docker/beacon.img)
vgcreate -q beacon $disk
lvcreate -q -y --type thin-pool -n pool -L {POOL_MIB}M --poolmetadatasize 4M -c 64K -Z n \
    --monitor n beacon
dmsetup message {POOL} 0 'create_thin 0'
dmsetup create beacon-vol --table '0 {POOL_MIB * 2048} thin /dev/mapper/{POOL} 0'
openssl genrsa -out /root/host2.pem 2048
mkdir -p /etc/salt/pki/master/minions
openssl rsa -in /root/host2.pem -pubout -out /etc/salt/pki/master/minions/host2
"""
CLEAN = """
rm -f /etc/salt/master.d/reactor.conf /etc/salt/minion.d/beacon.conf /srv/pillar/*.sls
rm -f /etc/salt/pki/master/minions/host2
dmsetup remove --retry beacon-vol
vgremove -q -f beacon
losetup -D
rm -f /var/lib/docker/beacon.img
"""
LISTEN = """
import json, salt.config, salt.utils.event
opts = salt.config.master_config("/etc/salt/master")
bus = salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=True)
with open("/run/bus.jsonl", "a", buffering=1) as file:
    file.write("\\n")
    for event in bus.iter_events(full=True, auto_reconnect=True):
        file.write(json.dumps([event["tag"], event["data"]], default=str) + "\\n")
"""
# As the minion sends what its beacons returned: tag, id and data as the sender likes them.
SEND = """
import json, sys
import salt.channel.client, salt.config, salt.crypt
tag, data = json.load(sys.stdin)
opts = salt.config.minion_config("/etc/salt/minion")
opts["master_uri"] = "tcp://127.0.0.1:4506"
load = {
    "id": opts["id"], "cmd": "_minion_event", "tok": salt.crypt.SAuth(opts).gen_token(b"salt"),
    "events": [{"tag": tag, "data": data, "beacon_name": "dockerstorage"}],
}
with salt.channel.client.ReqChannel.factory(opts) as channel:
    channel.send(load)
"""
SIGN = """
import json
import salt.config, salt.loader
opts = salt.config.minion_config("/etc/salt/minion")
seen = {"pool": "beacon-pool", "state": "critical"}
beacons = salt.loader.beacons(opts, {"dockerstorage.watch": lambda **_: [seen]})
(event,) = beacons["dockerstorage.beacon"]([])
del event["tag"]
print(json.dumps(event))
"""


@dataclass(frozen=True)
class Event:
    """An event of the master's bus."""

    tag: str
    data: dict[str, Any]

    @property
    def state(self) -> str | None:
        """Of an event of the beacon about the pool."""
        ours = self.tag.startswith(f"salt/beacon/{salthost.MINION}/dockerstorage/")
        return self.data.get("state") if ours and self.data.get("pool") == POOL else None

    @property
    def is_job(self) -> bool:
        """Whether a remedy, or anything but Salt's own, was published."""
        return self.tag.startswith("salt/job/") and self.tag.endswith("/new")


class Bus:
    """The events since it was made."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._before = len(self._lines())

    def _lines(self) -> list[str]:
        return self._guest.run("cat /run/bus.jsonl").stdout.splitlines()

    def events(self) -> list[Event]:
        """All so far."""
        return [Event(*json.loads(line)) for line in self._lines()[self._before :] if line]

    def wait(
        self, wanted: Callable[[Event], object], count: int = 1, seconds: float = 60
    ) -> list[Event]:
        """The wanted events, as soon as there are so many."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [event for event in self.events() if wanted(event)]
            if len(found) >= count:
                return found
            time.sleep(0.5)
        seen = "\n".join(event.tag for event in self.events())
        journal = self._guest.run("journalctl -q -u salt-master -u salt-minion | tail -30").stdout
        raise LabError(f"no such event; seen:\n{seen}\n{journal}")


@contextmanager
def watched(guest: Guest) -> Iterator[Guest]:
    """The guest with all this while the context lasts; Salt is started anew before and after."""
    salthost.stop(guest)
    guest.push("/etc/salt/master.d/reactor.conf", json.dumps(REACTOR))
    guest.push("/etc/salt/minion.d/beacon.conf", json.dumps(BEACON))
    guest.push("/srv/pillar/top.sls", json.dumps({"base": {"*": ["remedies"]}}))
    guest.push("/srv/pillar/remedies.sls", json.dumps(PILLAR))
    guest.run(SETUP, timeout=120)
    salthost.start(guest)
    listener = guest.start([PYTHON, "-c", LISTEN])
    guest.run("until test -s /run/bus.jsonl; do sleep 0.2; done", timeout=60)
    try:
        yield guest
    finally:
        listener.kill()
        salthost.stop(guest)
        guest.run(CLEAN, timeout=60, check=False)
        salthost.start(guest)


def fill(guest: Guest, percent: int) -> None:
    """Write the first so many percent of the thin volume, which is as large as the pool was."""
    count = POOL_MIB * percent // 100
    write = f"dd if=/dev/urandom of=/dev/mapper/beacon-vol bs=1M count={count} oflag=direct"
    guest.run(f"{write} conv=notrunc status=none", timeout=60)


def send(guest: Guest, tag: str, data: dict[str, Any], as_beacon: bool = False) -> int:
    """Send an event to the master as this minion: as its beacons do, or by event.send; 1."""
    if as_beacon:
        guest.run([PYTHON, "-c", SEND], input=json.dumps([tag, data]), timeout=60)
    else:
        guest.run(["salt-call", "event.send", tag, json.dumps(data)], timeout=60)
    return 1


def signed_event(guest: Guest) -> dict[str, Any]:
    """What the beacon would send of a critical pool now."""
    found: dict[str, Any] = json.loads(guest.run([PYTHON, "-c", SIGN], timeout=60).stdout)
    return found


def refusals(guest: Guest) -> int:
    """How many events the reactor has refused so far."""
    command = "journalctl -q -u salt-master | grep -c 'no reaction to the event'"
    return int(guest.run(command, check=False).stdout)
