"""A file of a container or volume as a value: what a bundle's tar holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: As the OCI image specification names deletions ("Whiteouts").
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
#: Of a path: who walks or writes a tree holds a descriptor for each level.
MAX_DEPTH = 400


@dataclass(frozen=True)
class Entry:
    """A file, directory, link, device node or FIFO."""

    #: Below the tree's root, without "./" or a "/" at either end; the root itself is "". Names that
    #: are no UTF-8 have surrogate escapes.
    path: str
    #: "directory", "file", "symlink", "hardlink", "fifo", "character", "block"
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    #: Of a file, holes included.
    size: int = 0
    #: Of a symlink; or the path, below the root, of the entry that a hardlink is the same file as.
    target: str = ""
    #: Major and minor number of a device node.
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    #: Of a file: how many further names, as hard links, may follow in the tree.
    links: int = 0


def order(path: str) -> tuple[str, ...]:
    """The key by which entries follow one another: a directory, all that is in it, its sibling.

    The mark of an opaque directory comes first in it: what lay there has to go before new content
    arrives.
    """
    if not path:
        return ()
    parts = path.split("/")
    if parts[-1] == OPAQUE:
        parts[-1] = ""
    return tuple(parts)


def parent(path: str) -> str:
    """The path of the directory that holds it; the root's is the root."""
    return path.rpartition("/")[0]


def name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def is_whiteout(path: str) -> bool:
    """Whether a layer's entry of that path stands for a deletion, the opaque mark included."""
    return name(path).startswith(WHITEOUT)


def deleted(path: str) -> str:
    """The name, in the same directory, that a whiteout deletes."""
    return name(path)[len(WHITEOUT) :]


def check_path(path: str) -> None:
    """Raise ValueError unless it names something strictly below a root."""
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"deeper than {MAX_DEPTH} directories")
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise ValueError(f"{path[:200]!r} is no path below the root")
        if len(part) > 63 and len(part.encode("utf-8", "surrogateescape")) > 255:
            raise ValueError(f"the name {part[:40]!r}... is too long")
