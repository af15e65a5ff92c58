"""A store of overlay2 in the making, copies of trees that are checked, names of a layer."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path

import pytest

from dockerstorage_lib import copytree, graft
from dockerstorage_lib.adapters import container_files, fingerprint, layer_records, tree
from dockerstorage_lib.adapters.overlay_store import OverlayStore
from dockerstorage_lib.errors import Damaged

OWNER = (os.getuid(), os.getgid())


def nothing(_: Path) -> None:
    """Leave the layer empty."""


def test_layers_know_those_below_by_short_names(tmp_path: Path) -> None:
    store = OverlayStore(tmp_path, OWNER)
    store.add("base", None, lambda diff: (diff / "file").write_text("x") and None)
    store.add("middle", "base", nothing)
    store.add("top", "middle", nothing)
    link = {
        name: (tmp_path / "overlay2" / name / "link").read_text()
        for name in ("base", "middle", "top")
    }
    assert all(len(one) == 26 for one in link.values())
    assert (tmp_path / "overlay2" / "l" / link["base"] / "file").read_text() == "x"
    lower = (tmp_path / "overlay2" / "top" / "lower").read_text()
    assert lower == f"l/{link['middle']}:l/{link['base']}"
    assert (tmp_path / "overlay2" / "base" / "committed").exists()
    assert not (tmp_path / "overlay2" / "top" / "committed").exists()
    assert not (tmp_path / "overlay2" / "base" / "work").exists()
    assert (tmp_path / "overlay2" / "top" / "work").is_dir()


def test_a_layer_is_made_anew_and_leaves_no_name_behind(tmp_path: Path) -> None:
    store = OverlayStore(tmp_path, OWNER)
    store.add("one", None, lambda diff: (diff / "half").touch())
    store.add("one", None, nothing)
    assert len(list((tmp_path / "overlay2" / "l").iterdir())) == 1
    assert list(store.diff("one").iterdir()) == []
    store.remove("one")
    assert [path.name for path in (tmp_path / "overlay2").iterdir()] == ["l"]
    assert list((tmp_path / "overlay2" / "l").iterdir()) == []


def test_records_appear_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "in").mkdir(parents=True)
    (source / "in" / "diff").write_text("sha256:1")
    target.mkdir()
    (target / ".name.new").mkdir()  # of a run that was cut
    layer_records.take_record(source, target, "name")
    assert (target / "name" / "in" / "diff").read_text() == "sha256:1"
    assert [path.name for path in target.iterdir()] == ["name"]


def filled(folder: Path) -> Path:
    folder.mkdir()
    (folder / "plain").write_bytes(b"content")
    (folder / "second").hardlink_to(folder / "plain")
    with (folder / "sparse").open("wb") as file:
        file.seek(1 << 22)
        file.write(b"end")
    (folder / "empty").touch()
    (folder / "none").touch(mode=0o000)
    (folder / "link").symlink_to("/nowhere")
    (folder / "in").mkdir()
    (folder / "in" / "x").write_text("x")
    return folder


@pytest.mark.parametrize("contents", [True, False])
def test_a_copy_is_checked_against_what_was_read(tmp_path: Path, contents: bool) -> None:
    source, target = filled(tmp_path / "source"), tmp_path / "target"
    target.mkdir()
    counted: list[int] = []
    copy = copytree.TreeCopy(counted.append, contents)
    entries = tree.walk(source, whiteouts="remove")
    copy.copy(entries, tree.opener(source), target, "overlay")
    assert copy.count == 9
    assert (target / "plain").stat().st_ino == (target / "second").stat().st_ino
    assert (target / "sparse").stat().st_blocks < 1 << 10
    assert sum(counted) == len(b"content") + len(b"x") + _data_bytes(source / "sparse")
    copy.check(target, "overlay")
    (target / "in" / "x").chmod(0o600)
    with pytest.raises(Damaged, match="not what was read"):
        copy.check(target, "overlay")


def _data_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return path.stat().st_size - os.lseek(file.fileno(), 0, os.SEEK_DATA)


def test_changed_content_is_seen(tmp_path: Path) -> None:
    source, target = filled(tmp_path / "source"), tmp_path / "target"
    target.mkdir()
    copy = copytree.TreeCopy(lambda _: None)
    copy.copy(tree.walk(source, whiteouts="remove"), tree.opener(source), target, "overlay")
    times = (target / "sparse").stat()
    with (target / "sparse").open("r+b") as file:
        file.seek(1 << 22)
        file.write(b"END")
    os.utime(target / "sparse", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Damaged):
        copy.check(target, "overlay")


def test_the_names_of_a_layer_come_with_their_directories(tmp_path: Path) -> None:
    split = tmp_path / "tar-split.json.gz"
    names = ["./", "a/b/c", "a/.wh.gone", "a/.wh..wh..opq", ".wh..wh.plnk/1.2", "pax_global_header"]
    rows = [{"type": 1, "name": name, "size": 0} for name in names]
    rows.append({"type": 1, "name_raw": base64.b64encode(b"\xff").decode(), "size": 1})
    rows.append({"type": 2, "payload": ""})
    with gzip.open(split, "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    assert graft.layer_names(split) == {
        "": {"a", "\udcff"},
        "a": {"b", ".wh.gone", ".wh..wh..opq"},
        "a/b": {"c"},
    }


def container(root: Path, text: str) -> Path:
    folder = root / "containers" / "c1"
    folder.mkdir(parents=True)
    path = folder / container_files.NAME
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_a_container_gets_another_driver_and_nothing_else(tmp_path: Path) -> None:
    text = (
        '{"ID":"c1","Name":"/x","Driver":"devicemapper","State":{"Running":true,"Pid":7},'
        '"Config":{"StopSignal":"SIGQUIT","StopTimeout":3,"Labels":{"a":"\\u003cb\\u003e"}}}'
    )
    path = container(tmp_path, text)
    container_files.set_driver(str(tmp_path), "c1", "overlay2")
    assert path.read_text() == text.replace("devicemapper", "overlay2")
    assert path.stat().st_mode & 0o777 == 0o640
    found = container_files.read_all(str(tmp_path))[0]
    assert (found.driver, found.pid, found.stop_signal.name) == ("overlay2", 7, "SIGQUIT")
    assert (found.stop_seconds, found.auto_remove, found.labels) == (3, False, {"a": "<b>"})


def test_a_driver_that_stands_somewhere_else_first_is_not_mistaken(tmp_path: Path) -> None:
    text = (
        '{"ID":"c1","Config":{"Labels":{"x":"y","Driver":"devicemapper"}},"Driver":"devicemapper"}'
    )
    path = container(tmp_path, text)
    container_files.set_driver(str(tmp_path), "c1", "overlay2")
    found = json.loads(path.read_text())
    assert found["Driver"] == "overlay2"
    assert found["Config"]["Labels"]["Driver"] == "devicemapper"


def test_any_write_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = filled(tmp_path / "source")
    before = fingerprint.fingerprint(folder)
    assert fingerprint.fingerprint(folder) == before
    seen = (folder / "plain").stat()
    (folder / "plain").write_bytes(b"CONTENT")
    os.utime(folder / "plain", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert fingerprint.fingerprint(folder) != before
