"""What an older tree tells of a newer one, at hand or by its notes."""

from __future__ import annotations

import os
from pathlib import Path

from dockerstorage_lib.adapters import tree
from dockerstorage_lib.adapters.base import Base, NotedBase, take_notes


def filled(root: Path) -> Path:
    for path in ("same/file", "gone/file", "changed/file", "turned/file", "odd/\udcff"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    return root


def test_only_what_changed_is_told_and_what_is_gone(tmp_path: Path) -> None:
    root = filled(tmp_path / "tree")
    notes = take_notes(root)
    seen = (root / "changed" / "file").stat()
    (root / "changed" / "file").write_text("y")
    os.utime(root / "changed" / "file", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    (root / "changed" / "added").touch()
    (root / "gone" / "file").unlink()
    (root / "gone").rmdir()
    (root / "turned" / "file").unlink()
    (root / "turned").rmdir()
    (root / "turned").write_text("a file now")
    found = [one.path for one in tree.walk(root, whiteouts="remove", base=NotedBase(notes))]
    assert found == ["", ".wh.gone", "changed", "changed/added", "changed/file", "turned"]


def test_notes_tell_what_the_tree_itself_does(tmp_path: Path) -> None:
    root = filled(tmp_path / "tree")
    base, noted = Base(root), NotedBase(take_notes(root))
    for one in tree.walk(root):
        seen = os.lstat(root / one.path)
        if one.path:
            assert base.is_same(one.path, seen)
            assert noted.is_same(one.path, seen)
        for names in (set[str](), {"file"}, {"same", "odd"}):
            assert sorted(base.gone(one.path, names)) == sorted(noted.gone(one.path, names))
    assert not noted.is_same("new", os.lstat(root / "same" / "file"))
