"""Runs in a guest: a removal of orphans in a process of its own, which can end before an act.

orphanremover.py [act=N] [at=NAME] [how=stop]: dies by SIGKILL before the Nth thing that it changes,
or stops there; with a name only calls of that function are counted. Prints the result,
or the error, as JSON.
"""

import json
import os
import signal
import sys
import time
from typing import Any

from dockerstorage_lib import engine_stop, jobs, orphan_job, orphan_removal
from dockerstorage_lib.adapters import dmsetup, services
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError

deadly = dict(word.split("=", 1) for word in sys.argv[1:])
count = 0


def counted(place: Any, name: str) -> None:
    """Count the calls of a function that changes something."""
    function = getattr(place, name)

    def call(*words: Any, **others: Any) -> Any:
        global count
        count += name == deadly.get("at", name)
        if count == int(deadly.get("act", 0)) and name == deadly.get("at", name):
            os.kill(os.getpid(), signal.SIGSTOP if "how" in deadly else signal.SIGKILL)
        return function(*words, **others)

    setattr(place, name, call)


def connect(seconds: float = 600) -> ImportEngine:
    return ImportEngine(timeout_seconds=seconds)


counted(services, "stop")
counted(services, "start")
counted(dmsetup, "create")
counted(dmsetup, "remove")
counted(orphan_removal.shutil, "rmtree")
for function in ("_remove_folder", "_remove_record", "delete_device"):
    counted(orphan_removal, function)
counted(engine_stop.engine_restart, "run_again")
result: Any
try:
    with jobs.running("orphans", "remove", time.time(), lambda _: None) as job:
        seen = orphan_job.look(connect, None)
        orphan_job.check(seen, True)
        result = orphan_job.carry_out(connect, seen, job)
except DockerstorageError as error:
    result = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps({**result, "acts": count}))
