"""What a storm needs: a real master that has accepted many keys, and the minions that own them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.functional import installs
from tests.functional.keys import key_pair
from tests.functional.storm import realmaster
from tests.functional.storm.realmaster import Master, Use
from tests.functional.storm.simhost import Host

#: A tenth of a second each. Neighbours have different ones.
KEY_PAIRS = 20
#: A machine may be slow. One on which nothing moves for so long has failed.
STALLED_SECONDS = 120
SECONDS_BETWEEN_PINGS = 3


class Fleet:
    """The process of the simulated minions, from outside."""

    def __init__(self, process: subprocess.Popen[str], hosts: Mapping[str, Host]) -> None:
        self.hosts = hosts
        self.counts: dict[str, int] = {}
        self.times: dict[str, float] = {}
        self._process = process
        self._done = 0
        threading.Thread(target=self._read, daemon=True).start()

    def do(self, command: str, **arguments: Any) -> None:
        """Have something done, and wait for its end."""
        end = self._done + 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()
        self.wait(lambda: self._done >= end, command)

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Wait as long as something moves; the counts so far are in the error."""
        seen, moved_at = self._work(), time.monotonic()
        while not until():
            time.sleep(0.1)
            if self._work() != seen:
                seen, moved_at = self._work(), time.monotonic()
            stalled = time.monotonic() - moved_at > STALLED_SECONDS
            if stalled or self._process.poll() is not None:
                raise AssertionError(f"{what}: nothing moves any more: {self.counts}")

    def _work(self) -> dict[str, int]:
        # Pings go on whatever happens.
        return {what: count for what, count in self.counts.items() if what != "test.ping"}

    def leave(self) -> None:
        """End it, with all its connections."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(timeout=20)
        realmaster.end(self._process)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.counts, self.times = told["counts"], told["times"]
            self._done += told["done"]


@dataclass(frozen=True)
class Storm:
    """What was seen of a storm."""

    #: From the first event until the last job was answered.
    seconds: float
    #: Jobs that were answered.
    jobs: int
    before: Use
    after: Use
    #: Seconds that ``test.ping`` took meanwhile, again and again.
    pings: tuple[float, ...]

    @property
    def cpu_seconds(self) -> float:
        """What the master needed for it."""
        return self.after.cpu_seconds - self.before.cpu_seconds


@dataclass(frozen=True)
class Arena:
    """A master and its minions."""

    master: Master
    fleet: Fleet

    def storm(self, jobs: int, function: str = "dockerstorage.remediate", **fire: Any) -> Storm:
        """Have the minions fire, and wait until so many jobs of a function are answered.

        fire: arguments of the fleet's command of that name.
        """
        answered = self.fleet.counts.get(function, 0)
        before = self.master.use()
        with self._pinging() as pings:
            self.fleet.do("fire", **fire)
            self.fleet.wait(
                lambda: self.fleet.counts.get(function, 0) >= answered + jobs, "jobs answered"
            )
            after = self.master.use()
        times = self.fleet.times
        return Storm(times["answered"] - times["fired"], jobs, before, after, tuple(pings))

    @contextlib.contextmanager
    def _pinging(self) -> Iterator[list[float]]:
        pings: list[float] = []
        over = threading.Event()

        def ping() -> None:
            while not over.wait(SECONDS_BETWEEN_PINGS):
                pings.append(self.master.ping(next(iter(self.fleet.hosts))))

        thread = threading.Thread(target=ping)
        thread.start()
        try:
            yield pings
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def arena(minions: int, reactor: Sequence[Mapping[str, Any]], **settings: Any) -> Iterator[Arena]:
    """Start a master that has accepted so many minions, and them; none is connected yet."""
    folder = Path(tempfile.mkdtemp(prefix="storm-"))  # short: sockets lie below it
    # As /run is: what a host notes of a remedy is on no disk.
    hosts_folder = Path(tempfile.mkdtemp(prefix="storm-", dir="/dev/shm"))
    try:
        names = [f"m{number:04}" for number in range(minions)]
        _make_keys(names, folder / "minions", folder / "pki/minions")
        hosts = _make_hosts(names, hosts_folder)
        ports = _free_ports(2)
        config = folder / "master"
        own = {
            "root_dir": str(folder), "pki_dir": str(folder / "pki"), "interface": "127.0.0.1",
            "publish_port": ports[0], "ret_port": ports[1], "log_level_logfile": "warning",
            "log_file": str(folder / "log"), "reactor": list(reactor), **settings,
        }  # fmt: skip
        config.write_text(json.dumps(own))
        with realmaster.running(config) as master:
            plan = folder / "plan.json"
            plan.write_text(json.dumps(_plan(names, folder, hosts_folder, ports)))
            with _fleet(plan, hosts) as fleet:
                yield Arena(master, fleet)
    finally:
        for one in (folder, hosts_folder):
            shutil.rmtree(one, ignore_errors=True)


def _make_keys(names: Sequence[str], folder: Path, accepted: Path) -> None:
    """Minions' folders of keys, and the master's copies of the public ones."""
    accepted.mkdir(parents=True)
    pairs = [key_pair() for _ in range(min(KEY_PAIRS, len(names)))]
    for number, name in enumerate(names):
        private, public = pairs[number % len(pairs)]
        (folder / name).mkdir(parents=True)
        (folder / name / "minion.pem").write_bytes(private)
        (folder / name / "minion.pub").write_bytes(public)
        (accepted / name).write_bytes(public)


def _make_hosts(names: Sequence[str], folder: Path) -> dict[str, Host]:
    hosts = {}
    for name in names:
        (folder / name).mkdir()
        hosts[name] = Host(folder / name)
        hosts[name].run.mkdir(mode=0o700)
    return hosts


def _plan(
    names: Sequence[str], folder: Path, hosts_folder: Path, ports: Sequence[int]
) -> dict[str, Any]:
    """What the process of the minions must know."""
    keys = folder / "minions"
    for name in names:  # as if they had met before
        shutil.copy(folder / "pki/master.pub", keys / name / "minion_master.pub")
    return {
        "minion": {
            "root_dir": str(keys), "id": "nobody", "auth_timeout": STALLED_SECONDS,
            "master_ip": "127.0.0.1", "master_port": ports[1], "publish_port": ports[0],
            "master_uri": f"tcp://127.0.0.1:{ports[1]}",
        },
        "minions": [
            {"id": name, "keys": str(keys / name), "host": str(hosts_folder / name)}
            for name in names
        ],
    }  # fmt: skip


@contextlib.contextmanager
def _fleet(plan: Path, hosts: Mapping[str, Host]) -> Iterator[Fleet]:
    paths = os.pathsep.join([str(installs.ROOT), str(installs.ROOT / "_utils")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.functional.storm.fleet", str(plan)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths}, cwd=installs.ROOT,
    )  # fmt: skip
    fleet = Fleet(process, hosts)
    try:
        yield fleet
    finally:
        fleet.leave()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_ones:
        found = []
        for _ in range(count):
            one = open_ones.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found
