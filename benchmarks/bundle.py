"""An export against ``docker save | gzip`` and ``docker export | gzip`` of the same host."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab import prepared, richhost

PLACE = "/srv/bench"
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

    our_seconds: float
    peer_seconds: float
    our_bytes: int
    peer_bytes: int
    peak_mib: float


def bundled(kind: str) -> Bundled:
    """Export a host of that kind both ways; the peer goes first, with cold and then warm caches."""
    host = prepared.open_host(kind, f"bench-{kind}")
    with host.guest:
        richhost.enrich(host)
        peer = host.guest.run(PEER, timeout=600)
        argv = ["/opt/salt/3008/bin/python", "/src/tests/lab/exporter.py", f"{PLACE}/ours"]
        ours = host.guest.run(argv, timeout=600)
    found = json.loads(ours.stdout)
    return Bundled(ours.seconds, peer.seconds, found["bytes"], int(peer.stdout), found["peak_mib"])
