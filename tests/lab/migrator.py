"""Runs in a guest: a migration in a process of its own, which can kill itself on the way.

migrator.py WHAT [ARGUMENTS] [before=STEP | after=STEP | act=N[:STEP] | how=stop]: WHAT is run,
resume, rollback, status or commit; ARGUMENTS are those of prepare, as JSON. Dies by SIGKILL when
its journal says that a step begins or has ended, or before the Nth thing that it changes (in a
step); or stops there until it is told to go on. Prints the result, or the error.
"""

import json
import os
import shutil
import signal
import sys
import time
from typing import Any

from dockerstorage_lib import graft, jobs, migrate, migrate_commit, migrate_plan, placement
from dockerstorage_lib.adapters import (
    configfiles,
    container_files,
    migration_journal,
    overlay_store,
    services,
)
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError

what, *words = sys.argv[1:]
arguments = json.loads(next((word for word in words if word.startswith("{")), "{}"))
deadly = dict(word.split("=", 1) for word in words if not word.startswith("{"))
add = migration_journal.Journal.add
number, _, wanted = deadly.get("act", "0").partition(":")
step, count = "", 0


def die() -> None:
    print("dies as it was told", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSTOP if deadly.get("how") == "stop" else signal.SIGKILL)


def watching_add(self: migration_journal.Journal, **line: Any) -> None:
    global step
    add(self, **line)
    step = line.get("begin", step)
    if {("before", line.get("begin")), ("after", line.get("end"))} & set(deadly.items()):
        die()


def connect(seconds: float = 600) -> ImportEngine:
    return ImportEngine(timeout_seconds=seconds)


def counted(place: Any, name: str) -> None:
    """Count the calls of a function that changes something."""
    function = getattr(place, name)

    def call(*words: Any, **others: Any) -> Any:
        global count
        if not wanted or step == wanted:
            count += 1
            if count == int(number):
                die()
        return function(*words, **others)

    setattr(place, name, call)


migration_journal.Journal.add = watching_add  # type: ignore[method-assign]
counted(services, "block")
counted(services, "prepare_block")
counted(services, "remove_block")
counted(services, "unblock")
counted(services, "start")
counted(services, "stop")
counted(services, "_systemctl")
counted(configfiles, "_put")
counted(container_files, "set_driver")
counted(placement, "_rename")
counted(overlay_store.OverlayStore, "add")
counted(graft, "take_record")
counted(ImportEngine, "start")
counted(shutil, "rmtree")
result: Any
try:
    with jobs.running("migrate", what, time.time(), lambda _: None) as job:
        if what == "run":
            full = {"driver": "overlay2", "options": None, "method": None, "force": False}
            prepared = migrate_plan.prepare(ImportEngine(), now=time.time(), **full | arguments)
            migrate_plan.refuse(prepared)
            result = migrate.run(prepared.plan, connect, job)
        elif what == "resume":
            result = migrate.resume(connect, job)
        elif what == "rollback":
            result = migrate.roll_back(connect, job, arguments.get("force", False))
        elif what == "commit":
            result = migrate_commit.run(connect, job)
        else:
            result = migrate.status()
except DockerstorageError as error:
    result = {"error": str(error)}
print(json.dumps(result))
