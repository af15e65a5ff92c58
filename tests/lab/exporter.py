"""Runs in a guest: an export in a process of its own, which can kill itself on the way.

exporter.py DEST [bytes=N | at=TEXT | stop=TEXT]: dies by SIGKILL as soon as so many bytes are done,
or at the first ones of what TEXT names; or stops there until it is told to go on. Prints the
result, with the bytes done, its seconds without the start of Python, and the peak of its memory.
"""

import json
import os
import resource
import signal
import sys
import time

from dockerstorage_lib import export_job, export_options, export_plan, gather, jobs, selection
from dockerstorage_lib.adapters.engine_export import ExportEngine
from dockerstorage_lib.errors import DockerstorageError

dest, *words = sys.argv[1:]
deadly = dict(word.split("=") for word in words)
advance = jobs.Job.advance


def deadly_advance(self: jobs.Job, count: int) -> None:
    advance(self, count)
    if self.done_bytes >= int(deadly.get("bytes", sys.maxsize)) or (
        count and self.now == deadly.get("at")
    ):
        os.kill(os.getpid(), signal.SIGKILL)
    if count and self.now == deadly.get("stop"):
        del deadly["stop"]
        self.tell()
        os.kill(os.getpid(), signal.SIGSTOP)


jobs.Job.advance = deadly_advance  # type: ignore[method-assign]
started = time.monotonic()
engine = ExportEngine()
place = export_job.read_dest(dest, True)
plan = export_plan.plan_export(engine, gather.read_site(engine.info()), selection.read_wanted())
try:
    with jobs.running("export", dest, time.time(), lambda _: None) as job:
        found = export_job.carry_out(plan, engine, place, export_options.Options(), job, time.time)
        found["done_bytes"] = job.done_bytes
except DockerstorageError as error:
    found = {"error": str(error)}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = time.monotonic() - started
print(json.dumps({**found, "peak_mib": peak / 1024, "seconds": seconds}))
