"""Runs in a guest: an export in a process of its own, which can kill itself on the way.

exporter.py DEST [calls=N | at=TEXT]: dies by SIGKILL at its Nth report of progress, or at the first
one while it works on what TEXT names. Prints the result, with the number of reports and the peak of
its memory.
"""

import json
import os
import resource
import signal
import sys
import time

from dockerstorage_lib import export, export_job, export_plan, gather, jobs, selection
from dockerstorage_lib.adapters.engine_export import ExportEngine
from dockerstorage_lib.errors import DockerstorageError

dest, *words = sys.argv[1:]
deadly = dict(word.split("=") for word in words)
calls, advance = 0, jobs.Job.advance


def counting(self: jobs.Job, count: int) -> None:
    global calls
    calls += 1
    advance(self, count)
    if calls == int(deadly.get("calls", 0)) or (count and self.now == deadly.get("at")):
        os.kill(os.getpid(), signal.SIGKILL)


jobs.Job.advance = counting  # type: ignore[method-assign]
engine = ExportEngine()
place = export_job.read_dest(dest, True)
plan = export_plan.plan_export(engine, gather.read_site(engine.info()), selection.read_wanted())
try:
    with jobs.running("export", dest, time.time(), lambda _: None) as job:
        found = export_job.carry_out(plan, engine, place, export.Options(), job, time.time)
except DockerstorageError as error:
    found = {"error": str(error)}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({**found, "calls": calls, "peak_mib": peak / 1024}))
