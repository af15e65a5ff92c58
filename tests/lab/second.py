"""Runs in a guest: a store of another driver is made beside the engine's, and filled.

second.py stage DRIVER [OPTION ...]: a second engine has the images and placeholders; it is left
running, as by a process that is killed.
second.py fill DRIVER: placeholders are filled and looked at, while the first engine is stopped.
second.py finish DRIVER: the second engine is stopped, and layers get the containers' names.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dockerstorage_lib import gather, jobs, second_containers, second_images
from dockerstorage_lib.adapters import mounts, second_daemon, services, store
from dockerstorage_lib.adapters.engine_import import ImportEngine
from dockerstorage_lib.errors import DockerstorageError
from tests.lab import contents

STAGE = Path("/var/lib/docker/dockerstorage-stage")
NOTED = Path("/root/noted.json")
VIEW = Path("/run/view")


def stage(driver: str, *options: str) -> dict[str, Any]:
    engine = ImportEngine()
    site = gather.read_site(engine.info())
    daemon = services.daemon()
    assert daemon is not None
    settings = second_daemon.settings_like(daemon, driver, options)
    second = second_daemon.SecondDaemon(STAGE / "data").start(settings, 60)
    with jobs.running("migrate", driver, time.time(), lambda _: None) as job:
        loaded = second_images.load_images(site, engine, second, STAGE, job, time.time)
        again = second_images.load_images(site, engine, second, STAGE, job, time.time)
    images = {one.id: one.image_id for one in engine.containers()}
    for container_id, image_id in images.items():
        second_containers.make_container(second, container_id, image_id)
    NOTED.write_text(json.dumps({"site": vars(site), "images": images}))
    print(json.dumps({"loaded": loaded, "again": again}), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def fill(driver: str) -> dict[str, Any]:
    noted = json.loads(NOTED.read_text())
    source = gather.Site(**noted["site"])
    second = second_daemon.SecondDaemon(STAGE / "data").engine()
    target = gather.read_site(second.info())
    found: dict[str, Any] = {"digests": {}, "differences": {}, "left_out": {}}

    def work(job: jobs.Job) -> None:
        for number, (container_id, image_id) in enumerate(noted["images"].items()):
            for _ in range(2 if number < 2 else 1):  # what was filled before is filled anew
                made = second_containers.make_container(second, container_id, image_id)
                filled = second_containers.fill_container(
                    second, source, container_id, target, made, job
                )
            digest = second_containers.filled_digest(source, container_id, target, made)
            found["digests"][container_id] = [filled.sha256, digest]
            found["left_out"][container_id] = filled.left_out
            found["differences"][container_id] = differences(
                view(source, container_id), view(target, made)
            )

    with jobs.running("migrate", driver, time.time(), lambda _: None) as job:
        mounts.run_private(lambda: work(job), job.cancel)
    return found


def finish(driver: str) -> dict[str, Any]:
    daemon = second_daemon.SecondDaemon(STAGE / "data")
    clean = daemon.stop()
    found = second_containers.name_layers(daemon.data_root, driver)
    return {
        "clean": clean,
        "again": second_containers.name_layers(daemon.data_root, driver) == found,
        "layers": sorted(
            path.name
            for path in daemon.data_root.joinpath(f"image/{driver}/layerdb/mounts").iterdir()
        ),
    }


def view(site: gather.Site, container_id: str) -> dict[str, Any]:
    """All that a container sees of its own file system."""
    with mounts.container_tree(site, container_id, write=False) as layer:
        if layer.whiteouts == "remove":
            return show(layer.path)
        hash_ = store.container_hashes(site.root, container_id, site.driver)[0]
        lower = ":".join([f"{hash_}/diff", *store.lower_links(site.root, hash_)])
        VIEW.mkdir(exist_ok=True)
        subprocess.run(
            ["mount", "-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", VIEW],
            cwd=f"{site.root}/overlay2",
            check=True,
        )
        try:
            return show(VIEW)
        finally:
            subprocess.run(["umount", VIEW], check=True)


def show(path: Path) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        contents.show(f"{path}/")
    files = dict(json.loads(line) for line in out.getvalue().splitlines())
    for one in files.values():
        # Names that were deleted count in an image's layer, which others share.
        del one["links"]
    return files


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[Any]:
    return [
        [path, one.get(path), other.get(path)]
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    ]


if __name__ == "__main__":
    try:
        result = {"stage": stage, "fill": fill, "finish": finish}[sys.argv[1]](*sys.argv[2:])
    except DockerstorageError as error:
        result = {"error": str(error)}
    print(json.dumps(result))
