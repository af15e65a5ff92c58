"""What a host holds, seen with Docker's and the kernel's own tools: the other side of a test."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.hosts import Host

_STATE = r"""
docker ps -aq --no-trunc | sort | xargs -r docker inspect > /tmp/containers
docker images -aq --no-trunc | sort -u | xargs -r docker image inspect > /tmp/images
docker volume ls -q | sort | xargs -r docker volume inspect > /tmp/volumes
docker network ls -q --no-trunc | sort | xargs -r docker network inspect > /tmp/networks
for kind in containers images volumes networks; do
    [ -s /tmp/$kind ] || echo '[]' > /tmp/$kind
done
# The engine lists mounts in another order each time.
jq -n '{containers: ($c[0] | map(.Mounts |= sort_by(.Destination))), images: $i[0],
        volumes: $v[0], networks: $n[0]}' \
    --slurpfile c /tmp/containers --slurpfile i /tmp/images \
    --slurpfile v /tmp/volumes --slurpfile n /tmp/networks
"""


def state(host: Host) -> dict[str, list[dict[str, Any]]]:
    """Every object's whole inspect document, as the engine gives it."""
    return json.loads(host.guest.run(_STATE, timeout=120).stdout)


def names(host: Host) -> dict[str, set[str]]:
    """Names of all containers, tags (ids where there are none), volumes and networks."""
    seen = state(host)
    return {
        "container": {one["Name"].lstrip("/") for one in seen["containers"]},
        "image": {tag for one in seen["images"] for tag in one["RepoTags"] or [one["Id"]]},
        "volume": {one["Name"] for one in seen["volumes"]},
        "network": {one["Name"] for one in seen["networks"]},
    }


def used_blocks(host: Host) -> int:
    """Data blocks that the thin pool has in use, by the kernel."""
    line = host.guest.run("dmsetup status --noflush --target thin-pool").stdout
    words = line[line.index(" thin-pool ") :].split()
    return int(words[3].partition("/")[0])
