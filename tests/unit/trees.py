"""Trees on disk for the tests, and a look at them that shares no code with the project."""

import hashlib
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

from dockerstorage_lib.adapters import tree
from dockerstorage_lib.treetar import read_tar, write_tar

#: cap_net_raw+ep, as setcap(8) stores it.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
#: user::rwx user:5:r-x group::r-x mask::r-x other::r-x, in the kernel's form.
ACL = b"".join(
    part.to_bytes(2, "little") + may.to_bytes(2, "little") + who.to_bytes(4, "little", signed=True)
    for part, may, who in ((1, 7, -1), (2, 5, 5), (4, 5, -1), (16, 5, -1), (32, 5, -1))
)
ACL = (2).to_bytes(4, "little") + ACL


def run_in_mount_namespace(script):
    """What a shell script says that may mount; "$0" is a Python that has the project."""
    library = tree.__file__.rpartition("/dockerstorage_lib")[0]
    environment = os.environ | {"PYTHONPATH": library}
    argv = ["unshare", "-m", "sh", "-c", script, sys.executable]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def look(root, *, holes=True):
    """Everything that a tree is, by path (bytes), read with paths and lstat."""
    root = os.fsencode(root)
    found = {}
    inodes = {}
    for folder, folders, files in os.walk(root):
        names = [folder + b"/" + name for name in (*folders, *files)]
        for path in [root, *names] if folder == root else names:
            seen = os.lstat(path)
            first = inodes.setdefault(seen.st_ino, os.path.relpath(path, root))
            xattrs = {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            }
            found[os.path.relpath(path, root)] = (
                oct(seen.st_mode), seen.st_uid, seen.st_gid, seen.st_mtime_ns, seen.st_rdev,
                xattrs, content(path, seen, holes),
                first if stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1 else None,
            )  # fmt: skip
    return found


def content(path, seen, holes):
    """Link target, or size and digest and where the holes are."""
    if stat.S_ISLNK(seen.st_mode):
        return os.readlink(path)  # noqa: PTH115
    if not stat.S_ISREG(seen.st_mode):
        return None
    with open(path, "rb") as file:  # noqa: PTH123
        return seen.st_size, hashlib.sha256(file.read()).hexdigest(), holes and data_of(file)


def data_of(file):
    """Where a file has data: pairs of begin and end."""
    found, at, size = [], 0, os.fstat(file.fileno()).st_size
    while at < size:
        try:
            begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
        found.append((begin, at))
    return found


def everything(root):
    """A directory with all that a Linux file system can hold but sockets; needs root."""
    root.mkdir(exist_ok=True)
    raw = os.fsencode(root)
    (root / "empty").touch()
    (root / "plain").write_bytes(b"hello" * 1000)
    (root / "block").write_bytes(b"x" * 512)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep.file").write_text("sorts between")
    (root / "deep" / "er" / ("n" * 255)).write_text("a long name")
    (root / "deep" / "er" / "later name").hardlink_to(root / "plain")
    (root / "zz").hardlink_to(root / "plain")
    (root / "set-id").write_text("runs as 1234")
    os.chown(root / "set-id", 1234, 4321)
    (root / "set-id").chmod(0o6755)
    (root / "huge ids").touch()
    os.chown(root / "huge ids", 2**32 - 2, 2**31 + 5)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o3777)
    for name in (b"\xff\xfe not UTF-8", "Grüße ☃".encode(), b"new\nline\t\x01", b"-dash", b".wh.x"):
        Path(os.fsdecode(raw + b"/" + name)).write_bytes(name)
    (root / "relative").symlink_to("../../../etc/passwd")
    (root / "absolute").symlink_to("/" + "t" * 300)
    (root / "odd link").symlink_to(os.fsdecode(b"\xff\xff"))
    os.lchown(root / "relative", 5, 6)
    os.mkfifo(root / "fifo", 0o640)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o600, os.makedev(4095, 2**20 - 1))
    with_xattrs(root)
    with_holes(root)
    for number, name in enumerate(sorted(os.listdir(raw))):  # noqa: PTH208
        os.utime(
            raw + b"/" + name, ns=(1, 10**18 + number * 10**9 + 123456789), follow_symlinks=False
        )
    os.utime(root / "empty", ns=(1, -1_500_000_000))
    os.utime(root, ns=(7, 999_999_999))
    return root


def with_xattrs(root):
    """Files with extended attributes of every kind."""
    file = root / "attributes"
    file.write_text("x")
    for name, value in {
        "user.text": b"value",
        "user.binary": bytes(range(256)),
        "user.lines": b"a=b\n12 c=d\n\0",
        "user.empty": b"",
        "user.per%cent=sign": b"=%3D",
        "trusted.one": b"1",
        "security.capability": CAPABILITY,
    }.items():
        os.setxattr(file, name, value)
    os.setxattr(file, b"user.\xff\xfe", b"name is no UTF-8")
    os.setxattr(file, "user.ümläut".encode(), b"\xc3\xbc")
    os.setxattr(root / "deep", "user.of.directory", b"\0\xff")
    (root / "trusted link").symlink_to("x")
    os.setxattr(root / "trusted link", "trusted.link", b"yes", follow_symlinks=False)


def with_holes(root):
    """Files with holes in every place."""
    for name, pieces, size in (
        ("only a hole", [], 10 * 2**20),
        ("begins with a hole", [(2**20, b"a" * 4096)], 2**20 + 4096),
        ("ends with a hole", [(0, b"b" * 5000)], 3 * 2**20),
        ("many", [(2**16 * n, bytes([n + 1]) * 4096) for n in range(0, 200, 2)], 2**24 + 7),
    ):
        with (root / name).open("wb") as file:
            for offset, data in pieces:
                file.seek(offset)
                file.write(data)
            file.truncate(size)


def tar_of(root, **rules):
    """The tar of a directory."""
    out = io.BytesIO()
    write_tar(tree.walk(root, **rules), tree.opener(root), out.write)
    return out.getvalue()


def untar(data, root, whiteouts=None):
    """A tar restored into a directory."""
    root.mkdir(exist_ok=True)
    tree.restore(read_tar(io.BytesIO(data), "the tar", bool(whiteouts)), root, whiteouts)
    return root
