"""The history on disk: whole or untouched, and nothing of others is taken for one."""

from __future__ import annotations

import os
import stat
import time

import pytest

from dockerstorage_lib.adapters.history_file import ASIDE, Recorder, add, load
from dockerstorage_lib.errors import Unparsable
from dockerstorage_lib.history import MOST_BYTES, Row, to_text

NOW = 1_700_000_000
ROW = Row(NOW, 1, 2, 3, 4)


def names(folder):
    return sorted(one.name for one in folder.iterdir())


def test_what_is_added_comes_back_and_only_root_reads_it(tmp_path):
    file = tmp_path / "lib" / "history.json"
    assert load(file) == {}
    add(file, {"p": ROW}, NOW)
    add(file, {"q": ROW}, NOW)
    assert load(file) == {"p": (ROW,), "q": (ROW,)}
    assert names(file.parent) == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def torn(file):
    file.write_text(to_text({"p": (ROW,)})[:-3])


def huge(file):
    file.write_text(" " * MOST_BYTES + to_text({}))


def binary(file):
    file.write_bytes(bytes(range(256)))


@pytest.mark.parametrize("make", [torn, huge, binary, os.mkfifo, os.mkdir])
def test_what_is_no_history_is_told_and_put_aside(tmp_path, make):
    file = tmp_path / "history.json"
    make(file)
    with pytest.raises(Unparsable, match=r"history\.json"):
        load(file)
    add(file, {"p": ROW}, NOW)
    assert load(file) == {"p": (ROW,)}
    assert names(tmp_path) == [file.name, file.name + ASIDE]


def test_a_left_over_of_a_kill_is_no_obstacle(tmp_path):
    file = tmp_path / "history.json"
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / ".history.json.new").symlink_to(elsewhere)
    add(file, {"p": ROW}, NOW)
    assert names(tmp_path) == [file.name]


def wait(recorder: Recorder) -> None:
    deadline = time.monotonic() + 10
    while recorder._thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_recorder_writes_all_that_it_is_offered(tmp_path):
    file = tmp_path / "history.json"
    recorder = Recorder(file)
    for number in range(5):
        recorder.offer({"p": ROW._replace(at=NOW + number)}, NOW + number)
        wait(recorder)
    assert load(file)["p"][-1].at == NOW + 4
    assert recorder.trouble() is None


def test_a_failure_is_told_until_it_works_again(tmp_path):
    folder = tmp_path / "lib"
    folder.write_text("a file where the folder should be")
    recorder = Recorder(folder / "history.json")
    recorder.offer({"p": ROW}, NOW)
    wait(recorder)
    assert str(folder) in recorder.trouble()
    folder.unlink()
    recorder.offer({"p": ROW}, NOW)
    wait(recorder)
    assert recorder.trouble() is None
    assert load(folder / "history.json") == {"p": (ROW,)}
