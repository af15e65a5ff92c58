"""Files of the configuration, replaced and put back on a real file system."""

import os

import pytest

from dockerstorage_lib.adapters import configfiles
from dockerstorage_lib.driverchange import Change, FileChange
from dockerstorage_lib.errors import Refused


@pytest.fixture
def change(tmp_path):
    old, new = tmp_path / "etc" / "default", tmp_path / "etc" / "docker" / "daemon.json"
    old.parent.mkdir()
    old.write_bytes(b"A=\xff\n")
    old.chmod(0o640)
    return Change(
        "overlay2",
        (),
        (FileChange(str(old), b"A=\xff\n", b"A=1\n"), FileChange(str(new), None, b"{}\n")),
    )


def contents(change):
    return [configfiles._content(one.path) for one in change.files]


def test_applied_twice_and_undone_twice(change, tmp_path):
    keep = tmp_path / "keep"
    for _ in range(2):
        configfiles.apply(change, keep)
        assert contents(change) == [b"A=1\n", b"{}\n"]
    assert os.stat(change.files[0].path).st_mode & 0o777 == 0o640  # noqa: PTH116
    assert os.stat(change.files[1].path).st_mode & 0o777 == 0o644  # noqa: PTH116
    (copy,) = keep.iterdir()
    assert copy.read_bytes() == b"A=\xff\n"
    assert copy.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        configfiles.undo(change)
        assert contents(change) == [b"A=\xff\n", None]
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(["default", copy.name])


@pytest.mark.parametrize("done", [0, 1])
def test_half_done_goes_both_ways(change, tmp_path, done):
    half = Change(change.driver, (), change.files[done : done + 1])
    configfiles.apply(half, tmp_path / "keep")
    configfiles.apply(change, tmp_path / "keep")
    assert contents(change) == [b"A=1\n", b"{}\n"]
    configfiles.undo(half)
    configfiles.undo(change)
    assert contents(change) == [b"A=\xff\n", None]


@pytest.mark.parametrize("at", [0, 1])
def test_a_file_that_somebody_edited_stays(change, tmp_path, at):
    path = change.files[at].path
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    with open(path, "w") as file:  # noqa: PTH123
        file.write("edited\n")
    before = contents(change)
    for act in (
        lambda: configfiles.apply(change, tmp_path / "keep"),
        lambda: configfiles.undo(change),
    ):
        with pytest.raises(Refused, match=path):
            act()
        assert contents(change) == before
    assert not (tmp_path / "keep").exists()


def test_a_link_stays_one(change, tmp_path):
    path = tmp_path / "etc" / "default"
    path.rename(tmp_path / "real")
    path.symlink_to("../real")
    configfiles.apply(change, tmp_path / "keep")
    assert path.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"A=1\n"


def test_a_link_to_a_package_s_file_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/usr/bin/env")
    content = (tmp_path / "link").read_bytes()
    change = Change("vfs", (), (FileChange(str(tmp_path / "link"), content, b"x"),))
    with pytest.raises(Refused, match="file of a package"):
        configfiles.apply(change, tmp_path / "keep")


def test_attributes_stay(change, tmp_path):
    path = change.files[0].path
    try:
        os.setxattr(path, "user.note", b"x")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    configfiles.apply(change, tmp_path / "keep")
    assert os.getxattr(path, "user.note") == b"x"
