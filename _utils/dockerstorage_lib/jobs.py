"""What long work is under way on this host, and how far it is."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Interrupted
from .lock import FOLDER, make_folder

#: How often the record is written, and an event fired.
INTERVAL_SECONDS = 1.0

Fire = Callable[[dict[str, Any]], None]


@dataclass
class Job:
    """A piece of work that says how far it is."""

    operation: str
    subject: str
    fire: Fire
    file: Any
    #: Seconds since the epoch.
    started_at: float
    done_bytes: int = 0
    total_bytes: int = 0
    now: str = ""
    cancelled: bool = False
    _began: float = field(default_factory=time.monotonic)
    _told: float = float("-inf")

    def advance(self, count: int) -> None:
        """So many bytes more are done; tells at most once a second.

        Raises Interrupted when the work is to end.
        """
        if self.cancelled:
            raise Interrupted(self.operation)
        self.done_bytes += count
        if time.monotonic() - self._told >= INTERVAL_SECONDS:
            self.tell()

    def reach(self, done_bytes: int, total_bytes: int) -> None:
        """So many bytes of so many are done."""
        self.total_bytes = total_bytes
        self.advance(done_bytes - self.done_bytes)

    def turn_to(self, what: str) -> None:
        """The object that is worked on from now on."""
        self.now = what
        self.advance(0)

    def cancel(self) -> None:
        """Make the work end at its next step."""
        self.cancelled = True

    def tell(self) -> None:
        """Write the record and fire the event now."""
        self._told = time.monotonic()
        found = self.as_dict()
        self.file.seek(0)
        self.file.write(json.dumps(found) + "\n")  # what is longer from before is not read
        self.file.flush()
        self.fire(found)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values."""
        seconds = max(time.monotonic() - self._began, 0.001)
        return {
            "operation": self.operation,
            "subject": self.subject,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "done_bytes": self.done_bytes,
            "total_bytes": self.total_bytes,
            "bytes_per_second": int(self.done_bytes / seconds),
            "now": self.now,
        }


@contextmanager
def running(
    operation: str, subject: str, now: float, fire: Fire, folder: Path = FOLDER
) -> Iterator[Job]:
    """Work that ``listed`` shows until it ends, however it ends."""
    make_folder(folder)
    path = folder / f"job-{os.getpid()}-{time.monotonic_ns()}.json"
    new = path.with_suffix(".new")
    with new.open("w") as file:
        # The kernel drops it when this process dies: what is not locked is not running.
        fcntl.flock(file, fcntl.LOCK_EX)
        new.rename(path)
        job = Job(operation, subject, fire, file, now)
        try:
            job.tell()
            yield job
            job.tell()
        finally:
            path.unlink(missing_ok=True)


def listed(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The records of all work that runs, the oldest first; those of the dead are removed."""
    found = []
    for path in folder.glob("job-*.json"):
        with suppress(FileNotFoundError, ValueError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(json.loads(file.readline()))
            else:
                path.unlink()
    return sorted(found, key=lambda one: one["started_at"])
