"""One User-Mode Linux: starting the process, its management console, and making sure it ends."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cache
from tests.lab.errors import LabError

KERNEL = "./linux.uml"
UMID = "m"
SAMPLE_SECONDS = 0.1
NEW_SECONDS = 60
PREFIX = "dslab-"  # short: the management console is a Unix socket below it
MCONSOLE_MAGIC = 0xCAFEBABE
MCONSOLE_REQUEST = struct.Struct("=III512s")
MCONSOLE_REPLY = struct.Struct("=iII")  # the text follows
OPTIONS = (
    "rw quiet con=null con0=null,fd:1 ssl=null noreboot panic=1 systemd.show_status=0 "
    "pty.legacy_count=0 audit=0 random.trust_cpu=1 seccomp=auto"
).split()

# Waits for a line; the end of file instead means that whoever drove the guest is dead.
WATCHER = 'read -r _ || { kill -s KILL -- "-$1"; rm -rf -- "$2"; }'


@dataclass(frozen=True)
class Drive:
    """A block device: `spec` is what stands behind `ubd<n><flags>=`."""

    spec: str
    flags: str = ""


class Machine:
    """A running UML process and its helpers, all in one session of their own."""

    def __init__(
        self,
        directory: Path,
        drives: Sequence[Drive],
        parameters: Sequence[str],
        port: int,
        memory: str,
        cpu: int,
        kernel: Path,
        preload: Path,
    ) -> None:
        """Start it. `port` is a socket's descriptor, the guest's first serial line; `kernel`: the
        folder of the program and its libc; `preload`: a library to load before all others."""
        # On one CPU the kernel's process and the guest's hand over to each other twice as fast.
        argv = ["taskset", "-c", str(cpu)]
        argv += ["env", f"LD_LIBRARY_PATH={kernel}", f"LD_PRELOAD={preload}"]
        argv += [KERNEL, f"mem={memory}", "root=/dev/ubda", f"ssl0=fd:{port}", *OPTIONS]
        argv += [f"uml_dir={directory}/", f"umid={UMID}", *parameters]
        argv += [f"ubd{n}{drive.flags}={drive.spec}" for n, drive in enumerate(drives)]
        self._directory = directory
        with (directory / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=kernel,
                pass_fds=(port,),
                # guest memory is a file there; it is unlinked at once and dies with the guest
                env={
                    "PATH": os.environ.get("PATH", ""),
                    "TMPDIR": "/dev/shm",
                    "HOME": "/root",
                },
            )
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "sh", str(self.session), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        (directory / "session").write_text(str(self.session), encoding="ascii")

    @property
    def session(self) -> int:
        """The id of the session and process group that all of the guest's processes are in."""
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float) -> bool:
        """Whether it ended by itself within `timeout` seconds."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End every process of the guest at once: for the guest, a power cut."""
        kill_session(self.session)
        self._process.wait(10)
        _await_end(self.session)
        with contextlib.suppress(OSError):  # the watcher may be gone
            self._watcher.communicate(b"done\n", timeout=5)
        (self._directory / "session").unlink(missing_ok=True)
        shutil.rmtree(self._directory / UMID, ignore_errors=True)

    def command(self, text: str) -> str:
        """Give the management console a command, e.g. `config ubd2=/path`; its answer."""
        data = text.encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as console:
            console.settimeout(10)
            console.bind("")  # an abstract address of the kernel's choosing
            request = MCONSOLE_REQUEST.pack(MCONSOLE_MAGIC, 2, len(data), data)
            console.sendto(request, str(self._directory / UMID / "mconsole"))
            answer = ""
            more = 1
            while more:
                reply = console.recv(4096)
                error, more, length = MCONSOLE_REPLY.unpack_from(reply)
                text_bytes = reply[MCONSOLE_REPLY.size :][:length]
                answer += text_bytes.decode(errors="replace").rstrip("\0")
        if error:
            raise LabError(f"mconsole {text!r}: {answer}")
        return answer


def kill_session(session: int) -> None:
    """SIGKILL to the whole process group; none left is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def members(session: int) -> list[int]:
    """Processes of a session that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _ppid, _pgrp, sid = path.read_text().rpartition(")")[2].split()[:4]
            if int(sid) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def _await_end(session: int, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while members(session):
        if time.monotonic() > deadline:
            raise LabError(f"processes of session {session} outlive SIGKILL: {members(session)}")
        kill_session(session)
        time.sleep(0.01)


def make_directory() -> Path:
    """A working directory for a guest, after those of dead runs have been swept."""
    sweep()
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def choose_cpu(directory: Path) -> int:
    """The least busy CPU; among equals the one that fewer guests are on. Noted in `directory`."""
    note = directory / "cpu"
    note.unlink(missing_ok=True)
    with cache.locked(directory.parent / "dslab.lock"):
        taken = collections.Counter[int]()
        for other in directory.parent.glob(f"{PREFIX}*/cpu"):
            with contextlib.suppress(OSError, ValueError):
                taken[int(other.read_text())] += 1
        before = _busy_ticks()
        time.sleep(SAMPLE_SECONDS)
        after = _busy_ticks()
        load = {cpu: after[cpu] - before[cpu] + taken[cpu] for cpu in os.sched_getaffinity(0)}
        cpu = min(sorted(load, reverse=True), key=lambda number: load[number])
        note.write_text(str(cpu), encoding="ascii")
    return cpu


def _busy_ticks() -> dict[int, int]:
    """What each CPU has worked so far, in hundredths of a second."""
    ticks = {}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *numbers = line.split()
        if name[:3] == "cpu" and name[3:].isdigit():
            user, nice, system, _idle, _iowait, irq, softirq = map(int, numbers[:7])
            ticks[int(name[3:])] = user + nice + system + irq + softirq
    return ticks


def sweep() -> None:
    """Kill guests whose driver died without its watcher, and remove what they left."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        mark = directory / ".in-use"
        # Between its making and its being held, another run's directory looks like a dead one's.
        if not mark.exists() or time.time() - mark.stat().st_mtime < NEW_SECONDS:
            continue
        if cache.is_held(directory):
            continue
        with contextlib.suppress(OSError, ValueError):
            session = int((directory / "session").read_text())
            command = Path(f"/proc/{session}/cmdline").read_bytes()
            if str(directory).encode() in command:
                kill_session(session)
        shutil.rmtree(directory, ignore_errors=True)
