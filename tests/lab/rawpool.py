"""Runs in a guest: a pool "raw" of plain device mapper, led through words from standard input.

    make, fill:PERCENT, full, clear, fail, hang, release, remove, look, find

``look`` names the pool, ``find`` looks at all thin pools and tells what concerns this one. Prints
the events and the seconds of each look, as one line of JSON. Looks go through Salt's loader and
share one memory. The metadata lies behind a linear device, which can hang or fail.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import salt.client
import salt.config

NAME = "raw"
DATA_MIB, VOLUME_MIB = 16, 32
BLOCK_SECTORS = 128
LOW_WATER_BLOCKS = DATA_MIB * 2048 // BLOCK_SECTORS // 2


def run(command: str, check: bool = True, seconds: float = 30) -> None:
    subprocess.run(["sh", "-c", command], check=check, timeout=seconds)


class Pool:
    def __init__(self) -> None:
        self.disks: list[str] = []
        self.writers: list[subprocess.Popen[bytes]] = []

    def make(self) -> None:
        self.disks = [self._loop("raw-meta", 4), self._loop("raw-data", 2 * DATA_MIB)]
        run(f"dmsetup create raw-meta --table '0 8192 linear {self.disks[0]} 0'")
        run(f"dmsetup create raw-data --table '{self._data(DATA_MIB)}'")
        run(f"dmsetup create {NAME} --table '{self._table(DATA_MIB)}'")
        run(f"dmsetup message {NAME} 0 'create_thin 0'")
        run(f"dmsetup create raw-vol --table '0 {VOLUME_MIB * 2048} thin /dev/mapper/{NAME} 0'")

    def _loop(self, name: str, mib: int) -> str:
        file = f"/run/{name}.img"
        run(f"rm -f {file}; truncate -s {mib}M {file}")
        done = subprocess.run(["losetup", "-f", "--show", file], capture_output=True, check=True)
        return done.stdout.decode().strip()

    def _data(self, mib: int) -> str:
        return f"0 {mib * 2048} linear {self.disks[1]} 0"

    def _table(self, mib: int) -> str:
        devices = "/dev/mapper/raw-meta /dev/mapper/raw-data"
        return (
            f"0 {mib * 2048} thin-pool {devices} {BLOCK_SECTORS} {LOW_WATER_BLOCKS} "
            "1 skip_block_zeroing"
        )

    def fill(self, percent: str) -> None:
        count = DATA_MIB * int(percent) // 100
        run(f"dd if=/dev/zero of=/dev/mapper/raw-vol bs=1M count={count} oflag=direct status=none")

    def full(self) -> None:
        """A writer waits for room."""
        write = f"dd if=/dev/zero of=/dev/mapper/raw-vol bs=1M count={DATA_MIB + 1}"
        self._begin(f"{write} oflag=direct status=none")
        self._until("out_of_data_space")

    def _begin(self, command: str) -> None:
        self.writers.append(subprocess.Popen(["sh", "-c", f"{command} > /dev/null"]))

    def _end(self) -> None:
        for writer in self.writers:
            writer.wait(timeout=30)
        self.writers = []

    def _until(self, word: str) -> None:
        run(f"until dmsetup status --noflush {NAME} | grep -q {word}; do sleep 0.1; done")

    def clear(self) -> None:
        """Room for the writer that waits: more data."""
        for name, table in (
            ("raw-data", self._data(2 * DATA_MIB)),
            (NAME, self._table(2 * DATA_MIB)),
        ):
            run(f"dmsetup load {name} --table '{table}'")
            run(f"dmsetup suspend --noflush --nolockfs {name}")
            run(f"dmsetup resume {name}")
        self._end()

    def fail(self) -> None:
        """The metadata's disk is gone."""
        run("dmsetup load raw-meta --table '0 8192 error'; dmsetup suspend --noflush raw-meta")
        run("dmsetup resume raw-meta")
        run(f"dmsetup message {NAME} 0 'create_thin 7'", check=False)
        self._until("'Fail\\|needs_check'")

    def hang(self) -> None:
        """The metadata's disk does not answer, and the pool has something to commit."""
        run("dmsetup suspend --noflush raw-meta")
        self._begin(f"dmsetup message {NAME} 0 'create_thin 1'")
        time.sleep(0.5)
        self._begin(f"dmsetup status {NAME}")
        time.sleep(1)

    def release(self) -> None:
        run("dmsetup resume raw-meta")
        self._end()
        time.sleep(0.5)

    def remove(self) -> None:
        for name in ("raw-vol", NAME, "raw-data", "raw-meta"):
            if Path(f"/dev/mapper/{name}").exists():
                run(f"dmsetup remove --retry {name}")
        for disk in self.disks:
            run(f"losetup -d {disk}")
        self.disks = []


def main() -> None:
    opts = salt.config.minion_config("/etc/salt/minion")
    opts["file_client"] = "local"
    caller = salt.client.Caller(mopts=opts)
    pool, found = Pool(), []
    memory = f"lab-{os.getpid()}"
    try:
        for word in sys.stdin.read().split():
            if word not in ("look", "find"):
                name, _, value = word.partition(":")
                getattr(pool, name)(*([value] if value else []))
                continue
            pools = [NAME] if word == "look" else None
            started = time.monotonic()
            events = caller.cmd(
                "dockerstorage.watch", pools=pools, timeout=1, memory=f"{memory}-{word}"
            )
            seconds = time.monotonic() - started
            ours = [event for event in events if event["pool"] == NAME]
            found.append({"events": ours, "seconds": seconds})
    finally:
        pool.remove()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
