"""Writing entries into a directory: what is replaced, deleted, kept, and never touched."""

import io
import os
import stat
import subprocess

import pytest

from dockerstorage_lib.adapters import directories, tree
from dockerstorage_lib.errors import BadInput, Damaged
from dockerstorage_lib.tree import Entry
from tests.unit.trees import ACL, CAPABILITY, look, run_in_mount_namespace, tar_of, untar

ROOT = Entry("", "directory", 0o755)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root restores owners and devices")


def restore(root, *entries, whiteouts="remove", **options):
    """Entries with their content as their target, files only."""
    pairs = [
        (one, io.BytesIO(b"new") if one.kind == "file" and one.size else None)
        for one in (ROOT, *entries)
    ]
    root.mkdir(exist_ok=True)
    tree.restore(pairs, root, whiteouts, **options)
    return root


def file(path, **fields):
    return Entry(path, "file", 0o644, size=3, **fields)


def folder(path, **fields):
    return Entry(path, "directory", 0o755, **fields)


def gone(path):
    return Entry(path, "file")


@pytest.fixture
def base(tmp_path):
    """What an image gives."""
    root = tmp_path / "root"
    (root / "etc" / "deep" / "er").mkdir(parents=True)
    (root / "etc" / "hosts").write_text("old")
    (root / "etc" / "deep" / "er" / "file").write_text("old")
    (root / "etc" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("outside")
    return root


def names(root):
    return sorted(os.fsdecode(path) for path in look(root))


def test_what_a_layer_replaces(base, tmp_path):
    before = look(tmp_path / "outside")
    restore(
        base,
        folder("etc", mtime_ns=5),
        file("etc/deep"),  # a file in the place of a directory
        folder("etc/hosts"),  # a directory in the place of a file
        file("etc/hosts/inner"),
        folder("etc/link"),  # a directory in the place of a link to a directory
        file("etc/link/file"),
    )
    assert names(base) == [
        ".", "etc", "etc/deep", "etc/hosts", "etc/hosts/inner", "etc/link", "etc/link/file",
    ]  # fmt: skip
    assert (base / "etc").stat().st_mtime_ns == 5
    assert look(tmp_path / "outside") == before


def test_what_a_layer_deletes(base, tmp_path):
    before = look(tmp_path / "outside")
    restore(base, folder("etc"), gone("etc/.wh.deep"), gone("etc/.wh.link"), gone("etc/.wh.no"))
    assert names(base) == [".", "etc", "etc/hosts"]
    assert look(tmp_path / "outside") == before


def test_an_opaque_directory_keeps_only_what_is_new(base):
    restore(base, folder("etc"), gone("etc/.wh..wh..opq"), file("etc/!"), file("etc/hosts"))
    assert names(base) == [".", "etc", "etc/!", "etc/hosts"]


def test_other_names_of_a_file_keep_what_they_had(base, tmp_path):
    (tmp_path / "shared").hardlink_to(base / "etc" / "hosts")
    restore(base, folder("etc"), file("etc/hosts"))
    assert (base / "etc" / "hosts").read_text() == "new"
    assert (tmp_path / "shared").read_text() == "old"


def test_a_directory_that_is_there_gets_what_the_entry_says_and_only_that(base):
    os.setxattr(base / "etc", "user.old", b"x")
    os.setxattr(base / "etc", "system.posix_acl_default", ACL)
    os.setxattr(base / "etc", "trusted.overlay.origin", b"x")
    restore(base, Entry("etc", "directory", 0o1700, 5, 6, 7, xattrs={"user.new": b"y"}),
            folder("etc/sub"), file("etc/sub/file"))  # fmt: skip
    seen = (base / "etc").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (0o1700, 5, 6)
    assert sorted(os.listxattr(base / "etc")) == ["trusted.overlay.origin", "user.new"]
    assert not os.listxattr(base / "etc" / "sub" / "file"), "nothing is inherited"


def test_an_acl_comes_back(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    os.setxattr(source / "file", "system.posix_acl_access", ACL)
    os.setxattr(source, "system.posix_acl_default", ACL)
    (source / "inherits").touch()
    before = look(source)
    assert look(untar(tar_of(source), tmp_path / "copy")) == before


def test_set_id_bits_and_capabilities_survive_the_change_of_owner(tmp_path):
    restore(
        tmp_path / "x", Entry("f", "file", 0o6755, 5, 6, xattrs={"security.capability": CAPABILITY})
    )
    assert stat.S_IMODE((tmp_path / "x" / "f").stat().st_mode) == 0o6755
    assert os.getxattr(tmp_path / "x" / "f", "security.capability") == CAPABILITY


def test_the_umask_does_not_matter(tmp_path):
    before = os.umask(0o777)
    try:
        restore(
            tmp_path / "x", Entry("d", "directory", 0o777), Entry("d/p", "fifo", 0o666), file("f")
        )
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x" / "d" / "p").stat().st_mode) == 0o666
    assert stat.S_IMODE((tmp_path / "x" / "f").stat().st_mode) == 0o644


def test_a_repeat_changes_nothing(base):
    entries = [folder("etc"), gone("etc/.wh.link"), file("etc/f", links=1, mtime_ns=4),
               Entry("etc/g", "hardlink", target="etc/f"),
               Entry("etc/p", "fifo"), Entry("etc/s", "symlink", target="x")]  # fmt: skip
    restore(base, *entries)
    before = look(base)
    assert look(restore(base, *entries)) == before


def test_upper_directories_of_overlay2(tmp_path):
    upper = restore(
        tmp_path / "upper",
        gone(".wh.gone"),
        folder("d"),
        gone("d/.wh..wh..opq"),
        file("d/f"),
        whiteouts="overlay",
    )
    seen = (upper / "gone").lstat()
    assert stat.S_ISCHR(seen.st_mode)
    assert seen.st_rdev == 0
    assert os.getxattr(upper / "d", "trusted.overlay.opaque") == b"y"
    assert names(upper) == [".", "d", "d/f", "gone"]


def test_the_kernel_s_overlay_shows_what_the_layer_says(tmp_path):
    """The same layer into a copy of the base, and into an upper directory over it: one result."""
    lower, upper, copy = tmp_path / "lower", tmp_path / "upper", tmp_path / "copy"
    for root in (lower, copy):
        (root / "d" / "inner").mkdir(parents=True)
        (root / "e" / "inner").mkdir(parents=True)
        for name in ("gone", "file", "d/old", "e/old", "e/kept"):
            (root / name).write_text("old")
            os.utime(root / name, (1, 1))
    layer = [gone(".wh.gone"), folder("d"), gone("d/.wh..wh..opq"), file("d/new"),
             folder("e"), gone("e/.wh.inner"), folder("e/old"),
             Entry("file", "symlink", target="x")]  # fmt: skip
    restore(copy, *layer)
    restore(upper, *layer, whiteouts="overlay")
    (tmp_path / "work").mkdir()
    (tmp_path / "merged").mkdir()
    said = run_in_mount_namespace(f"""
        set -e
        mount --make-rprivate /
        mount -t tmpfs none {tmp_path}/work
        mkdir {tmp_path}/work/upper {tmp_path}/work/work
        cp -a {upper}/. {tmp_path}/work/upper
        mount -t overlay none {tmp_path}/merged -o \
            lowerdir={lower},upperdir={tmp_path}/work/upper,workdir={tmp_path}/work/work
        cd {tmp_path}/merged && find . | sort
    """)
    found = subprocess.run(["find", "."], cwd=copy, capture_output=True, text=True, check=True)
    assert said == sorted(found.stdout.split("\n")[:-1])
    assert "./e/kept" in said
    assert "./d/old" not in said


def test_what_is_mounted_in_the_tree_is_not_emptied(tmp_path):
    said = run_in_mount_namespace(f"""
        set -e
        mount --make-rprivate /
        mkdir -p {tmp_path}/tree/a/point {tmp_path}/other
        touch {tmp_path}/other/precious
        mount --bind {tmp_path}/other {tmp_path}/tree/a/point
        exec "$0" -c '
import os
from dockerstorage_lib.adapters import tree
from dockerstorage_lib.errors import Incoherent
from dockerstorage_lib.tree import Entry
root = Entry("", "directory", 0o755)
a, point = (Entry(path, "directory", 0o755) for path in ("a", "a/point"))
for entries in ([Entry(".wh.a", "file")], [Entry(".wh..wh..opq", "file")],
                [a, Entry("a/.wh..wh..opq", "file")], [a, Entry("a/point", "file")], [a, point]):
    try:
        tree.restore([(root, None), *((one, None) for one in entries)], "{tmp_path}/tree", "remove")
    except Incoherent as found:
        print(found)
print(os.listdir("{tmp_path}/other"))'
    """)
    assert len(said) == 6
    assert all("expected nothing mounted there" in line for line in said[:5])
    assert said[5] == "['precious']"


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("..", "directory")],
        [Entry("../x", "file")],
        [Entry("/x", "file")],
        [Entry("a/b", "file")],
        [gone(".wh...")],
        [gone(".wh..")],
        [gone(".wh.")],
        [ROOT],
        [Entry("a", "symlink", target="/"), Entry("a/b", "file")],
        [file("a"), Entry("a/b", "file")],
        [folder("a"), file("b"), file("a/x")],
        [Entry("a", "symlink", target="/etc/passwd"), Entry("b", "hardlink", target="a")],
    ],
)
def test_entries_that_no_reader_yields_are_refused(tmp_path, entries):
    (tmp_path / "x").write_text("sentinel")
    (tmp_path / "root").mkdir()
    outside = look(tmp_path)
    with pytest.raises(Damaged):
        restore(tmp_path / "root", *entries)
    after = look(tmp_path)
    assert {path for path in after if not path.startswith(b"root/")} == {b".", b"x", b"root"}
    assert (after[b"."], after[b"x"]) == (outside[b"."], outside[b"x"])


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("../x", Damaged),
        ("/etc/passwd", Damaged),
        ("..", Damaged),
        ("link", Damaged),
        ("link/passwd", NotADirectoryError),
    ],
)
def test_hard_links_to_what_lies_outside_are_refused(tmp_path, target, error):
    (tmp_path / "x").write_text("sentinel")
    link = Entry("link", "symlink", target="/etc")
    with pytest.raises(error):
        restore(tmp_path / "root", link, Entry("out", "hardlink", target=target))
    assert not (tmp_path / "root" / "out").exists()
    assert (tmp_path / "x").stat().st_nlink == 1


def test_a_link_in_the_place_of_a_directory_on_disk_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    for whiteouts in (None, "remove"):
        restore(tmp_path / "root", folder("a"), file("a/b"), whiteouts=whiteouts)
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_xattr_that_cannot_be_held_is_told_or_an_error(tmp_path):
    entry = Entry("a", "symlink", target="x", xattrs={"user.x": b"", "trusted.y": b"z"})
    with pytest.raises(OSError, match="not permitted"):
        restore(tmp_path / "x", entry)
    told = []
    restore(tmp_path / "x", entry, on_left_out=lambda *one: told.append(one))
    assert told == [("a", "its xattr user.x is not supported there")]
    assert os.listxattr(tmp_path / "x" / "a", follow_symlinks=False) == ["trusted.y"]


def test_an_unknown_way_to_delete_is_refused(tmp_path):
    with pytest.raises(BadInput):
        restore(tmp_path / "x", whiteouts="rename")


def test_trees_deeper_than_python_s_stack_and_any_path_are_removed(tmp_path):
    (tmp_path / "deep").mkdir()
    inner = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(900):
        os.mkdir("directory", dir_fd=inner)
        below = os.open("directory", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = below
    os.close(inner)
    here = directories.open_root(tmp_path)
    directories.remove(here, "deep", directories.mount_id(here))
    os.close(here)
    assert not list(tmp_path.iterdir())


def test_no_descriptor_is_left_open(base, tmp_path):
    def descriptors():
        return len(list(os.scandir("/proc/self/fd")))

    before = descriptors()
    data = tar_of(base)
    untar(data, tmp_path / "copy")
    with pytest.raises(Damaged):
        restore(base, folder("etc"), Entry("x/y", "file"))
    next(tree.walk(base))
    assert descriptors() == before
