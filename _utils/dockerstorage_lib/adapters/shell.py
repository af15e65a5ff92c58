"""Programs of the system, run through ``sh``: the only user of that library."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sh

from ..errors import CommandFailed, CommandTimedOut

#: The directories of system programs, which a minion's PATH may lack.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Completed:
    """A program that ran to its end."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    timeout_seconds: float = 60,
    on_chunk: Callable[[str], object] | None = None,
) -> Completed:
    """Run a program to its end, whatever its exit status.

    on_chunk takes standard output in pieces as it comes; stdout is then empty.
    Raises CommandTimedOut when the program is killed for its time, CommandFailed if it is missing.
    """
    env = {**os.environ, "LC_ALL": "C", "PATH": SYSTEM_PATH}
    program = _find(argv[0])
    if program is None:
        raise CommandFailed(argv, None, "the program is not installed")
    options: dict[str, Any] = {
        "_env": env,
        "_return_cmd": True,
        "_tty_out": False,
        # With a clock of our own: sh's _timeout makes every call last 0.1 s.
        "_bg": True,
        "_bg_exc": False,
        "_new_session": True,
        "_ok_code": list(range(256)),
        "_encoding": "utf-8",
        "_decode_errors": "replace",
    }
    taker = None if on_chunk is None else _Taker(on_chunk)
    if taker is not None:
        options |= {"_out": taker, "_out_bufsize": 1 << 16, "_no_out": True}
    done: sh.RunningCommand = sh.Command(program)(*argv[1:], **options)
    _await(done, argv, timeout_seconds)
    try:
        done.wait()
    except sh.ErrorReturnCode as error:  # ended by a signal
        raise CommandFailed(argv, error.exit_code, _text(error.stderr)) from None
    if taker is not None and taker.error is not None:
        raise taker.error
    stdout = "" if taker is not None else _text(done.stdout)
    return Completed(tuple(argv), done.exit_code, stdout, _text(done.stderr))


def _await(running: sh.RunningCommand, argv: Sequence[str], timeout_seconds: float) -> None:
    """Return when a program has ended; kill it and raise CommandTimedOut when its time is over.

    A program that hangs in the kernel cannot be killed, so its end is not waited for.
    """
    deadline, pause = time.monotonic() + timeout_seconds, 0.001
    while running.is_alive():
        if time.monotonic() > deadline:
            running.kill_group()
            raise CommandTimedOut(argv, timeout_seconds)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def output(argv: Sequence[str], timeout_seconds: float = 60) -> str:
    """Run a program and return its standard output; raises CommandFailed if it fails."""
    done = run(argv, timeout_seconds)
    if done.status != 0:
        raise CommandFailed(argv, done.status, done.stderr)
    return done.stdout


class _Taker:
    """Hands chunks on until one raises; sh would lose the error and the program would hang."""

    def __init__(self, on_chunk: Callable[[str], object]) -> None:
        self._on_chunk = on_chunk
        self.error: Exception | None = None

    def __call__(self, chunk: str) -> None:
        if self.error is None:
            try:
                self._on_chunk(chunk)
            except Exception as error:
                self.error = error


def _find(program: str) -> str | None:
    for folder in SYSTEM_PATH.split(":"):
        path = os.path.join(folder, program)  # noqa: PTH118
        if os.access(path, os.X_OK):
            return path
    return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
