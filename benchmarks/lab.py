"""A prune against the engine's own, on equal copies of one host, timed inside the guest."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab import prepared
from tests.lab.hosts import Host

#: More of what a long-lived host gathers: stopped containers, and images with layers of their own.
LITTER = r"""
set -e; export DOCKER_BUILDKIT=0
for n in $(seq 8); do
    printf 'FROM lab/base:1\nRUN echo %s > /one\nRUN echo %s > /two\n' $n $n |
        docker build -q --network none -t litter:$n - > /dev/null
    docker create --name litter-$n litter:$n true > /dev/null
    docker create --name litter-again-$n litter:$n true > /dev/null
done
docker builder prune -af > /dev/null
sync
"""
ENGINE = "docker system prune -a -f --filter label!=protected"
#: As a minion runs it: the modules are loaded, and the function is called.
OURS = """
import json, time
import salt.client, salt.config
opts = salt.config.minion_config("/etc/salt/minion")
opts["file_client"] = "local"
caller = salt.client.Caller(mopts=opts)
caller.cmd("test.ping")
started = time.monotonic()
result = caller.cmd("dockerstorage.prune")
result["seconds"] = time.monotonic() - started
print(json.dumps(result))
"""


@dataclass(frozen=True)
class Race:
    """What both did with equal hosts."""

    kind: str
    our_seconds: float
    our_call_seconds: float
    engine_seconds: float
    our_removed: int
    bytes_predicted: int
    bytes_freed: int
    objects_left_by_us: int
    objects_left_by_engine: int


def race(kind: str) -> Race:
    """Prune equal copies of a littered host, each from a fresh boot."""
    host = prepared.open_host(kind, f"bench-{kind}")
    guest = host.guest
    try:
        guest.run(LITTER, timeout=300)
        guest.poweroff()
        guest.snapshot("littered")
        ours = _fresh(host).guest.run(["/opt/salt/3008/bin/python", "-c", OURS], timeout=300)
        result = json.loads(ours.stdout)
        left_by_us = _objects(host)
        engine = _fresh(host).guest.run(ENGINE, timeout=300)
        left_by_engine = _objects(host)
        call = _fresh(host).guest.run("salt-call --local dockerstorage.prune", timeout=300)
    finally:
        guest.close()
    return Race(
        kind=kind,
        our_seconds=result["seconds"],
        our_call_seconds=call.seconds,
        engine_seconds=engine.seconds,
        our_removed=len(result["removed"]),
        bytes_predicted=result["bytes_predicted"],
        bytes_freed=result["bytes_freed"],
        objects_left_by_us=left_by_us,
        objects_left_by_engine=left_by_engine,
    )


def _fresh(host: Host) -> Host:
    """The host as it was littered, booted anew, so that no cache is warm for either."""
    host.guest.cut_power()
    host.guest.reset("littered")
    host.guest.boot()
    host.start_docker()
    # The same warm-up for both: the client's program and the container that starts by itself.
    host.docker("ps")
    return host


def _objects(host: Host) -> int:
    lists = ("ps -aq", "images -aq --no-trunc", "network ls -q")
    return sum(len(set(host.docker(*words.split()).split())) for words in lists)
