"""The file of a page: it appears whole or not at all, and only its readers can open it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..errors import BadInput, Refused
from .durable import sync_folder

#: The page tells of every Docker host its weak spots: who may read it is for the operator to say.
DEFAULT_MODE = 0o600
#: Nobody but the owner and the group may ever write it.
MODES = (0o600, 0o640, 0o644, 0o660, 0o664)


def read_mode(mode: object) -> int:
    """The bits of a mode as one writes it, ``0640``; raises BadInput.

    On Salt's command line YAML has made a number of it: of ``0640`` by its octal digits, of
    ``640`` by its decimal ones.
    """
    written = f"{mode:o}" if isinstance(mode, int) and mode in MODES else str(mode)
    try:
        bits = int(written, 8)
    except ValueError:
        bits = -1
    if bits not in MODES or isinstance(mode, bool):
        known = ", ".join(f"{one:04o}" for one in MODES)
        raise BadInput(f"mode: {mode!r} is no mode for a page; write one of {known}")
    return bits


def read_path(dest: object) -> Path:
    """The path of a file to be written; raises BadInput."""
    if not isinstance(dest, str) or not dest.startswith("/") or "\0" in dest:
        raise BadInput(f"dest: {dest!r} is no absolute path; write as /srv/www/fleet.html")
    path = Path(dest)
    if path.is_dir() or dest.endswith("/"):
        raise BadInput(f"dest: {dest} is a directory; name a file in it")
    if not path.parent.is_dir():
        raise BadInput(f"dest: there is no directory {path.parent}; make it first")
    return path


def write(path: Path, text: str, mode: int) -> int:
    """Put the text in place of what the file held, and return its bytes; raises Refused.

    A reader sees the old page or the new one. The folder may be one that others write to: the
    temporary file has a name that nobody can guess and is never opened through a link.
    """
    data = text.encode()
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise Refused(f"cannot write to {path.parent}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).rename(path)
        sync_folder(path.parent)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise Refused(f"cannot write {path}: {error.strerror}; it is as it was") from error
    return len(data)
