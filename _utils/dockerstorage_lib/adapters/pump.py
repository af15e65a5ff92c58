"""A writer and a reader side by side, with a pipe between them instead of a file."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, TypeVar

T = TypeVar("T")

PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


def pump(
    write_all: Callable[[Callable[[bytes], object]], object], read: Callable[[BinaryIO], T]
) -> T:
    """Call both, in two threads, until both have ended; what the reader returns.

    ``write_all(write)`` runs in a thread that has the mounts of the caller's. Raises what it raises
    rather than what the reader makes of a stream that ends too early.
    """
    failure: list[BaseException] = []
    source, sink = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # beyond what the system lets one have
        fcntl.fcntl(sink, _F_SETPIPE_SZ, PIPE_BYTES)

    def work() -> None:
        try:
            with os.fdopen(sink, "wb", PIPE_BYTES) as stream:
                write_all(stream.write)
        except BrokenPipeError:
            pass  # the reader failed, or needs no more
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="dockerstorage pump")
    thread.start()
    try:
        with os.fdopen(source, "rb", PIPE_BYTES) as stream:
            result = read(stream)
    except Exception:
        thread.join()
        if failure:
            raise failure[0] from None
        raise
    finally:
        thread.join()
    if failure:
        raise failure[0]
    return result
