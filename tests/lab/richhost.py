"""A host with objects that are hard to carry: all kinds of files, of configuration, of networks."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.hosts import Host

CONTENTS = "/usr/bin/python3 /src/tests/lab/contents.py"
#: Of the container "rich": much of what an inspect document can say.
SETUP = """set -e
docker network create --subnet 172.31.5.0/24 --gateway 172.31.5.254 --label team=a \
    -o com.docker.network.bridge.name=br-rich net-rich >/dev/null
docker network create net-second >/dev/null
docker volume create --label team=a vol-rich >/dev/null
docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m vol-elsewhere >/dev/null
docker create --name rich --label team=a --label 'note=ü "quoted"' -e KEY='a b=c' \
    --hostname rich.test --net net-rich --ip 172.31.5.7 --network-alias friend \
    -v vol-rich:/data -v /scratch -v /srv:/host:ro --tmpfs /t --restart unless-stopped \
    --memory 64m --cap-add NET_ADMIN \
    --health-cmd true --health-interval 1h --ulimit nofile=123:456 --log-opt max-size=1m \
    --log-opt max-file=3 --stop-signal KILL --user 0:0 --workdir /data --init=false \
    --add-host h:1.2.3.4 --read-only=false --shm-size 1m --sysctl net.ipv4.ip_forward=0 \
    lab/app:2 sh -c 'echo begun; sleep 1000000' >/dev/null
docker network connect --alias other net-second rich
docker start rich >/dev/null
docker create --name needs-rich --volumes-from rich --net container:rich --stop-signal KILL \
    lab/app:1 sleep 1000000 >/dev/null
docker exec rich sh -c 'rm /a /bin/sync; rm -r /tmp; echo now a file > /tmp; mkdir /b2; mv /b /b2/b'
docker exec rich busybox chown 12:34 /b2/b
docker exec rich sh -c 'rm -r /etc; mkdir -p /etc/new'
{contents} fill /proc/$(docker inspect -f '{{{{.State.Pid}}}}' rich)/root
{contents} fill $(docker volume inspect -f '{{{{.Mountpoint}}}}' vol-rich)
anonymous=$(docker inspect rich |
    jq -r '.[0].Mounts[] | select(.Destination == "/scratch") | .Source')
echo kept > $anonymous/file
sync
"""


def enrich(host: Host) -> None:
    """Make the objects."""
    host.guest.run(SETUP.format(contents=CONTENTS), timeout=120)


def volume(host: Host, name: str) -> dict[str, Any]:
    """All that a volume holds, by path."""
    return tree(host, host.inspect("volume", name)["Mountpoint"])


def container(host: Host, name: str) -> dict[str, Any]:
    """All that a running container's own file system holds, by path."""
    return tree(host, f"/proc/{host.inspect('container', name)['State']['Pid']}/root")


def tree(host: Host, root: str) -> dict[str, Any]:
    """All that lies in a directory of the guest, by path."""
    shown = host.guest.run(f"{CONTENTS} show {root}/", timeout=60).stdout
    return dict(json.loads(line) for line in shown.splitlines())
