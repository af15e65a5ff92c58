"""A volume's directory: data appears whole or not at all."""

import io
import os

import pytest

from dockerstorage_lib.adapters import volumedir
from dockerstorage_lib.errors import Refused

ID = "a" * 32


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "volumes" / "data"
    (path / "_data").mkdir(parents=True)
    (path / "_data" / "old").write_text("old")
    return path


def test_new_data_takes_the_place_of_the_old(folder):
    volumedir.replace_data(folder, lambda new: (new / "new").write_text("new"))
    assert [one.name for one in (folder / "_data").iterdir()] == ["new"]
    assert [one.name for one in folder.iterdir()] == ["_data"]


def test_data_that_cannot_be_written_leaves_the_old(folder):
    def fill(new):
        (new / "half").write_text("x")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        volumedir.replace_data(folder, fill)
    assert [one.name for one in (folder / "_data").iterdir()] == ["old"]
    volumedir.replace_data(folder, lambda new: None)
    assert volumedir.is_empty(folder)
    assert [one.name for one in folder.iterdir()] == ["_data"]


def test_a_cut_between_the_two_steps_of_the_exchange_is_mended(folder):
    (folder / "_data").rename(folder / volumedir.OLD)
    (folder / volumedir.NEW).mkdir()

    def fill(new):
        raise OSError("again")

    with pytest.raises(OSError, match="again"):
        volumedir.replace_data(folder, fill)
    assert (folder / "_data" / "old").read_text() == "old"


def test_marks_are_a_bundle_s_own(folder):
    assert volumedir.read_mark(folder, ID) == ""
    volumedir.write_mark(folder, ID, "begun")
    volumedir.write_mark(folder, ID, "done")
    assert volumedir.read_mark(folder, ID) == "done"
    assert volumedir.read_mark(folder, "b" * 32) == ""
    (folder / volumedir.MARK).write_text("[]")
    assert volumedir.read_mark(folder, ID) == ""


def test_a_volume_lies_where_the_local_driver_has_it(tmp_path):
    root = str(tmp_path)
    good = f"{root}/volumes/data/_data"
    assert volumedir.folder(root, "data", good) == tmp_path / "volumes" / "data"
    for name, point in (
        ("data", "/mnt/nfs"),
        ("data", f"{root}/volumes/data"),
        ("..", f"{root}/_data"),
        ("a/b", f"{root}/volumes/a/b/_data"),
    ):
        with pytest.raises(Refused, match="its data lies in"):
            volumedir.folder(root, name, point)
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / "data").symlink_to("/etc")
    with pytest.raises(Refused):
        volumedir.folder(root, "data", good)


def test_logs_are_named_as_the_engine_names_them(tmp_path):
    (tmp_path / "containers" / "c1").mkdir(parents=True)
    logs = [io.BytesIO(one) for one in (b"\x1f\x8bpacked", b"older", b"newest")]
    volumedir.write_logs(str(tmp_path), "c1", logs)
    found = {one.name: one.read_bytes() for one in (tmp_path / "containers" / "c1").iterdir()}
    assert found == {"c1-json.log": b"newest", "c1-json.log.1": b"older",
                     "c1-json.log.2.gz": b"\x1f\x8bpacked"}  # fmt: skip


def test_an_empty_volume_looks_full_while_a_container_is_made(folder):
    data = folder / "_data"
    (data / "old").unlink()
    os.utime(data, ns=(1, 2))
    with volumedir.kept_empty(folder):
        assert list(data.iterdir())
        assert volumedir.is_empty(folder)  # also to the repeat of an import that was cut here
    assert list(data.iterdir()) == []
    assert data.stat().st_mtime_ns == 2


def test_what_others_write_meanwhile_stays(folder):
    with volumedir.kept_empty(folder):
        (folder / "_data" / "theirs").write_text("x")
    assert sorted(one.name for one in (folder / "_data").iterdir()) == ["old", "theirs"]
