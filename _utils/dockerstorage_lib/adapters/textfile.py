"""The folder from which Prometheus' node exporter takes what others measured."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput, Refused
from .durable import write_file

#: Debian's; that of the packages for Red Hat.
FOLDERS = (
    Path("/var/lib/prometheus/node-exporter"),
    Path("/var/lib/node_exporter/textfile_collector"),
)
NAME = "dockerstorage.prom"


def place(path: object, folders: tuple[Path, ...] = FOLDERS) -> Path:
    """The file to write; raises BadInput for a path that will not do, Refused if there is none."""
    if path is None:
        for folder in folders:
            if folder.is_dir():
                return folder / NAME
        told = " nor ".join(str(folder) for folder in folders)
        raise Refused(
            f"neither {told} is there, the node exporter's folders: install it, or name the file "
            "with path=/some/folder/dockerstorage.prom"
        )
    if not isinstance(path, str) or not path.startswith("/") or not path.endswith(".prom"):
        raise BadInput(
            f"path: {path!r} is no file of the node exporter; write the whole path of a file that "
            "ends in .prom, which alone it reads, or - to get the text back"
        )
    if not Path(path).parent.is_dir():
        raise BadInput(f"path: there is no folder {Path(path).parent}; make it first")
    return Path(path)


def write(path: Path, text: str) -> None:
    """The whole file or the old one, for everybody to read; raises Refused."""
    try:
        write_file(path, text.encode(), 0o644)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None
