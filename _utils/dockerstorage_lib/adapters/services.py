"""The engine's units, through systemd's systemctl(1)."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CommandFailed, Refused
from . import processes, shell
from .durable import sync_folder, write_file

TIMEOUT_SECONDS = 30
#: In a line of the daemon's log that tells of no trouble.
PROGRESS = re.compile(r"\blevel=(?:info|debug)\b")
#: The socket first: while it is there, a client's call starts the daemon again.
UNITS = ("docker.socket", "docker.service")
PID_FILE = Path("/run/docker.pid")
#: While this file is there neither unit starts; a drop-in of each says so.
BLOCK = Path("/var/lib/dockerstorage/engine-must-not-start")
DROP_IN = "/etc/systemd/system/{unit}.d/dockerstorage-migration.conf"
DROP_IN_TEXT = f"""# dockerstorage moves the store of this engine to another storage driver.
# Until that is over the engine must not start, not even after a boot. It goes on, or back, with
# 'salt-call dockerstorage.migrate resume=True' or 'rollback=True'.
[Unit]
ConditionPathExists=!{BLOCK}
"""

#: While it is locked neither unit starts; all of this is gone after a boot.
HOLD = Path("/run/dockerstorage/engine-held-off")
HOLD_DROP_IN = "/run/systemd/system/{unit}.d/dockerstorage-hold.conf"
HOLD_TEXT = f"""# dockerstorage works on this engine's store, and starts it again by itself.
[{{section}}]
ExecStartPre=/usr/bin/flock --nonblock {HOLD} /bin/true
"""


def daemon() -> processes.Process | None:
    """The process of the engine's daemon; None if it does not run."""
    pid = _written_pid() or int(_property("docker.service", "MainPID") or 0)
    return processes.find(pid) if pid else None


def stop() -> None:
    """Ask for the end of socket and daemon, and do not wait for it."""
    _systemctl("stop", "--no-block", *_loaded())


def start(was_reset: bool = False) -> None:
    """Ask for their start, and do not wait for it; raises CommandFailed.

    was_reset: ``prepare_block`` has been called since the last start.
    """
    units = _loaded()
    if not was_reset:
        _reset(units)
    _systemctl("start", "--no-block", *units)


def _reset(units: list[str]) -> None:
    # After some failures in a short time systemd starts a unit no more, until told so. One that
    # never failed may be unknown to it by then.
    shell.run(["systemctl", "reset-failed", *units], TIMEOUT_SECONDS)


def prepare_block() -> None:
    """Do what takes time of ``block`` and ``start``, while the daemon still serves."""
    units = _loaded()
    for unit in units:
        path = Path(DROP_IN.format(unit=unit))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, DROP_IN_TEXT.encode(), 0o644)
    _systemctl("daemon-reload")
    _reset(units)


def block() -> None:
    """Keep socket and daemon from starting, over boots too, until ``unblock``."""
    BLOCK.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(BLOCK, b"", 0o600)


def unblock() -> None:
    """Allow it again."""
    BLOCK.unlink(missing_ok=True)
    sync_folder(BLOCK.parent)


@contextmanager
def held_off() -> Iterator[None]:
    """Within it neither unit starts; it ends with this process, however that ends.

    Raises Refused if another process holds it.
    """
    HOLD.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(HOLD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Refused("other work that needs the engine stopped is under way") from None
    drop_ins = [Path(HOLD_DROP_IN.format(unit=unit)) for unit in _loaded()]
    try:
        for path in drop_ins:
            path.parent.mkdir(parents=True, exist_ok=True)
            section = "Socket" if path.parent.name.startswith("docker.socket") else "Service"
            path.write_text(HOLD_TEXT.format(section=section))
        _systemctl("daemon-reload")
        yield
    finally:
        for path in drop_ins:
            path.unlink(missing_ok=True)
        os.close(descriptor)
        _systemctl("daemon-reload")


def remove_block() -> None:
    """Remove what ``prepare_block`` made."""
    unblock()
    for path in [Path(DROP_IN.format(unit=unit)) for unit in UNITS]:
        if path.exists():
            path.unlink()
            sync_folder(path.parent)
            with suppress(OSError):
                path.parent.rmdir()  # unless there are others
    _systemctl("daemon-reload")


def restarts() -> int:
    """How often systemd has started the daemon again by itself, since ``start``; 0 before 235."""
    return int(_property("docker.service", "NRestarts") or 0)


def state() -> str:
    """What systemd says of the daemon: active (it serves), activating, failed, inactive."""
    return _property("docker.service", "ActiveState")


def log_tail(lines: int = 15) -> str:
    """The end of what the daemon complains of in its log; empty where there is no journal."""
    # What it wrote last may still be on its way. Before systemd 228 there is no such option.
    shell.run(["journalctl", "--sync"], TIMEOUT_SECONDS)
    argv = ["journalctl", "-q", "-u", "docker.service", "--no-pager", "-o", "cat", "-n200"]
    done = shell.run(argv, TIMEOUT_SECONDS)
    if done.status != 0:
        return ""
    # One that is started again and again buries the reason under the steps of its next start.
    told = [line for line in done.stdout.splitlines() if not PROGRESS.search(line)]
    return "\n".join(told[-lines:])


def _loaded() -> list[str]:
    """Those units that there are: some distributions have no socket."""
    argv = ["systemctl", "show", "-p", "LoadState", *UNITS]
    states = shell.output(argv, TIMEOUT_SECONDS).split()
    return [
        unit for unit, state in zip(UNITS, states, strict=True) if state != "LoadState=not-found"
    ]


def _written_pid() -> int | None:
    """By the daemon's own file, which most have where it always was; sooner read than asked."""
    try:
        pid = int(PID_FILE.read_text())
    except (OSError, ValueError):
        return None
    return pid if processes.find(pid, "dockerd") else None


def _property(unit: str, name: str) -> str:
    # Not --value: systemd of Red Hat 7 lacks it.
    text = shell.output(["systemctl", "show", "-p", name, unit], TIMEOUT_SECONDS)
    return text.strip().partition("=")[2]


def _systemctl(*words: str) -> None:
    argv: Sequence[str] = ["systemctl", *words]
    done = shell.run(argv, TIMEOUT_SECONDS)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
