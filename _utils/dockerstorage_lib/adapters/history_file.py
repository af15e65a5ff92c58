"""The history of pools on disk. A disk that is full, read-only or hangs stops nobody.

The beacon hands its samples over and goes on; a thread writes them, and never more than one does.
A minion that is stopped while the disk hangs stays a zombie until the disk answers.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import Unparsable
from ..history import MOST_BYTES, Row, append, from_text, to_text
from .durable import write_file
from .records import FOLDER

FILE = FOLDER / "history.json"
#: Where a file goes that is no history.
ASIDE = ".unreadable"
#: A write that takes longer hangs.
PATIENCE_SECONDS = 10.0
#: Samples that wait for a disk that hangs; of more, the newest.
MOST_WAITING = 12


def load(file: Path = FILE) -> dict[str, tuple[Row, ...]]:
    """What was kept; nothing if there is no file. Raises OSError, Unparsable."""
    try:
        # One that is no plain file must not make us wait for somebody to write to it.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    try:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        text = os.read(descriptor, MOST_BYTES + 1) if plain else b""
    finally:
        os.close(descriptor)
    found = from_text(text.decode("utf-8", "replace")) if len(text) <= MOST_BYTES else None
    if found is None:
        raise Unparsable("the history of pools", str(file))
    return found


def add(file: Path, samples: Mapping[str, Row], now: float) -> None:
    """Add samples; the file is the old or the new one at any moment. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(file.parent):
        try:
            before = load(file)
        except Unparsable:
            file.replace(file.with_name(file.name + ASIDE))
            before = {}
        write_file(file, to_text(append(before, samples, now)).encode(), 0o600)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two minions may run on one host."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Said aloud: a process that was forked meanwhile has the descriptor too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


class Recorder:
    """Adds samples to a file while its owner goes on."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._waiting: deque[tuple[Mapping[str, Row], float]] = deque(maxlen=MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._failure: str | None = None

    def offer(self, samples: Mapping[str, Row], now: float) -> None:
        """Take samples to be written as soon as the disk does it; returns at once."""
        self._waiting.append((samples, now))
        if self._thread is None or not self._thread.is_alive():
            self._began = time.monotonic()
            name = "dockerstorage history"
            self._thread = threading.Thread(target=self._write_all, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the process has all the threads that it may have
                self._failure = str(error)

    def trouble(self) -> str | None:
        """Why samples are not written now; None if they are."""
        is_writing = self._thread is not None and self._thread.is_alive()
        seconds = time.monotonic() - self._began
        if is_writing and seconds > PATIENCE_SECONDS:
            return f"{self._file}: the disk has not answered for {seconds:.0f} s"
        return self._failure

    def _write_all(self) -> None:
        while self._waiting:
            samples, now = self._waiting.popleft()
            try:
                add(self._file, samples, now)
            except OSError as error:
                self._failure = f"{self._file}: {error.strerror}"
            except Exception as error:
                self._failure = f"{self._file}: {error!r}"
            else:
                self._failure = None
