"""One run at a time: a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import Refused

POLL_SECONDS = 0.1
#: On tmpfs: a lock must not outlive the boot, and must not need room on a full disk.
FOLDER = Path("/run/dockerstorage")


def make_folder(folder: Path = FOLDER) -> None:
    """Make the folder of what must not outlive the boot; nobody else may look into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def held(name: str, patience_seconds: float = 0) -> Iterator[None]:
    """Hold the lock of that name; raises Refused, naming who has it, if it stays taken so long."""
    make_folder()
    deadline = time.monotonic() + patience_seconds
    # Opened without truncation: the file tells who holds the lock.
    descriptor = os.open(FOLDER / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        while not _take(file):
            if time.monotonic() >= deadline:
                raise Refused(f"{name} is already running, {_holder(file.read())}")
            time.sleep(POLL_SECONDS)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "since": time.time()}))
        file.flush()
        yield


def _take(file: TextIO) -> bool:
    """Take the lock if nobody has it; whether it is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["since"]))
        return f"since {since}, pid {holder['pid']}; wait for its end"
    except (ValueError, KeyError, TypeError):
        return "by a process that has just begun; wait for its end"
