"""The journal of an export, jobs, comparing trees, and the guardian of paused containers."""

from __future__ import annotations

import http.server
import io
import json
import os
import socketserver
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from dockerstorage_lib import export_journal, guardian, jobs
from dockerstorage_lib.adapters.base import Base
from dockerstorage_lib.adapters.packer import Packer
from dockerstorage_lib.adapters.stream import Archived
from dockerstorage_lib.adapters.tree import walk
from dockerstorage_lib.bundle import FileRecord
from dockerstorage_lib.errors import Interrupted, Refused


def write(folder: Path, path: str, content: bytes) -> FileRecord:
    with Packer(folder, path) as packer:
        packer.write(content)
        return packer.finish()


def test_a_journal_that_was_cut_keeps_what_was_whole(tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    with export_journal.opened(folder) as journal:
        name = journal.id
        record = write(folder, "volumes/a.tar.zst", b"content")
        journal.add("volume a", "print", (record,))
        journal.add("volume b", "other", (write(folder, "volumes/b.tar.zst", b"b"),))
    file = folder / export_journal.NAME
    file.write_text(file.read_text()[:-30])
    with export_journal.opened(folder) as journal:
        assert journal.id == name
        assert journal.fingerprint("volume a") == "print"
        assert journal.files("volume a") == (record,)
        assert journal.files("volume b") is None
        journal.add("volume c", "", ())
        with pytest.raises(Refused, match="another export writes"), export_journal.opened(folder):
            pass
    with export_journal.opened(folder) as journal:
        assert journal.files("volume c") == ()
        (folder / record.path).write_bytes(b"something else")
        assert journal.files("volume a") is None


def test_jobs_are_shown_while_they_run(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    with jobs.running("export", "/b", 5.0, told.append, tmp_path) as job:
        job.total_bytes = 100
        job.turn_to("volume a")
        job.advance(40)
        job.tell()
        (seen,) = jobs.listed(tmp_path)
        assert seen == told[-1]
        assert (seen["done_bytes"], seen["total_bytes"], seen["now"]) == (40, 100, "volume a")
        job.cancel()
        with pytest.raises(Interrupted):
            job.advance(1)
    assert jobs.listed(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_job_whose_process_died_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "job-1-2.json").write_text(json.dumps({"started_at": 1}) + "\n")
    assert jobs.listed(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_not_as_in_the_base_is_told(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in ("same/deep", "changed", "gone"):
        (old / folder).mkdir(parents=True)
        (old / folder / "file").write_text(folder)
    # Hard links stand for what a snapshot keeps: inode and change time.
    new.mkdir()
    (new / "same/deep").mkdir(parents=True)
    os.link(old / "same/deep/file", new / "same/deep/file")
    (new / "changed").mkdir()
    (new / "changed" / "file").write_text("changed")
    (new / "changed" / "added").write_text("")
    base = Base(old)
    for folder in ("same", "same/deep"):
        assert not base.is_same(folder, os.stat(new / folder))  # noqa: PTH116
    seen: list[tuple[str, bool]] = []
    entries = list(
        walk(new, whiteouts="remove", base=base, on_seen=lambda p, s: seen.append((p, s is None)))
    )
    paths = [one.path for one in entries]
    assert paths == [
        "", ".wh.gone", "changed", "changed/added", "changed/file", "same", "same/deep",
    ]  # fmt: skip
    assert [path for path, gone in seen if gone] == [".wh.gone"]


def test_directories_that_are_as_before_are_told_only_above_a_change(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in ("a/b/c", "d/e"):
        (tree / folder).mkdir(parents=True)
    changed = tree / "a/b/c/new"

    class Old(Base):
        def is_same(self, path: str, seen: os.stat_result) -> bool:
            return path != "a/b/c/new"

    changed.write_text("")
    paths = [one.path for one in walk(tree, whiteouts="remove", base=Old(tree))]
    assert paths == ["", "a", "a/b", "a/b/c", "a/b/c/new"]


def member(name: str, content: bytes | None = None, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = tarfile.LNKTYPE if link else tarfile.DIRTYPE if content is None else b"0"
    found.size, found.mode, found.linkname = len(content or b""), 0o750, link
    return found


def test_the_engines_stream_is_read_for_what_changed() -> None:
    raw = io.BytesIO()
    files = {"bin": None, "bin/kept": b"k", "bin/other": b"o", "etc": None, "etc/a": b"new",
             "etc/b": b"as before", "top": b"t"}  # fmt: skip
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            archive.addfile(member(name, content), io.BytesIO(content or b""))
        archive.addfile(member("twin", link="bin/kept"))
    data = raw.getvalue()
    changed = [("etc", False), ("etc/a", False), ("bin/gone", True), ("top", False)]
    source = Archived(
        lambda: [data[i : i + 700] for i in range(0, len(data), 700)], [*changed, ("twin", False)]
    )
    found = {}
    for entry in source.entries():
        found[entry.path] = (entry.kind, b"")
        if entry.size:
            with source.open(entry) as file:
                with pytest.raises(OSError, match="fileno"):
                    file.fileno()
                found[entry.path] = (entry.kind, file.read())
    # What got another name comes along, though it did not change.
    paths = ["", "bin", "bin/.wh.gone", "bin/kept", "etc", "etc/a", "top", "twin"]
    assert list(found) == paths
    assert (found["bin/kept"], found["etc/a"]) == (("file", b"k"), ("file", b"new"))


def test_the_guardian_unpauses_what_was_not_done(tmp_path: Path) -> None:
    asked: list[str] = []

    class Engine(http.server.BaseHTTPRequestHandler):
        """Stands for the engine's socket: what a killed export leaves is tested in the lab."""

        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: object) -> None:
            pass

    path = str(tmp_path / "s")
    with socketserver.UnixStreamServer(path, Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        argv = [sys.executable, "-I", guardian.__file__, path]
        lines = b"pause one\npause two\ndone one\npause three\n"
        subprocess.run(argv, input=lines, check=True, timeout=30)
        server.shutdown()
    assert asked == ["/containers/two/unpause", "/containers/three/unpause"]
