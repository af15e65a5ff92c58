"""A directory → entries → a tar → entries → a directory: nothing is lost, nothing is added."""

import io
import os
import socket
import stat
import subprocess
import sys
import tarfile

import pytest

from dockerstorage_lib import sparse
from dockerstorage_lib.adapters import tree
from dockerstorage_lib.errors import Refused
from dockerstorage_lib.tree import Entry, order
from dockerstorage_lib.treetar import read_tar, write_tar
from tests.unit.trees import everything, look, run_in_mount_namespace, tar_of, untar, with_holes

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make device nodes and give files to others"
)


@needs_root
def test_everything_comes_back(tmp_path):
    source = everything(tmp_path / "source")
    before = look(source)
    data = tar_of(source)
    assert look(source) == before, "reading changes nothing"
    assert look(untar(data, tmp_path / "copy")) == before
    assert tar_of(tmp_path / "copy") == data


@needs_root
def test_entries_come_back_from_the_tar_in_their_order(tmp_path):
    source = everything(tmp_path / "source")
    entries = list(tree.walk(source))
    assert entries == sorted(entries, key=lambda entry: order(entry.path))
    assert entries[0].path == ""
    assert [one for one, _ in read_tar(io.BytesIO(tar_of(source)), "x", False)] == entries


@needs_root
def test_the_locale_does_not_matter(tmp_path):
    data = tar_of(everything(tmp_path / "source"))
    (tmp_path / "tar").write_bytes(data)
    code = """if True:
        import sys
        from pathlib import Path
        from tests.unit.trees import tar_of, untar
        assert sys.getfilesystemencoding() == "ascii"
        data = Path("tar").read_bytes()
        assert tar_of(untar(data, Path("copy"))) == data
    """
    environment = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": ":".join(sys.path),
    }
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


@needs_root
def test_access_times_are_left_alone(tmp_path):
    (tmp_path / "file").write_text("x")
    os.utime(tmp_path / "file", ns=(1, 2))
    tar_of(tmp_path)
    assert (tmp_path / "file").stat().st_atime_ns == 1


@needs_root
def test_gnu_tar_and_python_read_it(tmp_path):
    source = everything(tmp_path / "source")
    data = tar_of(source)
    copy = tmp_path / "copy"
    copy.mkdir()
    flags = ["--xattrs", "--xattrs-include=*", "--numeric-owner"]
    done = subprocess.run(
        ["tar", "-xpC", str(copy), *flags], input=data, capture_output=True, check=False
    )
    odd = os.fsencode(source / "attributes"), b"user.\xff\xfe"
    assert done.returncode == 0, done.stderr
    os.setxattr(copy / "attributes", odd[1], os.getxattr(*odd))  # it keeps "%FF" as it is
    os.removexattr(copy / "attributes", "user.%FF%FE")
    assert look(copy) == look(source)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {"." if one.name == "." else one.name for one in tar.getmembers()}
        many = tar.extractfile("many").read()
    assert names == {os.fsdecode(path) for path in look(source)}
    assert many == (source / "many").read_bytes()


def test_a_file_larger_than_any_disk_keeps_its_holes(tmp_path):
    (tmp_path / "source").mkdir()
    with (tmp_path / "source" / "disk.img").open("wb") as file:
        file.seek(2**40)
        file.write(b"end")
        file.truncate(2**40 + 2**30)
    data = tar_of(tmp_path / "source")
    assert len(data) < 20_000
    copy = untar(data, tmp_path / "copy") / "disk.img"
    assert copy.stat().st_size == 2**40 + 2**30
    assert copy.stat().st_blocks < 100
    with copy.open("rb") as file:
        file.seek(2**40)
        assert file.read(4) == b"end\0"


def test_a_file_in_very_many_pieces_loses_only_its_last_holes(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "MAX_SEGMENTS", 10)
    source = tmp_path / "source"
    source.mkdir()
    with_holes(source)
    before = look(source, holes=False)
    copy = untar(tar_of(source), tmp_path / "copy")
    assert look(copy, holes=False) == before
    assert (copy / "many").stat().st_blocks > (source / "many").stat().st_blocks


def test_sockets_and_what_is_skipped_are_left_out(tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    (tmp_path / "skipped" / "inner").mkdir(parents=True)
    (tmp_path / "kept").touch()
    left = []
    walked = tree.walk(
        tmp_path, skip={"skipped"}, on_left_out=lambda path, why: left.append((path, why))
    )
    assert [one.path for one in walked] == ["", "kept"]
    assert left == [("socket", "a socket")]
    server.close()


@needs_root
def test_mounts_are_not_crossed_not_even_binds_of_the_same_file_system(tmp_path):
    script = f"""
        set -e
        mount --make-rprivate /
        mkdir -p {tmp_path}/tree/point {tmp_path}/other
        touch {tmp_path}/other/secret
        mount --bind {tmp_path}/other {tmp_path}/tree/point
        cd {tmp_path}/tree && exec "$0" -c '
from dockerstorage_lib import sparse
from dockerstorage_lib.adapters import tree
left = []
print([one.path for one in tree.walk(".", on_left_out=lambda *one: left.append(one))], left)
print([one.path for one in tree.walk(".", cross_mounts=True)])'
    """
    said = run_in_mount_namespace(script)
    assert said == [
        "['', 'point'] [('point', 'another file system is mounted there')]",
        "['', 'point', 'point/secret']",
    ]


def test_a_file_that_changes_while_it_is_read_gives_a_whole_tar(tmp_path):
    for name in ("grows", "shrinks", "goes", "stays", "turns"):
        (tmp_path / name).write_bytes(b"1234567890" * 100)
    (tmp_path / "goes too").hardlink_to(tmp_path / "goes")
    entries = list(tree.walk(tmp_path))
    with (tmp_path / "grows").open("ab") as file:
        file.write(b"more")
    os.truncate(tmp_path / "shrinks", 5)
    (tmp_path / "goes").unlink()
    (tmp_path / "turns").unlink()
    (tmp_path / "turns").symlink_to("/etc/passwd")
    out, changed = io.BytesIO(), {}
    write_tar(entries, tree.opener(tmp_path), out.write, changed.__setitem__)
    out.seek(0)
    found = {one.path: one and file and file.read() for one, file in read_tar(out, "x", False)}
    assert found["grows"] == b"1234567890" * 100
    assert found["shrinks"] == b"12345" + bytes(995)
    assert set(found) == {"", "grows", "shrinks", "stays"}
    assert set(changed) == {"grows", "shrinks", "goes", "goes too", "turns"}


def test_a_directory_that_turns_into_a_link_is_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "key").write_text("public")
    (entry,) = (one for one in tree.walk(root) if one.path == "folder/key")
    open_entry = tree.opener(root)
    (root / "folder").rename(root / "moved")
    (root / "folder").symlink_to(secret)
    with pytest.raises(FileNotFoundError):
        open_entry(entry)


def test_a_tree_that_is_too_deep_is_refused(tmp_path):
    here = tmp_path
    for _ in range(401):
        here = here / "d"
        here.mkdir()
    with pytest.raises(Refused, match="deeper than"):
        list(tree.walk(tmp_path))


@needs_root
def test_deletions_of_overlay2_become_whiteouts(tmp_path):
    upper = tmp_path / "upper"
    (upper / "folder").mkdir(parents=True)
    for name in ("gone", "folder/gone", "-first"):
        os.mknod(upper / name, stat.S_IFCHR, 0)
    os.setxattr(upper / "folder", "trusted.overlay.opaque", b"y")
    os.setxattr(upper, "trusted.overlay.impure", b"y")
    os.mknod(upper / "null", stat.S_IFCHR, os.makedev(1, 3))
    (upper / "folder" / "-new").touch()
    (upper / ".wh.real").touch()
    left = []
    entries = list(tree.walk(upper, whiteouts="overlay", on_left_out=lambda *one: left.append(one)))
    assert [one.path for one in entries] == [
        "", ".wh.-first", ".wh.gone", "folder", "folder/.wh..wh..opq", "folder/-new",
        "folder/.wh.gone", "null",
    ]  # fmt: skip
    assert all(one.kind == "file" for one in entries if ".wh." in one.path)
    assert not any(one.xattrs for one in entries)
    assert [path for path, _ in left] == [".wh.real"]
    data = tar_of(upper, whiteouts="overlay")
    (upper / ".wh.real").unlink()
    copy = untar(data, tmp_path / "copy", "overlay")
    seen, wanted = look(copy), look(upper)
    os.removexattr(upper, "trusted.overlay.impure")
    assert set(seen) == set(wanted)
    assert seen[b"folder"] == wanted[b"folder"]
    assert (copy / "gone").lstat().st_rdev == 0


@needs_root
def test_an_upper_directory_that_overlayfs_completes_from_elsewhere_is_refused(tmp_path):
    (tmp_path / "moved").mkdir()
    os.setxattr(tmp_path / "moved", "trusted.overlay.redirect", b"/old")
    with pytest.raises(Refused, match="moved: overlayfs keeps a part of it elsewhere"):
        list(tree.walk(tmp_path, whiteouts="overlay"))


def test_the_opaque_mark_sorts_first():
    assert sorted(["a/.wh..wh..opq", "a/!", "a", "a/.wh.x", "a-b", ""], key=order) == [
        "", "a", "a/.wh..wh..opq", "a/!", "a/.wh.x", "a-b",
    ]  # fmt: skip


def test_content_may_come_from_anywhere(tmp_path):
    entries = [Entry("", "directory", 0o755), Entry("made up", "file", 0o600, size=4)]
    out = io.BytesIO()
    write_tar(entries, lambda entry: io.BytesIO(b"data"), out.write)
    assert (untar(out.getvalue(), tmp_path / "x") / "made up").read_bytes() == b"data"
