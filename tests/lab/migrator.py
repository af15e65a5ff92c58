"""Runs in a guest: a migration in a process of its own, which can kill itself on the way.

migrator.py WHAT [ARGUMENTS] [before=STEP | after=STEP | inside=STEP:N]: WHAT is run, resume,
rollback, status or commit; ARGUMENTS are those of prepare, as JSON. Dies by SIGKILL before a step
begins or after it has ended, by its journal, or at the Nth thing that it turns to in a step.
Prints the result, or the error.
"""

import json
import os
import signal
import sys
import time
from typing import Any

from dockerstorage_lib import jobs, migrate, migrate_commit, migrate_plan
from dockerstorage_lib.adapters import migration_journal
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError

what, *words = sys.argv[1:]
arguments = json.loads(next((word for word in words if word.startswith("{")), "{}"))
deadly = dict(word.split("=", 1) for word in words if not word.startswith("{"))
add = migration_journal.Journal.add
advance = jobs.Job.advance
step, left = deadly.get("inside", ":0").split(":")
now, count = "", 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watching_add(self: migration_journal.Journal, **line: Any) -> None:
    global now
    add(self, **line)
    now = line.get("begin", "")
    if {("before", line.get("begin")), ("after", line.get("end"))} & set(deadly.items()):
        die()


def watching_advance(self: jobs.Job, done: int) -> None:
    global count
    if now == step:
        count += 1
        if count == int(left):
            die()
    advance(self, done)


migration_journal.Journal.add = watching_add  # type: ignore[method-assign]
jobs.Job.advance = watching_advance  # type: ignore[method-assign]
result: Any
try:
    with jobs.running("migrate", what, time.time(), lambda _: None) as job:
        if what == "run":
            full = {"driver": "overlay2", "options": None, "method": None, "force": False}
            prepared = migrate_plan.prepare(ImportEngine(), now=time.time(), **full | arguments)
            migrate_plan.refuse(prepared)
            result = migrate.run(prepared.plan, ImportEngine, job)
        elif what == "resume":
            result = migrate.resume(ImportEngine, job)
        elif what == "rollback":
            result = migrate.roll_back(ImportEngine, job, arguments.get("force", False))
        elif what == "commit":
            result = migrate_commit.run(ImportEngine, job)
        else:
            result = migrate.status()
except DockerstorageError as error:
    result = {"error": str(error)}
print(json.dumps(result))
