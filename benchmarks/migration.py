"""A migration to overlay2 against what is done by hand, on equal copies of one loop-lvm host.

By hand: the six steps (export, stop, remove the data root, change the configuration, start,
import), and for the images alone ``docker save | docker load`` into a second engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.lab import hostkinds, migrated
from tests.lab.guest import Guest
from tests.lab.hosts import DAEMON_JSON, DATA_ROOT, Host

LAYER_MIB, TIMES = 10, 4
PYTHON = "/opt/salt/3008/bin/python"
COLD = "sync; echo 3 > /proc/sys/vm/drop_caches"
FILL = "set -o pipefail; /usr/bin/python3 /src/benchmarks/images.py {mib} | docker load -q; sync"
SAVE_ALL = "docker save $(docker images --format '{{.Repository}}:{{.Tag}}')"

# What a container is created with. KILL, since sleep as a first process ignores SIGTERM: nobody's
# downtime is to be that of programs that do not end.
RUNNING = {
    "web": "--restart always -v vol-web:/data",
    "db": "--restart unless-stopped -v vol-db:/data",
    "api": "--restart always",
    "queue": "",
    "cache": "",
}
STOPPED = {"job-1": "", "job-2": "", "job-3": ""}
VOLUMES = ("vol-web", "vol-db")
OWN_MIB, VOLUME_MIB = 4, 20
IMAGES = dict(zip([*RUNNING, *STOPPED], (0, 1, 5, 6, 10, 11, 15, 19), strict=True))


def _create(name: str, image: str) -> str:
    options = (RUNNING | STOPPED)[name]
    return f"docker create --name {name} --stop-signal KILL {options} {image} sleep 1000000"


OBJECTS = "\n".join(
    [
        "set -e",
        *(f"docker volume create {name}" for name in VOLUMES),
        *(_create(name, f"bench/app:{number}") for name, number in IMAGES.items()),
        f"docker start {' '.join(IMAGES)}",
        *(
            f"docker exec {name} sh -c 'head -c {OWN_MIB << 20} /dev/urandom > /own'"
            for name in IMAGES
        ),
        *(
            f"docker exec {name} sh -c 'head -c {VOLUME_MIB << 20} /dev/urandom > /data/file'"
            for name in ("web", "db")
        ),
        f"docker stop {' '.join(STOPPED)}",
        "sync",
    ]
)  # fmt: skip

# Into a second engine of its own, which is started before the clock is. It is Docker's own
# program; what starts it here spares a page of shell.
SECOND = f"""
import json, subprocess, time
from pathlib import Path
from dockerstorage_lib.adapters import second_daemon, services

second = second_daemon.SecondDaemon(Path("{DATA_ROOT}/bench"))
second.start(second_daemon.settings_like(services.daemon(), "overlay2"), 60)
subprocess.run("{COLD}", shell=True, check=True)
started = time.monotonic()
line = "{SAVE_ALL} | docker -H $1 load -q; sync"
subprocess.run(["bash", "-c", line, "bash", f"unix://{{second_daemon.RUN}}/docker.sock"],
               check=True, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - started
loaded = len(second.engine().images())
second.stop()
print(json.dumps([seconds, loaded]))
"""

# What no migration can spare: the engine stops and starts, and what ran is started.
RESTART = f"""set -e
systemctl stop docker.socket docker.service
systemctl start docker.socket docker.service
docker start {" ".join(RUNNING)} > /dev/null
"""

BY_HAND = f"""set -e
note() {{ echo $1 $(date +%s.%N) $(df -B1 --output=used {DATA_ROOT} | tail -1) \
    $(df -B1 --output=used /srv | tail -1); }}
note begin
docker stop {" ".join(RUNNING)} > /dev/null
note stopped
for name in {" ".join(IMAGES)}; do docker commit $name kept/$name > /dev/null; done
note committed
{SAVE_ALL} > /srv/images.tar
note saved
for name in {" ".join(VOLUMES)}; do
    tar -C $(docker volume inspect -f '{{{{.Mountpoint}}}}' $name) -cf /srv/$name.tar .
done
note exported
systemctl stop docker.socket docker.service
rm -rf {DATA_ROOT}/*
echo '{json.dumps(hostkinds.OVERLAY_SETTINGS)}' > {DAEMON_JSON}
systemctl start docker.socket docker.service
note started
docker load -q -i /srv/images.tar > /dev/null
note loaded
for name in {" ".join(VOLUMES)}; do
    docker volume create $name > /dev/null
    tar -C $(docker volume inspect -f '{{{{.Mountpoint}}}}' $name) -xf /srv/$name.tar
done
{{ {"; ".join(_create(name, f"kept/{name}") for name in IMAGES)}; }} > /dev/null
docker start {" ".join(RUNNING)} > /dev/null
note running
"""


@dataclass(frozen=True)
class Ours:
    """A migration."""

    downtime_seconds: float
    #: Of a mere restart of engine and containers, on the new store.
    restart_seconds: float
    total_seconds: float
    #: Of each step.
    seconds: dict[str, float]
    #: More than before, with both stores there.
    extra_bytes: int


@dataclass(frozen=True)
class ByHand:
    """The six steps."""

    downtime_seconds: float
    #: Of each part of them.
    seconds: dict[str, float]
    #: The most beyond what was there before.
    extra_bytes: int


@dataclass(frozen=True)
class Moved:
    """All of it."""

    ours: Ours
    by_hand: ByHand
    larger: Ours
    save_and_load_seconds: float
    layer_bytes: int


def moved() -> Moved:
    """Move the host both ways, and one that has more bytes in as many images."""
    with _filled(LAYER_MIB) as host:
        ours, layer_bytes = _ours(host)
        _again(host)
        seconds = _save_and_load(host)
        by_hand = _by_hand(host)
    with _filled(LAYER_MIB * TIMES) as host:
        larger, _ = _ours(host)
    return Moved(ours, by_hand, larger, seconds, layer_bytes)


@contextmanager
def _filled(mib: int) -> Iterator[Host]:
    """A host with its objects, from a fresh boot."""
    with Guest("bench-migrate") as guest:
        host = hostkinds.loop_host(guest)
        other = guest.add_disk(4 * hostkinds.GIB)
        guest.run(f"mkfs.ext4 -q -E nodiscard {other}")
        guest.run(FILL.format(mib=mib), timeout=1500)
        guest.run(OBJECTS, timeout=180)
        guest.poweroff()
        guest.snapshot("filled")
        guest.boot()
        _start(host)
        yield host


def _again(host: Host) -> None:
    host.guest.reset("filled")
    host.guest.boot()
    _start(host)


def _start(host: Host) -> None:
    """Those of no restart policy too."""
    host.start_docker()
    host.guest.run(f"docker start {' '.join(RUNNING)}; mount /dev/ubdd /srv")
    _check(host, "devicemapper")
    host.guest.run(COLD)


def _ours(host: Host) -> tuple[Ours, int]:
    """Migrate; with the bytes of all layers."""
    layers = layer_bytes(host)
    host.guest.run(COLD)
    before = _used(host)
    ran = host.guest.run([*migrated.ARGV, "run", "{}"], timeout=600)
    found: dict[str, Any] = json.loads(ran.stdout)
    if found.get("outcome") != "switched":
        raise RuntimeError(f"the migration came to nothing: {found}")
    _check(host, "overlay2")
    extra_bytes = _used(host) - before
    ours = Ours(
        downtime_seconds=found["downtime_seconds"],
        restart_seconds=host.guest.run(RESTART, timeout=120).seconds,
        total_seconds=ran.seconds,
        seconds={one["step"]: one["seconds"] for one in found["steps"]},
        extra_bytes=extra_bytes,
    )
    return ours, layers


def _save_and_load(host: Host) -> float:
    ran = host.guest.run([PYTHON, "-c", SECOND], timeout=600)
    seconds, images = json.loads(ran.stdout)
    if images != int(host.docker("info", "-f", "{{.Images}}")):
        raise RuntimeError(f"only {images} images were loaded")
    host.guest.run(f"rm -r {DATA_ROOT}/bench; {COLD}")
    return float(seconds)


def _by_hand(host: Host) -> ByHand:
    lines = host.guest.run(BY_HAND, timeout=900).stdout.splitlines()
    _check(host, "overlay2")
    rows = [
        (name, float(at), int(root) + int(srv)) for name, at, root, srv in map(str.split, lines)
    ]
    return ByHand(
        downtime_seconds=rows[-1][1] - rows[0][1],
        seconds={name: at - before for (_, before, _), (name, at, _) in pairwise(rows)},
        extra_bytes=max(used for _, _, used in rows) - rows[0][2],
    )


def _check(host: Host, driver: str) -> None:
    running = set(host.docker("ps", "--format", "{{.Names}}").split())
    if migrated.driver(host) != driver or running != set(RUNNING):
        raise RuntimeError(f"not on {driver} as it should be; running: {running}")


def _used(host: Host) -> int:
    return int(host.guest.run(f"sync; df -B1 --output=used {DATA_ROOT} | tail -1").stdout)


def layer_bytes(host: Host) -> int:
    total = "awk '{ sum += $1 } END { printf \"%d\", sum }'"
    return int(host.guest.run(f"{total} {DATA_ROOT}/image/*/layerdb/sha256/*/size").stdout)
