"""A real master, started by hand: with what it uses, logs and answers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import salt.client
import salt.config

START_SECONDS = 180
PING_SECONDS = 120


@dataclass(frozen=True)
class Use:
    """What the master's processes use at a moment, all together."""

    cpu_seconds: float
    #: Resident; what processes share counts in each.
    memory_bytes: int
    descriptors: int


class Master:
    """A running master."""

    def __init__(self, config: Path, process: subprocess.Popen[bytes]) -> None:
        self.opts = salt.config.master_config(str(config))
        self._process = psutil.Process(process.pid)

    def use(self) -> Use:
        """What it uses now."""
        cpu, memory, descriptors = 0.0, 0, 0
        for one in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                cpu += times.user + times.system
                memory += one.memory_info().rss
                descriptors += one.num_fds()
        return Use(cpu, memory, descriptors)

    def log(self) -> list[str]:
        """The lines of its log so far."""
        return Path(self.opts["log_file"]).read_text().splitlines()

    def ping(self, minion: str) -> float:
        """Seconds until a minion's answer to ``test.ping`` is back."""
        started = time.monotonic()
        with salt.client.LocalClient(mopts=dict(self.opts)) as client:
            found = client.cmd([minion], "test.ping", tgt_type="list", timeout=PING_SECONDS)
        assert found == {minion: True}, found
        return time.monotonic() - started


@contextlib.contextmanager
def running(config: Path) -> Iterator[Master]:
    """Start a master of a configuration file, wait until it listens, and end it."""
    program = Path(sys.executable).with_name("salt-master")
    with (config.parent / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(program), "-c", str(config.parent), "-l", "quiet"],
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        master = Master(config, process)
        _await(master.opts, process)
        yield master
    finally:
        end(process)


def _await(opts: Mapping[str, Any], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the master ended"
        with contextlib.suppress(OSError):
            for port in (opts["ret_port"], opts["publish_port"]):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.2)
    raise AssertionError("the master does not listen")


def end(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it started."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=20)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=20)
