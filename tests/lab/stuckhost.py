"""Docker hosts brought to a standstill on their pool, and what must be whole afterwards."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.cache import REPO
from tests.lab.hosts import DAEMON_JSON, DATA_ROOT, Host

CONTAINERS = f"{DATA_ROOT}/containers"

POOL = "docker-thinpool"
#: With it Docker goes on to make containers in a full pool, as releases before 1.13 did.
UNGUARDED = "dm.min_free_space=0%"
# A device that somebody has open when its container goes stays, marked as deleted.
DEFER = r"""set -e
write='dd if=/dev/zero of=/data/x bs=1M count=32; sync; sleep 9999'
docker run -d --name doomed --net=none lab/base:1 sh -c "$write" >/dev/null
until docker exec doomed ls /data/x > /dev/null 2>&1; do sleep 0.2; done
sleep 1; docker exec doomed sync
hash=$(docker inspect -f '{{.GraphDriver.Data.DeviceName}}' doomed)
setsid sleep 9999 < /dev/mapper/$hash > /dev/null 2>&1 &
echo $! > /run/holder
docker rm -f doomed > /dev/null
grep -l '"deleted":true' /var/lib/docker/devicemapper/metadata/*
"""
# no_space_timeout 0: what waits for room waits for ever, as older kernels had it.
HANG = r"""set -e
echo 0 > /sys/module/dm_thin_pool/parameters/no_space_timeout
dmsetup message $POOL 0 "create_thin 16000000"
dmsetup create filler --table "0 $((16 << 21)) thin /dev/mapper/$POOL 16000000"
blocks() { dmsetup status --noflush $POOL | cut -d' ' -f6 | tr / ' '; }
set -- $(blocks)
dd if=/dev/zero of=/dev/mapper/filler bs=512K count=$(($2 - $1)) oflag=direct status=none
setsid docker run -d --net=none --name waiter lab/base:1 sleep 1000000 > /dev/null 2>&1 &
until ps -eLo stat,comm | grep -q '^D.*dockerd'; do sleep 0.1; done
if timeout 3 docker info > /dev/null 2>&1; then exit 1; fi
"""
LOAD = r"""
load() { dmsetup load ${POOL}_tmeta --table "$1"
         dmsetup suspend --noflush --nolockfs ${POOL}_tmeta; dmsetup resume ${POOL}_tmeta; }
table=$(dmsetup table ${POOL}_tmeta); set -- $table
"""
# The disk takes no writes for a moment: the commit fails, and the kernel wants a check.
BREAK = f"""set -e
modprobe dm-flakey
{LOAD}
load "0 $2 flakey $4 $5 0 600 1 error_writes"
docker run --rm --net=none lab/base:1 true 2>/dev/null && exit 1
load "$table"
dmsetup status --noflush $POOL | grep -q needs_check
"""
FAIL = f"""set -e
{LOAD}
echo "$table" > /run/tmeta
dmsetup message $POOL 0 "create_thin 16000000"
dmsetup create filler --table "0 2097152 thin /dev/mapper/$POOL 16000000"
load "0 $2 error"
dd if=/dev/zero of=/dev/mapper/filler bs=512K count=4 oflag=direct status=none || true
dmsetup remove --retry filler
dmsetup status --noflush $POOL | grep -q Fail
"""
MEND = f'{LOAD}\nload "$(cat /run/tmeta)"'
# A private namespace is copied with all mounts: a service that was started meanwhile has them too.
KILL = r"""
setsid unshare -m --propagation private sleep 9999 > /dev/null 2>&1 &
sleep 0.5
init=$(docker inspect -f '{{.State.Pid}}' $NAME)
pid=$(cat /run/docker.pid)
# Neither started again, nor stopped in order.
mkdir -p /run/systemd/system/docker.service.d
printf '[Service]\nRestart=no\n' > /run/systemd/system/docker.service.d/no.conf
systemctl daemon-reload
kill -9 $pid
while test -e /proc/$pid; do sleep 0.1; done
kill -9 $init
while test -e /proc/$init; do sleep 0.1; done
systemctl stop docker.socket docker.service
rm -r /run/systemd/system/docker.service.d; systemctl daemon-reload
"""
# The mark that the kernel leaves when a commit fails; the checksum is crc32c with a salt.
MARK = r"""
import struct
def checksum(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 160774
with open("/var/lib/docker/devicemapper/devicemapper/metadata", "r+b") as file:
    block = bytearray(file.read(4096))
    assert struct.unpack_from("<I", block)[0] == checksum(block[4:])
    struct.pack_into("<I", block, 4, struct.unpack_from("<I", block, 4)[0] | 1)
    struct.pack_into("<I", block, 0, checksum(block[4:]))
    file.seek(0)
    file.write(block)
"""
PRECIOUS = ("web", "kept-web")


def precious(host: Host) -> dict[str, Any]:
    """Give running containers data of their own; all that must be there afterwards."""
    for name in PRECIOUS:
        host.docker("exec", name, "sh", "-c", "head -c 3000000 /dev/urandom > /precious; sync")
    return precious_now(host)


def precious_now(host: Host) -> dict[str, Any]:
    """Objects by Docker's own tools, but for one that waited meanwhile, and contents of files."""
    state = host.state()
    del state["pool"]
    networks = host.docker("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}")
    # Docker makes its own bridge anew whenever it starts.
    state["networks"] = [row for row in networks.splitlines() if not row.endswith(" bridge")]
    state["containers"] = [row for row in state["containers"] if " waiter " not in row]
    digest = "for c in $NAMES; do docker cp $c - | tar -xO | sha256sum; done"
    # The container's own file, and one of each layer of an image.
    names = "web:/precious kept-web:/precious done:/a done:/b"
    state["data"] = host.guest.run(digest, env={"NAMES": names}).stdout
    return state


def outside(host: Host) -> str:
    """What the kernel, LVM and systemd tell of the host, its daemon not asked."""
    return host.guest.run(
        "dmsetup table; dmsetup status --noflush; cat /proc/1/mountinfo; lvs -a docker 2>/dev/null;"
        "systemctl show -p ActiveState,MainPID docker.socket docker.service;"
        "ls /var/lib/dockerstorage* /var/lib/docker/devicemapper/metadata 2>/dev/null; true"
    ).stdout


def hang_on_full_pool(host: Host, deferred: bool = False) -> None:
    """Fill the pool and let the daemon wait for room; deferred: with a device left to delete."""
    settings = json.loads(host.guest.run(["cat", DAEMON_JSON]).stdout)
    settings["storage-opts"].append(UNGUARDED)
    host.stop_docker()
    host.configure(settings)
    host.start_docker()
    if deferred:
        host.guest.run(DEFER)
    host.guest.run(HANG, timeout=120, env={"POOL": POOL})


def let_go(host: Host) -> None:
    """End who holds the deferred device open."""
    host.guest.run("kill $(cat /run/holder); sleep 0.5")


def break_a_commit(host: Host) -> None:
    """The pool becomes read-only and needs a check."""
    host.guest.run(BREAK, env={"POOL": POOL})


def fail_metadata(host: Host) -> None:
    """The metadata's disk is gone, and the kernel gives the pool up."""
    host.guest.run(FAIL, env={"POOL": POOL})


def mend_metadata(host: Host) -> None:
    host.guest.run(MEND, env={"POOL": POOL})


def kill_daemon_and_a_container(host: Host, name: str) -> None:
    """The daemon dies, its containers live on but for one, whose mounts are left."""
    host.guest.run(KILL, env={"NAME": name})


def root_processes(host: Host, name: str) -> set[str]:
    """Processes of a container, by the name that its control group has."""
    container = f"$(basename $(dirname $(grep -l '\"/{name}\"' {CONTAINERS}/*/config.v2.json)))"
    found = host.guest.run(f"grep -l {container} /proc/[0-9]*/cgroup 2>/dev/null; true").stdout
    return set(found.split())


def mark_loop_metadata(host: Host) -> None:
    """The pool of loop-lvm, inactive, needs a check."""
    host.guest.run(["python3", "-c", MARK])


def repair_by_hand() -> str:
    """The commands of docs/recover.md, but for those that start Docker."""
    text = (REPO / "docs" / "recover.md").read_text()
    block = text.split("\n```\n")
    (found,) = [one for one in block if one.startswith("cp --sparse")]
    commands = found.partition("systemctl start")[0]
    return f"set -e; cd {DATA_ROOT}/devicemapper/devicemapper\n{commands}"
