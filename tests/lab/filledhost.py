"""A Docker host with beacon and reactor on Docker's own pool, and containers that fill it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import beaconhost, salthost
from tests.lab.beaconhost import Event
from tests.lab.fill import fill_to
from tests.lab.hosts import Host

MIB = 1 << 20
SEED_MIB = 16
# Appends the seed, random bytes, to /kept so many times, at an interval if wanted.
WRITE = (
    "until [ -e /go ]; do sleep 0.2; done; i=0; while [ $i -lt {count} ]; do "
    "cat /seed >> /kept && sync || echo failed $i; i=$((i + 1)); sleep {pause}; done; "
    "echo written; sleep 1000000"
)
# As the host reads it: the file's whole content, against the seed.
CHECK = r"""
import sys
seed, count = open("/run/seed", "rb").read(), 0
with open(sys.argv[1], "rb") as file:
    while chunk := file.read(len(seed)):
        assert chunk == seed, f"it differs behind {count} seeds"
        count += 1
print(count)
"""


@contextmanager
def watched(host: Host, policy: dict[str, Any], interval_seconds: int) -> Iterator[None]:
    """Master, minion, beacon, reactor and a listener on the bus, while the context lasts."""
    guest = host.guest
    beacon = {"beacons": {"dockerstorage": [{"interval": interval_seconds}]}}
    pillar = {"dockerstorage": {"remediate": policy}}
    guest.push("/etc/salt/master.d/reactor.conf", json.dumps(beaconhost.REACTOR))
    guest.push("/etc/salt/minion.d/beacon.conf", json.dumps(beacon))
    guest.push("/srv/pillar/top.sls", json.dumps({"base": {"*": ["remedies"]}}))
    guest.push("/srv/pillar/remedies.sls", json.dumps(pillar))
    guest.run(f"head -c {SEED_MIB * MIB} /dev/urandom > /run/seed")
    salthost.start(guest)
    listener = guest.start([beaconhost.PYTHON, "-c", beaconhost.LISTEN])
    guest.run("until test -s /run/bus.jsonl; do sleep 0.2; done", timeout=60)
    try:
        yield
    finally:
        listener.kill()


@contextmanager
def unwatched(host: Host) -> Iterator[None]:
    """The minion stands still while the context lasts."""
    host.guest.run("systemctl kill --kill-whom=all -s STOP salt-minion")
    yield
    host.guest.run("systemctl kill --kill-whom=all -s CONT salt-minion")


def begin(
    host: Host, name: str, mib: int, protected: bool, pause: float = 0, fill: int = 0
) -> None:
    """Start a container that writes so much to its own file system, which has 1 GiB.

    fill: percent to which the pool is filled before it writes; above 90 % Docker makes none.
    """
    label = ["--label", "protected"] if protected else []
    write = WRITE.format(count=mib // SEED_MIB, pause=pause)
    host.docker("create", "--name", name, *label, "--net=none", "lab/base:1", "sh", "-c", write)
    host.docker("cp", "/run/seed", f"{name}:/seed")
    host.docker("start", name)
    fill_to(host, fill)
    host.docker("exec", name, "mkdir", "/go")


def written(host: Host, name: str, timeout: float = 120) -> str:
    """Wait until it has written all; what it said."""
    wait = f"until docker logs {name} 2>&1 | grep -q written; do sleep 0.5; done"
    host.guest.run(wait, timeout=timeout)
    return host.docker("logs", name)


def mib_kept(host: Host, name: str) -> int:
    """MiB that a running container's file holds; raises if a byte of it is wrong."""
    device = host.inspect("container", name)["GraphDriver"]["Data"]["DeviceName"]
    folder = f"/var/lib/docker/devicemapper/mnt/{device.rpartition('-')[2]}/rootfs"
    argv = ["python3", "-c", CHECK, f"{folder}/kept"]
    return int(host.guest.run(argv, timeout=60).stdout) * SEED_MIB


def state(event: Event) -> Any:
    """Of an event of the beacon."""
    ours = event.tag.startswith(f"salt/beacon/{salthost.MINION}/dockerstorage/")
    return event.data.get("state") if ours else None


def remedies(event: Event) -> list[str]:
    """What the return of a job says was done without an error."""
    if not event.tag.startswith("salt/job/") or not event.tag.endswith(f"/ret/{salthost.MINION}"):
        return []
    result = event.data["return"] if event.data["fun"] == "dockerstorage.remediate" else None
    done = result["done"] if isinstance(result, dict) else []
    return [one["remedy"] for one in done if "result" in one]
