"""Whether anything was written to a tree: cheap, for no content is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .base import noted


def fingerprint(folder: Path) -> str:
    """Of all that lies in a directory. Nobody can set a change time, so no write goes unseen."""
    found = hashlib.sha256()
    for one in noted(folder):
        found.update(repr(one).encode("utf-8", "surrogateescape"))
    return found.hexdigest()
