"""Filling a thin pool from below Docker: fast, and with nothing that a prune could remove.

A filler is a thin device of the pool that belongs to nobody, as a tool of its own would make one.
"""

from __future__ import annotations

from tests.lab.hosts import Host

FILL = r"""set -e
pool=$1 percent=$2
status() { dmsetup status --noflush $pool; }
blocks() { status | cut -d' ' -f6; }
dmsetup info filler >/dev/null 2>&1 || {
    dmsetup message $pool 0 "create_thin 16000000"
    dmsetup create filler --table "0 $((16 << 21)) thin /dev/mapper/$pool 16000000"; }
kib=$(($(dmsetup table $pool | cut -d' ' -f6) / 2))
used=$(blocks | cut -d/ -f1) total=$(blocks | cut -d/ -f2)
wanted=$((total * percent / 100 - used)) at=$(cat /run/filler 2>/dev/null || echo 0)
test $wanted -le 0 || dd if=/dev/zero of=/dev/mapper/filler bs=${kib}K count=$wanted seek=$at \
    oflag=direct conv=notrunc status=none
echo $((at + (wanted > 0 ? wanted : 0))) > /run/filler
"""
#: Snapshots of one device, each with a few blocks of its own: that costs metadata, not data.
EXHAUST = r"""
import os, subprocess, sys
pool, size = sys.argv[1], 4096  # blocks of 64 KiB
def dm(*words):
    subprocess.run(["dmsetup", *map(str, words)], check=True)
def thin(number):
    dm("create", f"t{number}", "--table", f"0 {size * 128} thin /dev/mapper/{pool} {number}")
def write(number, blocks):
    device = os.open(f"/dev/mapper/t{number}", os.O_WRONLY | os.O_SYNC)
    for block in blocks:
        os.pwrite(device, b"x" * 65536, block * 65536)
    os.close(device)
dm("message", pool, 0, "create_thin 0")
thin(0)
write(0, range(size))
try:
    for number in range(1, 99):
        dm("suspend", "t0")
        try:
            dm("message", pool, 0, f"create_snap {number} 0")
        finally:
            dm("resume", "t0")
        thin(number)
        write(number, range(0, size, 60))
except (OSError, subprocess.CalledProcessError) as error:
    print(error)
"""


def fill_to(host: Host, percent: int, pool: str = "docker-thinpool") -> None:
    """Fill a pool's data to a percent, as it is now; a full pool makes this wait or fail."""
    argv = ["bash", "-c", FILL, "bash", pool, str(percent)]
    host.guest.run(argv, timeout=120)


def exhaust_metadata(host: Host, pool: str) -> None:
    """Use all the metadata of an empty pool with chunks of 64 KiB: it becomes read-only."""
    host.guest.run(["python3", "-c", EXHAUST, pool], timeout=120)
