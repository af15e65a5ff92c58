"""Parts of the second store that need no engine."""

import json
import os
import stat

import pytest

from dockerstorage_lib import second_containers
from dockerstorage_lib.adapters import second_daemon, tree
from dockerstorage_lib.adapters.base import Chosen, CopyBase, LowerBase
from dockerstorage_lib.adapters.pump import pump
from dockerstorage_lib.errors import BadInput, Incoherent

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes, as overlayfs does")


def paths(root, **words):
    return [one.path for one in tree.walk(root, **words)]


@needs_root
def test_what_an_opaque_directory_hides_is_deleted_name_by_name(tmp_path):
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for place in ("new/deep/old", "new/old", "new/deep/both", "other/kept"):
        (lower / place).mkdir(parents=True)
    for place in ("new/deep/both", "new/deep/fresh", "other"):
        (upper / place).mkdir(parents=True)
    os.setxattr(upper / "new", "trusted.overlay.opaque", b"y")
    os.mknod(upper / "other" / "gone", stat.S_IFCHR, 0)
    # "new/deep" has no mark: overlayfs gives none to what is made in an opaque directory.
    assert paths(upper, whiteouts="overlay", base=LowerBase(lower)) == [
        "", "new", "new/.wh.old", "new/deep", "new/deep/.wh.old", "new/deep/both",
        "new/deep/fresh", "other", "other/.wh.gone",
    ]  # fmt: skip


def test_of_a_copied_tree_what_changed_after_the_copy_is_told(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for root in (old, new):
        (root / "folder").mkdir(parents=True)
        for name in ("kept", "looks-the-same", "longer"):
            (root / "folder" / name).write_text("x")
            os.utime(root / "folder" / name, ns=(5, 5))
        os.utime(root / "folder", ns=(5, 5))
    copied = (new / "folder").stat().st_ctime_ns
    while (tmp_path / "clock").exists() is False or (
        (tmp_path / "clock").stat().st_ctime_ns <= copied
    ):
        (tmp_path / "clock").write_text("")
    (new / "folder" / "looks-the-same").write_text("y")
    os.utime(new / "folder" / "looks-the-same", ns=(5, 5))
    (new / "folder" / "longer").write_text("xx")
    assert paths(new, whiteouts="remove", base=CopyBase(old, copied)) == [
        "", "folder", "folder/longer", "folder/looks-the-same",
    ]  # fmt: skip


def test_only_chosen_entries_are_taken_and_deletions_that_are_true(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/b/c", "a/left", "a/not-deleted", "other"):
        (tmp_path / name).touch()
    chosen = Chosen(["", "a", "a/.wh.gone", "a/.wh.not-deleted", "a/b", "a/b/c", "a/missing"])
    assert paths(tmp_path, whiteouts="remove", base=chosen, skip=chosen) == [
        "", "a", "a/.wh.gone", "a/b", "a/b/c",
    ]  # fmt: skip


def test_a_pump_moves_all_and_tells_the_writers_error_first():
    assert (
        pump(lambda write: write(b"x" * 5_000_000), lambda stream: len(stream.read())) == 5_000_000
    )

    def fails(write):
        write(b"begun")
        raise BadInput("the writer's")

    def is_cut(stream):
        raise ValueError(stream.read())

    with pytest.raises(BadInput, match="the writer's"):
        pump(fails, is_cut)
    with pytest.raises(BadInput, match="the writer's"):
        pump(fails, lambda stream: stream.read())


def test_a_reader_that_fails_ends_the_writer():
    def endless(write):
        while True:
            write(b"x" * 100_000)

    def fails(stream):
        raise BadInput("the reader's")

    with pytest.raises(BadInput, match="the reader's"):
        pump(endless, fails)


def placeholder(root, id_, name):
    (root / "containers" / id_).mkdir(parents=True)
    document = {"ID": id_, "Name": f"/{name}"}
    (root / "containers" / id_ / "config.v2.json").write_text(json.dumps(document))


def test_layers_get_the_containers_names_once(tmp_path):
    mounts = tmp_path / "image" / "overlay2" / "layerdb" / "mounts"
    (mounts / "p1").mkdir(parents=True)
    placeholder(tmp_path, "p1", "c1.filled")
    for _ in range(2):
        assert second_containers.name_layers(tmp_path, "overlay2") == {"c1": "p1"}
        assert [path.name for path in mounts.iterdir()] == ["c1"]


@pytest.mark.parametrize("name", ["c1", "c1.begun"])
def test_a_placeholder_that_is_not_filled_is_no_containers_layer(tmp_path, name):
    (tmp_path / "image" / "overlay2" / "layerdb" / "mounts" / "p1").mkdir(parents=True)
    placeholder(tmp_path, "p1", name)
    with pytest.raises(Incoherent, match="layer of container c1"):
        second_containers.name_layers(tmp_path, "overlay2")


def test_a_layer_that_is_gone_is_told(tmp_path):
    placeholder(tmp_path, "p1", "c1.filled")
    with pytest.raises(Incoherent, match="layer of container c1"):
        second_containers.name_layers(tmp_path, "overlay2")


def test_flags_are_read_in_both_forms():
    argv = ["dockerd", "--userns-remap", "a", "--containerd=/b=c", "-H", "fd://", "--last"]
    assert second_daemon._flag(argv, "userns-remap") == "a"
    assert second_daemon._flag(argv, "containerd") == "/b=c"
    assert second_daemon._flag(argv, "last") == ""
    assert second_daemon._flag(argv, "data-root") == ""
