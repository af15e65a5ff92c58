"""A rescue of images against ``docker save`` of the same with the daemon up, and against dd."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.migration import COLD, FILL, LAYER_MIB, PYTHON, SAVE_ALL, layer_bytes
from tests.lab import hostkinds
from tests.lab.guest import Guest
from tests.lab.hosts import DATA_ROOT

DEST = "/srv/bundle"
SAVE = f"set -e; {SAVE_ALL} > /srv/images.tar; sync"
RESCUE = [PYTHON, "/src/tests/lab/rescuer.py", DATA_ROOT, DEST]
# What the pool's data holds, read once from the first to the last byte.
READ = f"""
import os, subprocess
path = "{DATA_ROOT}/devicemapper/devicemapper/data"
file, end = os.open(path, os.O_RDONLY), 0
while True:
    try:
        begin = os.lseek(file, end, os.SEEK_DATA)
    except OSError:
        break
    end = os.lseek(file, begin, os.SEEK_HOLE)
    subprocess.run(["dd", f"if={{path}}", "of=/dev/null", "bs=1M", "status=none",
                    "iflag=skip_bytes,count_bytes", f"skip={{begin}}", f"count={{end - begin}}"])
"""


@dataclass(frozen=True)
class Rescued:
    """Seconds, and the bytes of the images' layers."""

    our_seconds: float
    save_seconds: float
    read_seconds: float
    layer_bytes: int


def rescued() -> Rescued:
    """Twenty images that share layers; each way from cold caches, with all on disk at its end."""
    with Guest("bench-rescue") as guest:
        host = hostkinds.loop_host(guest)
        other = guest.add_disk(4 * hostkinds.GIB)
        guest.run(f"mkfs.ext4 -q -E nodiscard {other}; mount {other} /srv")
        guest.run(FILL.format(mib=LAYER_MIB), timeout=1500)
        guest.run(COLD)
        save = guest.run(SAVE, timeout=600).seconds
        size = layer_bytes(host)
        host.stop_docker()
        guest.run(f"rm /srv/images.tar; {COLD}")
        ours = guest.run(RESCUE, timeout=600, env={"PYTHONPATH": "/src/_utils:/src"})
        found = json.loads(ours.stdout)
        if found.get("damaged") != [] or not found["complete"]:
            raise RuntimeError(f"the rescue came to nothing: {found}")
        guest.run(COLD)
        read = guest.run([PYTHON, "-c", READ], timeout=300).seconds
    return Rescued(found["seconds"], save, read, size)
