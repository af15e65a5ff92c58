"""A real master with accepted keys, and the process of the simulated minions: what a storm needs."""

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

import psutil
import salt.client
import salt.config
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.functional import installs
from tests.functional.storm.simhost import Host

#: A tenth of a second each. Neighbours have different ones.
KEY_PAIRS = 20
START_SECONDS = 180
#: A machine may be slow. One on which nothing moves for so long has failed.
STALLED_SECONDS = 120


@dataclass(frozen=True)
class Use:
    """What the master's processes use at a moment, all together."""

    cpu_seconds: float
    memory_bytes: int
    descriptors: int
    processes: int


class Master:
    """A running master."""

    def __init__(self, config: Path, process: subprocess.Popen[bytes]) -> None:
        self.opts = salt.config.master_config(str(config))
        self._process = psutil.Process(process.pid)

    def use(self) -> Use:
        """What all its processes use, those that ended included in the CPU's time."""
        cpu, memory, descriptors, seen = 0.0, 0, 0, 0
        for one in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                cpu += times.user + times.system
                # Shared pages count once, in parts.
                memory += one.memory_full_info().pss
                descriptors += one.num_fds()
                seen += 1
        return Use(cpu, memory, descriptors, seen)

    def log(self) -> list[str]:
        """The lines of its log so far."""
        return Path(self.opts["log_file"]).read_text().splitlines()

    def ping(self, minion: str) -> float:
        """Seconds until a minion's answer to ``test.ping`` is back."""
        started = time.monotonic()
        with salt.client.LocalClient(mopts=dict(self.opts)) as client:
            found = client.cmd([minion], "test.ping", tgt_type="list", timeout=STALLED_SECONDS)
        assert found == {minion: True}, found
        return time.monotonic() - started


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
        seen, moved_at = dict(self.counts), time.monotonic()
        while not until():
            time.sleep(0.1)
            if self.counts != seen:
                seen, moved_at = dict(self.counts), time.monotonic()
            stalled = time.monotonic() - moved_at > STALLED_SECONDS
            if stalled or self._process.poll() is not None:
                raise AssertionError(f"{what}: nothing moves any more: {self.counts}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            self.counts, self.times = told["counts"], told["times"]
            self._done += told.get("done", False)


@dataclass(frozen=True)
class Arena:
    """A master and its minions."""

    master: Master
    fleet: Fleet


@contextlib.contextmanager
def arena(minions: int, reactor: Sequence[Mapping[str, Any]], **settings: Any) -> Iterator[Arena]:
    """Start a master that has accepted so many minions, and them; none is connected yet."""
    folder = Path(tempfile.mkdtemp(prefix="storm-"))  # short: sockets lie below it
    # As /run is: a minion's records are on no disk.
    runs = Path(tempfile.mkdtemp(prefix="storm-", dir="/dev/shm"))
    try:
        pki = folder / "pki"
        names = [f"m{number:04}" for number in range(minions)]
        _make_keys(names, folder / "minions", pki / "minions")
        hosts = _make_hosts(names, runs)
        ports = _free_ports(2)
        config = folder / "master"
        own = {
            "root_dir": str(folder), "pki_dir": str(pki), "interface": "127.0.0.1",
            "publish_port": ports[0], "ret_port": ports[1], "log_level_logfile": "warning",
            "log_file": str(folder / "log"), "reactor": list(reactor), **settings,
        }  # fmt: skip
        config.write_text(json.dumps(own))
        with _master(config) as master:
            plan = folder / "plan.json"
            plan.write_text(json.dumps(_plan(names, folder, runs, ports)))
            with _fleet(plan, hosts) as fleet:
                yield Arena(master, fleet)
    finally:
        for one in (folder, runs):
            shutil.rmtree(one, ignore_errors=True)


def _make_keys(names: Sequence[str], folder: Path, accepted: Path) -> None:
    """Minions' folders of keys, and the master's copies of the public ones."""
    accepted.mkdir(parents=True)
    pairs = [_key_pair() for _ in range(min(KEY_PAIRS, len(names)))]
    for number, name in enumerate(names):
        private, public = pairs[number % len(pairs)]
        (folder / name).mkdir(parents=True)
        (folder / name / "minion.pem").write_bytes(private)
        (folder / name / "minion.pub").write_bytes(public)
        (accepted / name).write_bytes(public)


def _key_pair() -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def _make_hosts(names: Sequence[str], folder: Path) -> dict[str, Host]:
    hosts = {}
    for name in names:
        (folder / name).mkdir()
        hosts[name] = Host(folder / name)
        hosts[name].run.mkdir(mode=0o700)
    return hosts


def _plan(names: Sequence[str], folder: Path, runs: Path, ports: Sequence[int]) -> dict[str, Any]:
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
            {"id": name, "pki_dir": str(keys / name), "folder": str(runs / name)}
            for name in names
        ],
    }  # fmt: skip


@contextlib.contextmanager
def _master(config: Path) -> Iterator[Master]:
    command = [sys.executable, str(Path(sys.executable).with_name("salt-master"))]
    with (config.parent / "out").open("wb") as out:
        process = subprocess.Popen(
            [*command, "-c", str(config.parent), "-l", "quiet"],
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        master = Master(config, process)
        _await_master(master.opts, process)
        yield master
    finally:
        _end(process)


def _await_master(opts: Mapping[str, Any], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the master ended"
        with contextlib.suppress(OSError):
            for port in (opts["ret_port"], opts["publish_port"]):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.2)
    raise AssertionError("the master does not listen")


@contextlib.contextmanager
def _fleet(plan: Path, hosts: Mapping[str, Host]) -> Iterator[Fleet]:
    paths = os.pathsep.join([str(installs.ROOT), str(installs.ROOT / "_utils")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.functional.storm.fleet", str(plan)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths}, cwd=installs.ROOT,
    )  # fmt: skip
    try:
        yield Fleet(process, hosts)
    finally:
        _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    """End a process and all that it started; each has a session of its own."""
    family = [psutil.Process(process.pid)] if process.poll() is None else []
    family += [child for one in family for child in one.children(recursive=True)]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=20)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait(timeout=20)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as open_ones:
        found = []
        for _ in range(count):
            one = open_ones.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found
