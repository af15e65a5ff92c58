"""The engine's units, through systemd's systemctl(1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import CommandFailed
from . import processes, shell

TIMEOUT_SECONDS = 30
#: The socket first: while it is there, a client's call starts the daemon again.
UNITS = ("docker.socket", "docker.service")
PID_FILE = Path("/run/docker.pid")


def daemon() -> processes.Process | None:
    """The process of the engine's daemon; None if it does not run."""
    pid = int(_property("docker.service", "MainPID") or 0) or _written_pid()
    return processes.find(pid) if pid else None


def stop() -> None:
    """Ask for the end of socket and daemon, and do not wait for it."""
    _systemctl("stop", "--no-block", *_loaded())


def start() -> None:
    """Ask for their start, and do not wait for it; raises CommandFailed."""
    units = _loaded()
    # After some failures in a short time systemd starts a unit no more, until told so. One that
    # never failed may be unknown to it by then.
    shell.run(["systemctl", "reset-failed", *units], TIMEOUT_SECONDS)
    _systemctl("start", "--no-block", *units)


def _loaded() -> list[str]:
    """Those units that there are: some distributions have no socket."""
    return [unit for unit in UNITS if _property(unit, "LoadState") != "not-found"]


def _written_pid() -> int | None:
    """Of a daemon that systemd did not start."""
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
