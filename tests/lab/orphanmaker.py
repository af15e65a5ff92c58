"""Runs in a guest: makes orphans of every class, with dockerd stopped, and prints what they are.

The names by class, as one line of JSON; those of a class that two things lead to are two.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path("/var/lib/docker")
RECORDS = ROOT / "devicemapper/metadata"
LAYERDB = ROOT / "image/devicemapper/layerdb"
IMAGES = ROOT / "image/devicemapper/imagedb"
#: Of a thin device made by hand; Docker counts from 1.
BY_HAND, NOT_THERE = 9000, 9001
LOST = "ab" * 32


def run(command: str) -> str:
    return subprocess.run(
        ["sh", "-c", command], check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


def container(name: str) -> str:
    """A container that has written something."""
    write = "head -c 900000 /dev/urandom > /f"
    id_ = run(f"docker create --name {name} --net none lab/base:1 sh -c '{write}'")
    run(f"docker start -a {id_}")
    return id_


def image(name: str) -> str:
    """An image with a layer of its own."""
    container(f"made-{name}")
    id_ = run(f"docker commit made-{name} {name}")
    run(f"docker rm made-{name}")
    return id_


def by_hand() -> None:
    """A thin device that no engine knows, with something in it."""
    pool = run("dmsetup ls --target thin-pool").split()[0]
    run(f"dmsetup message {pool} 0 'create_thin {BY_HAND}'")
    run(f"dmsetup create by-hand --table '0 32768 thin /dev/mapper/{pool} {BY_HAND}'")
    run("dd if=/dev/urandom of=/dev/mapper/by-hand bs=1M count=3 oflag=direct")
    run("dmsetup remove --retry by-hand")


def chain(image_id: str) -> str:
    """The folder of an image's uppermost layer: nothing lies upon it."""
    diff = json.loads((IMAGES / "content" / image_id.replace(":", "/")).read_text())
    wanted = diff["rootfs"]["diff_ids"][-1]
    found = [one.name for one in (LAYERDB / "sha256").iterdir()
             if (one / "diff").read_text() == wanted]  # fmt: skip
    return found[0]


def forget_image(id_: str) -> None:
    for part in ("content", "metadata"):
        path = IMAGES / part / id_.replace(":", "/")
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path = ROOT / "image/devicemapper/repositories.json"
    tags = json.loads(path.read_text())
    for names in tags["Repositories"].values():
        for name in [one for one, target in names.items() if target == id_]:
            del names[name]
    tags["Repositories"] = {key: value for key, value in tags["Repositories"].items() if value}
    path.write_text(json.dumps(tags))


def forget_container(id_: str) -> list[str]:
    """It is no more, and its layers' devices are; their names."""
    folder = LAYERDB / "mounts" / id_
    names = [(folder / part).read_text() for part in ("mount-id", "init-id")]
    shutil.rmtree(ROOT / "containers" / id_)
    shutil.rmtree(folder)
    return names


def main() -> None:
    loose, half = image("loose"), image("half")
    mount, device, deferred, lost = map(container, ("mount", "device", "deferred", "lost"))
    by_hand()
    run("systemctl stop docker.socket docker")
    loose_chain, half_chain = chain(loose), chain(half)
    forget_image(loose)
    forget_image(half)
    removing = f"{half_chain}-123456-removing"
    (LAYERDB / "sha256" / half_chain).rename(LAYERDB / "sha256" / removing)
    shutil.rmtree(ROOT / "containers" / mount)
    devices, marked, gone = map(forget_container, (device, deferred, lost))
    numbers = [json.loads((RECORDS / one).read_text())["device_id"] for one in gone]
    for one in marked:
        record = json.loads((RECORDS / one).read_text()) | {"deleted": True}
        (RECORDS / one).write_text(json.dumps(record))
    record = json.loads((RECORDS / gone[0]).read_text()) | {"device_id": NOT_THERE}
    (RECORDS / LOST).write_text(json.dumps(record))
    for one in gone:
        (RECORDS / one).unlink()
    made = {
        "unreferenced_layer": [f"sha256:{loose_chain}"],
        "removing": [removing],
        "unreferenced_mount": [mount],
        "unreferenced_device": devices,
        "deferred_delete": marked,
        "device_without_metadata": [str(one) for one in (BY_HAND, *numbers)],
        "metadata_without_device": [LOST],
    }
    os.sync()  # or a power cut leaves empty files, with which no engine starts
    print(json.dumps({kind: sorted(names) for kind, names in made.items()}))


if __name__ == "__main__":
    main()
