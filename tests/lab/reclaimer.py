"""Runs in a guest: a reclaim in a process of its own, which can end or stop itself on the way.

reclaimer.py [act=N] [how=stop] [FLAG...]: FLAGs are test, stop_docker, trim. Dies by SIGKILL before
the Nth hole is made, or stops there until it is told to go on. Prints the result, or the error.

reclaimer.py mapped: prints a digest of all blocks that the inactive pool maps, and of its metadata.
"""

import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dockerstorage_lib import jobs, lock, reclaim, reclaim_place
from dockerstorage_lib.adapters import cold_pool, holes
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError

FOLDER = Path("/var/lib/docker/devicemapper/devicemapper")
words = sys.argv[1:]
deadly = dict(word.split("=") for word in words if "=" in word)
punch = holes.punch
number = 0


def counted(file: int, at: int, count: int) -> None:
    global number
    number += 1
    if number == int(deadly.get("act", 0)):
        os.kill(os.getpid(), signal.SIGSTOP if deadly.get("how") == "stop" else signal.SIGKILL)
    punch(file, at, count)


def mapped() -> str:
    found = hashlib.sha256((FOLDER / "metadata").read_bytes())
    with tempfile.TemporaryDirectory() as folder, (FOLDER / "data").open("rb") as data:
        cold_pool.copy_metadata(FOLDER / "metadata", Path(folder, "copy"))
        pool = cold_pool.read_map(Path(folder, "copy"))
        size = pool.data_block_sectors * 512
        runs = {run[1:] for device in pool.devices.values() for run in device.runs}
        for begin, length in sorted(runs):
            found.update(os.pread(data.fileno(), length * size, begin * size))
    return found.hexdigest()


def connect(seconds: float = 600) -> ImportEngine:
    return ImportEngine(timeout_seconds=seconds)


def work() -> Any:
    if "mapped" in words:
        return mapped()
    with lock.held("reclaim"):
        place = reclaim_place.find(connect, None)
        if "test" in words:
            return reclaim.preview(place)
        with jobs.running("reclaim", str(place.data), time.time(), lambda _: None) as job:
            flags = ("stop_docker" in words, "trim" in words)
            return reclaim.run(place, connect, *flags, time.time(), job)


holes.punch = counted
try:
    result = work()
except DockerstorageError as error:
    result = {"error": str(error)}
print(json.dumps(result))
