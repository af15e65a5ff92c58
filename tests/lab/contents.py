"""Runs in a guest: what a tree holds, one line of JSON for each file; or make a tree hold a lot.

contents.py show ROOT, contents.py fill ROOT, contents.py archive < TAR, contents.py images < TAR,
contents.py data FILE

``show`` tells all that an export promises to keep: path, type, mode, owner, times in ns, size,
digest, extended attributes, link target, device numbers, which names are one file. It stays in the
file system of ROOT, as what is mounted in a container is not the container's. ``archive`` prints
one digest of all that a tar holds, whatever the order; ``images`` those of the layers and
configurations in the output of ``docker save``; ``data`` that of a file without its holes.
"""

import hashlib
import json
import os
import re
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def show(root: str) -> None:
    device, files = os.lstat(root).st_dev, {}
    for folder, names in walk(root, device):
        for name in names:
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            if seen.st_dev == device and not stat.S_ISSOCK(seen.st_mode):
                files[os.path.relpath(path, root)] = describe(path, seen)
    first: dict[int, str] = {}
    for path in sorted(files):
        inode = files[path].pop("inode")
        files[path]["same_as"] = first.setdefault(inode, path)
        print(json.dumps([path, files[path]]))


def walk(root: str, device: int):  # type: ignore[no-untyped-def]
    yield root, ["."]
    for folder, folders, names in os.walk(root):
        yield folder, folders + names
        folders[:] = [
            one for one in folders
            if os.lstat(os.path.join(folder, one)).st_dev == device
        ]  # fmt: skip


def describe(path: str, seen: os.stat_result) -> dict[str, Any]:
    plain = stat.S_ISREG(seen.st_mode)
    return {
        "inode": seen.st_ino,
        "mode": oct(seen.st_mode),
        "owner": [seen.st_uid, seen.st_gid],
        "mtime_ns": seen.st_mtime_ns,
        "size": seen.st_size if plain else None,
        "digest": hashlib.sha256(Path(path).read_bytes()).hexdigest() if plain else None,
        "target": os.readlink(path) if stat.S_ISLNK(seen.st_mode) else None,
        "device": seen.st_rdev,
        "links": seen.st_nlink if plain else None,
        "xattrs": {
            name: os.getxattr(path, name, follow_symlinks=False).hex()
            for name in sorted(os.listxattr(path, follow_symlinks=False))
            if not name.startswith("trusted.overlay.")
        },
    }


def fill(root: str) -> None:
    """Files of every kind, and odd ones."""
    os.chdir(root)
    os.makedirs("rich/deep/er/and/deeper")
    Path("rich/plain").write_bytes(os.urandom(100_000))
    Path("rich/deep/er/and/deeper/x").write_text("x")
    os.link("rich/plain", "rich/second name")
    os.link("rich/plain", "rich/deep/third")
    os.symlink("/etc/passwd", "rich/absolute")
    os.symlink("../nowhere", "rich/dangling")
    os.mkfifo("rich/fifo", 0o640)
    os.mknod("rich/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod("rich/loop", 0o660 | stat.S_IFBLK, os.makedev(7, 5))
    Path("rich/setuid").write_text("#!/bin/sh\n")
    os.chown("rich/setuid", 1000, 50)
    os.chmod("rich/setuid", 0o6755)
    os.mkdir("rich/sticky")
    os.chmod("rich/sticky", 0o1777)
    for name in (
        b"rich/new\nline",
        b"rich/\xff\xfe",
        "rich/ümläut €".encode(),
        b"rich/ " + b"n" * 200,
    ):
        Path(os.fsdecode(name)).write_bytes(name)
    with open("rich/sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")
    os.setxattr("rich/plain", "user.note", b"\x00\xffbinary\n=")
    os.setxattr("rich/deep", "trusted.note", b"a directory's")
    # cap_net_bind_service, as capabilities(7) has it in version 2
    os.setxattr(
        "rich/setuid",
        "security.capability",
        bytes.fromhex("0100000200040000000000000000000000000000"),
    )
    os.utime("rich/plain", ns=(1_500_000_000_123_456_789, 1_400_000_000_987_654_321))
    os.utime("rich/absolute", ns=(1, 2), follow_symlinks=False)
    os.utime("rich/sticky", ns=(5, 7))


def archive() -> None:
    found = []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as members:
        for one in members:
            content = members.extractfile(one) if one.isfile() else None
            facts = (one.mode, one.uid, one.gid, one.mtime, one.size, one.type, one.linkname)
            digest = hashlib.sha256(content.read() if content else b"").hexdigest()
            xattrs = sorted(item for item in one.pax_headers.items() if "xattr" in item[0])
            found.append(repr((one.name, facts, digest, xattrs)))
    text = "\n".join(sorted(found))
    print(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest())


def images() -> None:
    found = set()
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as members:
        for one in members:
            if one.name.endswith("/layer.tar") or re.fullmatch("[0-9a-f]{64}.json", one.name):
                content = members.extractfile(one) if one.isfile() else None
                if content:  # else it is a link to one that came before
                    found.add(hashlib.sha256(content.read()).hexdigest())
    print(*sorted(found))


def data(path: str) -> None:
    digest, at = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while True:
            try:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:  # only a hole is left
                break
            at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            file.seek(begin)
            digest.update(b"%d" % begin + file.read(at - begin))
    print(digest.hexdigest())


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {
        "show": show,
        "fill": fill,
        "archive": archive,
        "images": images,
        "data": data,
    }
    modes[sys.argv[1]](*sys.argv[2:])
