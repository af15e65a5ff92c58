"""A network for several guests and programs of this machine: a namespace, a bridge, taps.

    with Network() as network:
        with network.inside():            # what this thread starts is in the namespace
            guest = Guest("a", devices=network.plug("a"))
            guest.boot()
        network.configure(guest)          # after every boot
        subprocess.run(network.argv("ping", "-c1", network.address("a")))

Nothing of it reaches the machine's own network, nor the world.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab import build
from tests.lab.errors import LabError
from tests.lab.guest import Guest

NAMESPACES = Path("/run/netns")
PREFIX = "dslab-"  # and the id of the process that it is for
BRIDGE = "br0"
NET = "10.99.0."
MASK = 24
HERE = f"{NET}1"
CLONE_NEWNET = 0x40000000


class Network:
    """The namespace; `HERE` is this machine's address in it."""

    def __init__(self) -> None:
        _install()
        _sweep()
        self.name = f"{PREFIX}{os.getpid()}"
        self._names: list[str] = []
        _ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", BRIDGE, "type", "bridge")
        self.ip("address", "add", f"{HERE}/{MASK}", "dev", BRIDGE)
        self.ip("link", "set", BRIDGE, "up")

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove it; the guests in it must be off."""
        _ip("netns", "delete", self.name)

    def ip(self, *words: str) -> None:
        """An `ip` command in the namespace."""
        _ip("-n", self.name, *words)

    def argv(self, *words: str) -> list[str]:
        """A command, to be run in the namespace."""
        return ["ip", "netns", "exec", self.name, *words]

    def address(self, name: str) -> str:
        """The address of a guest that was plugged in."""
        return f"{NET}{self._names.index(name) + 10}"

    def plug(self, name: str) -> list[str]:
        """A port of the bridge for a guest of that name; the parameters of its kernel."""
        self._names.append(name)
        number = len(self._names)
        tap = f"tap{number}"
        self.ip("tuntap", "add", tap, "mode", "tap")
        self.ip("link", "set", tap, "master", BRIDGE, "up")
        mac = f"02:00:00:00:00:{number:02x}"
        return [f"vec0:transport=tap,ifname={tap},depth=128,gro=1,mac={mac}"]

    def configure(self, guest: Guest) -> None:
        """Give a booted guest its address."""
        address = self.address(guest.name)
        guest.run(f"ip address add {address}/{MASK} dev vec0; ip link set vec0 up")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Processes that this thread starts within it are in the namespace."""
        with (
            Path("/proc/thread-self/ns/net").open() as own,
            (NAMESPACES / self.name).open() as other,
        ):
            _enter(other.fileno())
            try:
                yield
            finally:
                _enter(own.fileno())


def _enter(descriptor: int) -> None:
    # os.setns comes with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _install() -> None:
    if shutil.which("ip") is None:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        build.run(["apt-get", "update", "-q"], env=env)
        build.run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", "iproute2"], env=env
        )


def _sweep() -> None:
    """Remove the namespaces of processes that are no more."""
    for path in NAMESPACES.glob(f"{PREFIX}*"):
        if not Path(f"/proc/{path.name.removeprefix(PREFIX)}").exists():
            with contextlib.suppress(LabError):
                _ip("netns", "delete", path.name)
