"""Runs in a guest: images whose layers are hard to carry, and a container on them.

lab/odd:1 has hard links, extended attributes, names that need PAX headers or are no UTF-8, devices,
times with nanoseconds; lab/odd:2 deletes and replaces some of that; the container "odd" does, too.
"""

import io
import subprocess
import tarfile
from pathlib import Path

LONG = "long-" * 30 + "name"
BYTES = b"not-\xff-utf8".decode("utf-8", "surrogateescape")
DELETE = """
rm -r /gone /replaced/old; mkdir /replaced/old; echo new > /replaced/old/file
rm /link-1; echo more >> /plain
"""
SCRIPT = f"""set -e
docker run --name odd-1 --net none lab/odd:1 sh -c '{DELETE}'
docker commit -c 'CMD ["sleep", "1000000"]' odd-1 lab/odd:2 >/dev/null
docker rm odd-1 >/dev/null
docker create --name odd --net none --stop-signal KILL lab/odd:2 >/dev/null
docker start odd >/dev/null
docker exec odd sh -c 'rm -r /kept; echo "in the container" > /own; mv /plain /moved'
"""


def layer() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def add(
            name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **facts: object
        ) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.mode, member.mtime = kind, len(data), 0o755, 1.5e9
            for key, value in facts.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))

        for folder in ("bin", "gone", "replaced", "replaced/old", "kept", "tmp"):
            add(folder, tarfile.DIRTYPE)
        add("bin/busybox", data=Path("/bin/busybox").read_bytes())
        for name in ("sh", "rm", "mkdir", "echo", "mv", "sleep", "cat"):
            add(f"bin/{name}", tarfile.LNKTYPE, linkname="bin/busybox")
        xattrs = {"SCHILY.xattr.user.note": "kept", "mtime": "1500000000.123456789"}
        add("plain", data=b"plain " * 1000, pax_headers=xattrs, uid=123456789, gid=7)
        add("link-1", tarfile.LNKTYPE, linkname="plain")
        add("link-2", tarfile.LNKTYPE, linkname="plain")
        add("symbolic", tarfile.SYMTYPE, linkname="/etc/passwd")
        add("null", tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("fifo", tarfile.FIFOTYPE)
        for name in (LONG, f"kept/{LONG}/{LONG}", "ümläut €", BYTES, "new\nline"):
            add(name, data=name.encode("utf-8", "surrogateescape") * 3)
        add("gone/file", data=b"gone")
        add("replaced/old/other", data=b"old")
        add("empty")
    return out.getvalue()


if __name__ == "__main__":
    subprocess.run(["docker", "import", "-", "lab/odd:1"], input=layer(), check=True)
    subprocess.run(["bash", "-c", SCRIPT], check=True)
