"""Runs in a guest, or on the machine itself: a rescue in a process of its own.

rescuer.py SOURCE DEST|- [POOL] [bytes=N]: POOL as JSON; DEST "-" lists only. Dies by SIGKILL as
soon as so many bytes are done. Prints the result, or the error.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from dockerstorage_lib import export_options, jobs, rescue, rescue_pool, selection
from dockerstorage_lib.errors import DockerstorageError

source, dest, *words = sys.argv[1:]
deadly = dict(word.split("=") for word in words if word.startswith("bytes="))
pool = next((json.loads(word) for word in words if not word.startswith("bytes=")), None)
advance = jobs.Job.advance


def deadly_advance(self: jobs.Job, count: int) -> None:
    advance(self, count)
    if self.done_bytes >= int(deadly.get("bytes", sys.maxsize)):
        os.kill(os.getpid(), signal.SIGKILL)


jobs.Job.advance = deadly_advance  # type: ignore[method-assign]
place = None if dest == "-" else Path(dest)
started = time.monotonic()
try:
    root, parts = rescue.read_source(source), rescue_pool.read_pool(pool)
    with (
        rescue.scratch_folder(place) as folder,
        rescue.opened(root, parts, selection.read_wanted(), folder) as found,
    ):
        if place is None:
            result = rescue.listed(found)
        else:
            with jobs.running("rescue", dest, time.time(), lambda _: None) as job:
                options = export_options.Options(consistent=False, logs=True)
                result = rescue.carry_out(found, place, folder, options, job, time.time)
except DockerstorageError as error:
    result = {"error": str(error)}
print(json.dumps({**result, "seconds": time.monotonic() - started}))
