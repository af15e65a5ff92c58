"""The engine's records of images and layers, copied from one store to another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..gather import Site
from . import directories
from .durable import sync_folder

LAYERS = "layerdb"


def take_record(source: Path, target: Path, name: str) -> None:
    """Copy a folder of records under a name, in one step: it is there whole or not at all."""
    new = target / f".{name}.new"
    if new.exists():
        shutil.rmtree(new)
    shutil.copytree(source, new)
    for path in new.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(new)
    new.rename(target / name)
    sync_folder(target)


def take_image_records(site: Site, target: Path) -> None:
    """All records but those of layers, in place of what is there of them, and on disk."""
    for path in Path(site.root, "image", site.driver).iterdir():
        place = target / path.name
        if path.name == LAYERS:
            continue
        if place.is_dir():
            shutil.rmtree(place)
        if path.is_dir():
            take_record(path, target, path.name)
        else:
            shutil.copy2(path, place)
    descriptor = directories.open_root(target)
    try:
        directories.sync(descriptor)
    finally:
        os.close(descriptor)
