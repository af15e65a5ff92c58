"""A stop of the host's engine for the time of some work on its store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import engine_restart
from .adapters import services
from .adapters.durable import write_file
from .engine_restart import Connect
from .errors import Refused

#: What is to run again; it outlives a killed process, and is gone after a boot, as the stop is.
NOTE = Path("/run/dockerstorage/engine-stopped.json")


@dataclass
class Stop:
    """What became of it, told when it is over."""

    #: Whether the engine had to be stopped, and was started again.
    was_running: bool
    seconds: float = 0.0
    #: Containers that ran and do not now, and why.
    not_running: list[str] = field(default_factory=list)


def check(root: str, driver: str, stop_docker: bool) -> bool:
    """Whether the engine must be stopped for work on its store; raises Refused if it may not be."""
    if services.daemon() is None:
        return False
    if not stop_docker:
        raise Refused(
            f"the engine runs, and must not while its store in {root} is worked on: say "
            "stop_docker=True, and it is stopped, its containers with it, and all that ran is "
            "started again"
        )
    return True


@contextmanager
def stopped(connect: Connect, root: str, driver: str) -> Iterator[Stop]:
    """Within it the engine does not run and cannot be started; what ran then runs again.

    Raises Refused, with nothing changed, for what a stop would break. If a process is killed within
    it, the next one that comes here starts what it had stopped.
    """
    found = Stop(was_running=False)
    began = time.monotonic()
    wanted: dict[str, dict[str, Any]] = {}
    try:
        # Held first: the note may be that of another process, whose engine is not ours to start.
        with services.held_off():
            cut = _read_note()
            running = services.daemon() is not None
            now = engine_restart.running(connect(), root, driver) if running else []
            wanted = {one["id"]: one for one in (*(cut or ()), *now)}
            if running or cut is not None:
                NOTE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_file(NOTE, json.dumps(list(wanted.values())).encode(), 0o600)
                found.was_running = True
            engine_restart.end_wholly(root, (driver,))
            yield found
    finally:
        if found.was_running:
            engine_restart.start(connect, None)
            found.not_running = engine_restart.run_again(connect(), wanted.values())
            NOTE.unlink(missing_ok=True)
        found.seconds = round(time.monotonic() - began, 1)


def _read_note() -> list[dict[str, Any]] | None:
    try:
        found: list[dict[str, Any]] = json.loads(NOTE.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found
