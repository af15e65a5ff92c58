"""Runs in a guest: an import in a process of its own, which can kill itself on the way.

importer.py BUNDLE ARGUMENTS [lines=N | at=TEXT]: dies by SIGKILL when the Nth line of its journal
is written, or at the first bytes that it reads for what TEXT names. ARGUMENTS are those of
read_options, as JSON. Prints the result, or the error.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from dockerstorage_lib import import_job, import_journal, import_options, jobs
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError

bundle, arguments, *words = sys.argv[1:]
deadly = dict(word.split("=") for word in words)
lines, add, advance = 0, import_journal.Journal.add, jobs.Job.advance


def counting(self: import_journal.Journal, line: import_journal.Line) -> None:
    global lines
    add(self, line)
    lines += 1
    if lines == int(deadly.get("lines", 0)):
        os.kill(os.getpid(), signal.SIGKILL)


def watching(self: jobs.Job, count: int) -> None:
    advance(self, count)
    if count and self.now == deadly.get("at"):
        os.kill(os.getpid(), signal.SIGKILL)


import_journal.Journal.add = counting  # type: ignore[method-assign]
jobs.Job.advance = watching  # type: ignore[method-assign]
engine = ImportEngine()
try:
    options = import_options.read_options(**json.loads(arguments))
    prepared = import_job.prepare(Path(bundle), options, engine)
    with jobs.running("import", bundle, time.time(), lambda _: None) as job:
        print(json.dumps(import_job.carry_out(prepared, engine, job)))
except DockerstorageError as error:
    print(json.dumps({"error": str(error)}))
