"""An export against ``docker save | gzip`` and ``docker export | gzip`` of the same host."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab import prepared, richhost

PLACE = "/srv/bench"
COLD = "sync; echo 3 > /proc/sys/vm/drop_caches"
PEER = f"""set -e
mkdir -p {PLACE}/peer; cd {PLACE}/peer
for id in $(docker images -q | sort -u); do docker save $id | gzip > image-$id.gz; done
for id in $(docker ps -aq); do docker export $id | gzip > container-$id.gz; done
for name in $(docker volume ls -q); do
    tar -C $(docker volume inspect -f '{{{{.Mountpoint}}}}' $name) -c . | gzip > volume-$name.gz
done
sync; du -sb . | cut -f1
"""


@dataclass(frozen=True)
class Bundled:
    """What each took and left."""

    #: As a minion runs it, with the modules loaded; and with the start of a process for it.
    our_seconds: float
    our_process_seconds: float
    peer_seconds: float
    our_bytes: int
    peer_bytes: int
    peak_mib: float


def bundled(kind: str) -> Bundled:
    """Export a host of that kind both ways, each with cold caches."""
    host = prepared.open_host(kind, f"bench-{kind}")
    with host.guest as guest:
        richhost.enrich(host)
        guest.run(COLD)
        peer = guest.run(PEER, timeout=600)
        guest.run(COLD)
        argv = ["/opt/salt/3008/bin/python", "/src/tests/lab/exporter.py", f"{PLACE}/ours"]
        ours = guest.run(argv, timeout=600)
    found = json.loads(ours.stdout)
    return Bundled(
        our_seconds=found["seconds"],
        our_process_seconds=ours.seconds,
        peer_seconds=peer.seconds,
        our_bytes=found["bytes"],
        peer_bytes=int(peer.stdout),
        peak_mib=found["peak_mib"],
    )
