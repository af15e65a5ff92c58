"""What rescues wrote, to compare; and copies of stores on the machine itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from tests.lab import cache, prepared, richhost
from tests.lab.guest import Guest


def objects(guest: Guest, bundle: str) -> dict[str, Any]:
    """All that a bundle holds, by its manifest: contents by their digests."""
    text = guest.run(f"cat {bundle}/manifest.json").stdout
    return contents(json.loads(text))


def contents(manifest: dict[str, Any]) -> dict[str, Any]:
    """Images, layers, what containers changed, volumes, logs: ids, names and digests."""
    return {
        "images": {
            one["id"]: [one["tags"], one["parent_id"], one["config"]["sha256"], one["layers"]]
            for one in manifest["images"]
        },
        "layers": {id_: one["plain_sha256"] for id_, one in manifest["layers"].items()},
        "containers": {
            one["id"]: [one["name"], one["image_id"], one["changes"]["plain_sha256"]]
            for one in manifest["containers"]
        },
        "volumes": {
            one["name"]: one["data"] and one["data"]["plain_sha256"] for one in manifest["volumes"]
        },
        "networks": {one["id"]: one["name"] for one in manifest["networks"]},
    }


def digests(guest: Guest, paths: Sequence[str]) -> str:
    """Of files or devices, all of them."""
    words = " ".join(paths)
    program = f"{richhost.CONTENTS} data"
    return guest.run(f"for path in {words}; do {program} $path; done", timeout=240).stdout


# -- on this machine itself


def data_disk(kind: str) -> Path:
    """The disk with the data root of a prepared host, which was shut down in order."""
    return prepared.path(kind) / "disk-02.img"


@contextmanager
def mounted(disk: Path, point: Path) -> Iterator[Path]:
    """A disk's file system, read-only."""
    subprocess.run(["mount", "-o", "loop,ro,noload", disk, point], check=True, timeout=30)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True, timeout=30)


def rescue(root: Path, dest: Path | None, *words: str) -> dict[str, Any]:
    """A rescue, or without dest a listing, by a process of this machine."""
    install_thin_tools()
    program = [sys.executable, "tests/lab/rescuer.py", str(root), str(dest or "-"), *words]
    done = subprocess.run(
        program,
        cwd=cache.REPO,
        env={**os.environ, "PYTHONPATH": "_utils"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == -9:
        return {"killed": True}
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def install_thin_tools() -> None:
    """What a host with a thin pool has, on a machine that has none."""
    if not Path("/usr/sbin/thin_dump").exists():
        words = ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
        subprocess.run([*words, "thin-provisioning-tools"], check=True, timeout=300)


def extents(file: int) -> Iterator[tuple[int, int]]:
    """Where a file has data: begin and end."""
    end = 0
    while True:
        try:
            begin = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        end = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, end


def bundle(done: dict[str, Any]) -> dict[str, Any]:
    """All that a rescue's bundle holds."""
    return contents(json.loads(Path(done["bundle"], "manifest.json").read_text()))


def tagged(root: Path, name: str) -> str:
    """Id of an image by its tag, in a store."""
    names = json.loads((root / "image/devicemapper/repositories.json").read_text())
    return str(names["Repositories"][name.partition(":")[0]][name])


def layer_file(path: Path, diff_id: str, name: str) -> bytes:
    """The content of a file in a layer of a bundle."""
    packed = (path / "layers" / f"{diff_id.partition(':')[2]}.tar.zst").read_bytes()
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed))
    return _member(io.BytesIO(reader.read()), name)


def member(archive: Path, name: str) -> bytes:
    """The content of a file in an archive."""
    return _member(io.BytesIO(archive.read_bytes()), name)


def _member(data: io.BytesIO, name: str) -> bytes:
    with tarfile.open(fileobj=data) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()
