"""History and metrics in real minions, and a disk that is full, read-only or hangs.

What a pool that fills leaves behind is the lab's.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from dockerstorage_lib.adapters.history_file import Recorder, load
from dockerstorage_lib.history import Row

MEMORIES = Path("/run/dockerstorage")
NOW = 1_700_000_000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts file systems")


def row(number: int) -> Row:
    return Row(NOW + 300 * number, 1, 2, 3, 4)


def test_metrics_of_a_host_without_docker(host, scratch):
    folder = scratch / f"textfile-{host.way}"
    folder.mkdir()
    file = folder / "dockerstorage.prom"
    (folder / ".dockerstorage.prom.new").symlink_to(folder / "elsewhere")
    written, shown, again = (
        one["return"]
        for one in host.ask(
            ("dockerstorage.metrics", [str(file)], {}),
            ("dockerstorage.metrics", [], {"path": "-", "reclaimable": True}),
            ("dockerstorage.metrics", [str(file)], {}),
        )
    )
    assert written["path"] == again["path"] == str(file)
    assert [one.name for one in folder.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o777 == 0o644
    lines = file.read_text().splitlines()
    assert "dockerstorage_engine_up 0" in lines
    assert 'dockerstorage_warning{code="engine_silent"} 1' in lines
    assert written["series"] == len([line for line in lines if not line.startswith("#")])
    assert shown["path"] is None
    assert "dockerstorage_engine_up 0\n" in shown["text"]
    assert "reclaimable_bytes" not in shown["text"], "nobody knows: that is no zero"


def test_a_wrong_place_for_metrics_is_told_and_nothing_is_written(host, scratch):
    wrong = {
        "dockerstorage.prom": "the whole path",
        str(scratch / "dockerstorage.txt"): "ends in .prom",
        str(scratch / "absent" / "x.prom"): f"no folder {scratch / 'absent'}",
        5: "no file",
    }
    answers = host.ask(*(("dockerstorage.metrics", [path], {}) for path in wrong))
    for told, answer in zip(wrong.values(), answers, strict=True):
        assert answer.get("error") == "SaltInvocationError", answer
        assert told in answer["text"]
    assert not (scratch / "absent").exists()


def test_a_host_without_history_says_so(host):
    look, shown, absent, report, *wrong = host.ask(
        ("dockerstorage.watch", ["no-such-pool"], {"memory": "no-history"}),
        ("dockerstorage.history", [], {}),
        ("dockerstorage.history", [], {"pool": "no-such-pool", "days": 2}),
        ("dockerstorage.report", [], {"reclaimable": True}),
        ("dockerstorage.history", [], {"days": 0}),
        ("dockerstorage.history", [], {"days": True}),
        ("dockerstorage.history", [], {"pool": 5}),
        ("dockerstorage.report", [], {"reclaimable": "yes"}),
    )
    for file in MEMORIES.glob("watch-*-no-history.json"):
        file.unlink()
    assert [one["state"] for one in look["return"]] == ["gone"]
    assert set(shown["return"]) == {"pools", "unseen"}
    assert absent["return"]["pools"] == {}
    assert "no-such-pool" in {one["what"] for one in absent["return"]["unseen"]}
    assert report["return"]["forecast"] is None
    assert report["return"]["reclaimable_bytes"] is None
    why = {one["what"]: one["why"] for one in report["return"]["unseen"]}
    assert "does not answer" in why["reclaimable bytes"]
    for name, answer in zip(("days", "days", "pool", "reclaimable"), wrong, strict=True):
        assert answer.get("error") == "SaltInvocationError", answer
        assert answer["text"].startswith(f"{name}: ")


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts something on a folder until the test is over."""
    done = []

    def mount(*words: str) -> Path:
        folder = tmp_path / f"mount-{len(done)}"
        folder.mkdir()
        subprocess.run(["mount", *words, str(folder)], check=True, timeout=20)
        done.append(folder)
        return folder

    yield mount
    for folder in done:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def offer(recorder: Recorder, number: int) -> float:
    """How long a sample holds up the one that has it."""
    started = time.monotonic()
    recorder.offer({"p": row(number)}, NOW + 300 * number)
    return time.monotonic() - started


@needs_root
def test_a_full_disk_leaves_the_history_as_it_was(mounted):
    folder = mounted("-t", "tmpfs", "-o", "size=8k", "tmpfs")
    file = folder / "history.json"
    recorder = Recorder(file)
    offer(recorder, 0)
    until(file.exists)
    (folder / "filler").write_bytes(bytes(4096))
    offer(recorder, 1)
    until(lambda: recorder.trouble() is not None)
    assert "No space left" in recorder.trouble()
    assert load(file) == {"p": (row(0),)}
    assert sorted(one.name for one in folder.iterdir()) == ["filler", "history.json"]
    (folder / "filler").unlink()
    offer(recorder, 2)
    until(lambda: len(load(file)["p"]) == 2)
    until(lambda: recorder.trouble() is None)


@needs_root
def test_a_read_only_disk_is_told(mounted):
    folder = mounted("-t", "tmpfs", "-o", "ro", "tmpfs")
    recorder = Recorder(folder / "lib" / "history.json")
    offer(recorder, 0)
    until(lambda: recorder.trouble() is not None)
    assert "Read-only file system" in recorder.trouble()


@needs_root
def test_a_disk_that_hangs_holds_nobody_up_and_nothing_is_lost(mounted, tmp_path, monkeypatch):
    image = tmp_path / "image"
    image.write_bytes(b"")
    os.truncate(image, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, timeout=20)
    folder = mounted("-o", "loop", str(image))
    monkeypatch.setattr("dockerstorage_lib.adapters.history_file.PATIENCE_SECONDS", 0.2)
    file = folder / "history.json"
    recorder = Recorder(file)
    offer(recorder, 0)
    until(file.exists)
    subprocess.run(["fsfreeze", "--freeze", str(folder)], check=True, timeout=20)
    try:
        threads = threading.active_count()
        for number in range(1, 4):
            assert offer(recorder, number) < 0.2
        until(lambda: recorder.trouble() is not None)
        assert "has not answered" in recorder.trouble()
        assert threading.active_count() == threads + 1
        assert load(file) == {"p": (row(0),)}
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(folder)], check=True, timeout=20)
    until(lambda: len(load(file)["p"]) == 4)
    until(lambda: recorder.trouble() is None)
