"""Runs in a guest: writes an archive of images for ``docker load``.

images.py MIB > ARCHIVE: twenty images of five layers of so many MiB each, above one with a shell.
Each five of them share their three lower layers. No content can be made smaller.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

FAMILIES, MEMBERS, SHARED, OWN = 4, 5, 3, 2
#: Kibibytes of the files of each 10 MiB: most bytes are in a few, most names belong to the others.
FILES_KIB = (4096, *[1024] * 4, *[64] * 16, *[16] * 64)
PROGRAMS = ("busybox", "sh", "sleep", "head")


def main(mib: int) -> None:
    shell, layers = _tar(_shell()), {}
    manifest = []
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        layers["shell"] = _put(archive, "shell.tar", shell)
        for number in range(FAMILIES * MEMBERS):
            names = ["shell", *_layer_names(number)]
            for name in names:
                if name not in layers:
                    layers[name] = _put(archive, f"{name}.tar", _tar(_files(name, mib)))
            config = json.dumps(_config([layers[name] for name in names])).encode()
            _put(archive, f"{number}.json", config)
            manifest.append(
                {
                    "Config": f"{number}.json",
                    "RepoTags": [f"bench/app:{number}"],
                    "Layers": [f"{name}.tar" for name in names],
                }
            )
        _put(archive, "manifest.json", json.dumps(manifest).encode())


def _layer_names(number: int) -> list[str]:
    shared = [f"family-{number // MEMBERS}-{layer}" for layer in range(SHARED)]
    return [*shared, *(f"own-{number}-{layer}" for layer in range(OWN))]


def _shell() -> Iterator[tuple[str, bytes]]:
    yield "bin/busybox", Path("/bin/busybox").read_bytes()
    for name in PROGRAMS[1:]:
        yield f"bin/{name}", b""  # a link


def _files(layer: str, mib: int) -> Iterator[tuple[str, bytes]]:
    source = random.Random(layer)  # the same each time
    for part in range(mib // 10):
        for number, kib in enumerate(FILES_KIB):
            yield f"{layer}/{part}/{number}", source.randbytes(kib << 10)


def _tar(files: Iterator[tuple[str, bytes]]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o755, len(content)
            if not content:
                member.type, member.linkname = tarfile.LNKTYPE, "bin/busybox"
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> str:
    """Add a file; its digest."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _config(layers: list[str]) -> dict[str, object]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": layers},
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
