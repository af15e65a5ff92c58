"""The record of a rolling change, on the master: a line for each act, before it and after.

<folder>/<name>/journal.jsonl     the change that is under way, or the last one
<folder>/<name>/previous.jsonl    the one before
<folder>/<name>/lock
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import Incoherent, Refused
from ..rolling import Plan, Progress, plan_line, read_progress
from .durable import add_line, journal_line, sync_folder, write_file


class Record:
    """The record of one name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name / "journal.jsonl"

    def read(self) -> Progress | None:
        """How far it is; None if there is none."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        # What was cut off in the middle of a line was never acted upon.
        whole = text[: text.rfind(b"\n") + 1].splitlines()
        try:
            return read_progress([json.loads(line) for line in whole])
        except (ValueError, KeyError, TypeError) as error:
            raise Incoherent(f"the record {self.path}", "a journal of ours", repr(error)) from None

    def begin(self, plan: Plan) -> None:
        """A new change; the one before is kept once."""
        if self.path.exists():
            self.path.rename(self.path.with_name("previous.jsonl"))
        write_file(self.path, journal_line(plan_line(plan)), 0o600)

    def add(self, line: dict[str, Any]) -> None:
        """Write a line; it is on disk when this returns."""
        add_line(self.path, line)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else works at this record meanwhile; raises Refused if somebody does."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(self.path.parent.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self.path.with_name("lock"), flags, 0o600), "r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    f"the rolling change {self.path.parent.name!r} is being run right now; wait "
                    "for its end, or give this one another name"
                ) from None
            yield
