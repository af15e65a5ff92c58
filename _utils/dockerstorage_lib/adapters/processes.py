"""Processes of the host, through /proc: what they mount, what they wait for, and their end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import CommandFailed
from ..recovery import Mount
from . import hostfiles, shell

PROC = Path("/proc")
TIMEOUT_SECONDS = 30
#: A container's id in the name of its control group: docker-<id>.scope, <parent>/<id>.
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?$")
# In the namespace of the process there may be no umount(8), so the system call is made by hand,
# with what Python has loaded before. The path itself is not looked at: its disk may hang.
UNMOUNT = """
import ctypes, os, sys
pid, point = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
try:
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
except FileNotFoundError:
    sys.exit(0)
failed = libc.setns(namespace, 0) or libc.umount2(os.fsencode(point), 0)
sys.exit(os.strerror(ctypes.get_errno()) if failed else 0)
"""


@dataclass(frozen=True)
class Process:
    """A process; started tells it from a later one with the same number."""

    pid: int
    started: str


@dataclass(frozen=True)
class Use:
    """What mounts, and what runs on, one block device."""

    mounts: tuple[Mount, ...] = ()
    #: Processes with it as their root.
    pids: tuple[int, ...] = ()
    container: str = ""


def find(pid: int, name: str | None = None) -> Process | None:
    """A process by its number, and if it has that name; None if it is not there or has ended."""
    stat = _stat(PROC / str(pid))
    if stat is None or (name is not None and stat[0] != name) or not _runs(pid):
        return None
    return Process(pid, stat[2])


def with_argument(word: str) -> list[Process]:
    """Processes that were started with that very word on their command line."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if word in os.fsdecode((PROC / str(pid) / "cmdline").read_bytes()).split("\0"):
                one = find(pid)
                found += [one] if one else []
    return found


def uses(numbers: Collection[str]) -> dict[str, Use]:
    """Who mounts each of those block devices ("254:3"), in all mount namespaces."""
    mounts: dict[str, list[Mount]] = defaultdict(list)
    roots: dict[str, list[int]] = defaultdict(list)
    seen: dict[str, list[str]] = {}
    for pid in _pids():
        for task in _tasks(pid):
            try:
                namespace = os.readlink(task / "ns" / "mnt")  # noqa: PTH115
                if namespace not in seen:
                    rows = hostfiles.parse_mountinfo((task / "mountinfo").read_text())
                    seen[namespace] = [number for number, point in rows if point == "/"]
                    for number, point in rows:
                        if number in numbers and point != "/":
                            mount = Mount(number, point, namespace, int(task.name))
                            mounts[number].append(mount)
            except OSError:  # it has ended; another of its threads may have not
                continue
            for number in set(seen[namespace]) & set(numbers):
                roots[number].append(pid)
            break
    return {
        number: Use(tuple(mounts[number]), tuple(roots[number]), _container(roots[number]))
        for number in mounts.keys() | roots.keys()
    }


def readers(number: str) -> tuple[int, ...]:
    """Processes that have a block device open by its node."""
    major, minor = map(int, number.split(":"))
    device = os.makedev(major, minor)
    return tuple(pid for pid in _pids() if device in _opened(pid))


def users(number: str) -> tuple[int, ...]:
    """Processes that have a file or directory of a mounted device open."""
    major, minor = map(int, number.split(":"))
    return tuple(pid for pid in _pids() if os.makedev(major, minor) in _places(pid))


def unmount(mount: Mount) -> None:
    """Unmount in the namespace of the mount, if it still is what it was; raises CommandFailed."""
    try:
        text = (PROC / str(mount.pid) / "mountinfo").read_text()
    except OSError:  # the process has ended, and its namespace with it, or another look finds it
        return
    # Gone with another namespace's, or something else by now.
    if (mount.number, mount.point) not in hostfiles.parse_mountinfo(text):
        return
    done = shell.run(
        [sys.executable, "-I", "-c", UNMOUNT, str(mount.pid), mount.point], TIMEOUT_SECONDS
    )
    if done.status != 0:
        raise CommandFailed(["umount", mount.point], done.status, done.stderr)


def end(wanted: Collection[Process], number: signal.Signals, seconds: float) -> set[Process]:
    """Send them a signal and wait for their end; those that are still there then."""
    for one in wanted:
        if find(one.pid) == one:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)
    return wait(wanted, seconds)


def wait(wanted: Collection[Process], seconds: float) -> set[Process]:
    """Wait for their end; those that are still there then."""
    deadline, left = time.monotonic() + seconds, set(wanted)
    while left and time.monotonic() < deadline:
        left = {one for one in left if find(one.pid) == one}
        if left:
            time.sleep(0.05)
    return left


def is_waiting(pid: int) -> bool:
    """Whether a thread of it waits in the kernel and takes no signal, not even to die."""
    return any(stat[1] == "D" for stat in map(_stat, _tasks(pid)) if stat)


def _runs(pid: int) -> bool:
    # Of a killed process the first thread is a zombie until the last comes out of the kernel.
    return any(stat[1] not in "ZX" for stat in map(_stat, _tasks(pid)) if stat)


def _stat(folder: Path) -> tuple[str, str, str] | None:
    """Name, state and start time, proc(5); None if it has ended."""
    try:
        text = (folder / "stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    words = rest.split()
    return name, words[0], words[19]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in PROC.glob("[0-9]*"))


def _tasks(pid: int) -> list[Path]:
    return sorted(_entries(PROC / str(pid) / "task"))


def _entries(folder: Path) -> list[Path]:
    """What lies in a directory of a process; nothing of one that ends meanwhile."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _opened(pid: int) -> set[int]:
    """Block devices that a process has open."""
    found = set()
    for path in _entries(PROC / str(pid) / "fd"):
        with contextlib.suppress(OSError):
            found.add(path.stat().st_rdev)
    return found


def _places(pid: int) -> set[int]:
    """Devices of the files that a process has open or stands in."""
    folder, found = PROC / str(pid), set()
    for path in (folder / "cwd", folder / "root", *_entries(folder / "fd")):
        with contextlib.suppress(OSError):
            found.add(path.stat().st_dev)
    return found


def _container(pids: list[int]) -> str:
    """The id of the container that one of the processes runs in; empty if there is none."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
                match = _CONTAINER.search(line)
                if match is not None:
                    return match[1]
    return ""
